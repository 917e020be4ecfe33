//! Errors of the local PostgreSQL.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the local PostgreSQL was not started, stopped or erased. Each text says what to do. Only [`Busy`](Self::Busy) and
/// [`Io`](Self::Io) may pass without that.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No programs: `APP_PG_BIN` is not set, nothing is fetched, and the host has no PostgreSQL with pgvector.
    #[error(
        "found no PostgreSQL with pgvector (looked in {looked_in}): run scripts/fetch, or set DATABASE_URL to a database of your own"
    )]
    NoBinaries {
        /// The places that were searched, separated by commas.
        looked_in: String,
    },
    /// The programs exist but do not run on this machine.
    #[error("PostgreSQL in {} does not run on this machine ({detail}): name another directory in APP_PG_BIN, or set DATABASE_URL to a database of your own", bin.display())]
    UnusableBinaries {
        /// The directory of the programs.
        bin: PathBuf,
        /// What happened.
        detail: String,
    },
    /// PostgreSQL refuses to run as root, and the account to run it as cannot read its programs.
    #[error("root cannot run PostgreSQL, and the account `{account}` cannot read {}: put PostgreSQL where every account can, or name another account in APP_DEV_PG_USER", bin.display())]
    UnreadableBinaries {
        /// The account.
        account: String,
        /// The directory of the programs.
        bin: PathBuf,
    },
    /// PostgreSQL refuses to run as root, and no account to run it as exists.
    #[error("root cannot run PostgreSQL, and there is no account {tried} to run it as: name one in APP_DEV_PG_USER")]
    NoAccount {
        /// The names that were looked up.
        tried: String,
    },
    /// The account that runs the server cannot reach its folder.
    #[error("root cannot run PostgreSQL, and the account `{account}` may not enter {}: choose a folder outside that directory (APP_DEV_DIR)", blocked.display())]
    UnreachableFolder {
        /// The account.
        account: String,
        /// The outermost directory that is closed to it.
        blocked: PathBuf,
    },
    /// The folder belongs to another user, or holds other files. It has not been changed.
    #[error("{} cannot hold the local PostgreSQL: {why}; remove it, or choose another folder (APP_DEV_DIR)", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process has been starting, stopping or erasing the server for too long.
    #[error("another process has been busy with the PostgreSQL in {} for {seconds} s: end that process, then try again", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// How long this process waited, in seconds.
        seconds: u64,
    },
    /// The data belongs to another major version, and the programs cannot read it.
    #[error("the data in {} belongs to PostgreSQL {found}, and the programs are of PostgreSQL {wanted}: erase the data with `app dev reset`, or name the programs of PostgreSQL {found} in APP_PG_BIN", path.display())]
    OtherMajor {
        /// The folder.
        path: PathBuf,
        /// The data's major version.
        found: String,
        /// The programs' major version.
        wanted: u32,
    },
    /// The data exists, but the file with the password is missing or damaged.
    #[error("{}, which holds the password of the local PostgreSQL, is missing or damaged: erase the data with `app dev reset`", path.display())]
    NoPassword {
        /// The password file.
        path: PathBuf,
    },
    /// `initdb` failed.
    #[error("PostgreSQL could not create its data (initdb): correct the cause below, then try again\n{output}")]
    Initdb {
        /// The last lines of the output.
        output: String,
    },
    /// The server ended or was not ready in time.
    #[error("PostgreSQL {what}; the last lines of its log, {}:\n{tail}", log.display())]
    Start {
        /// What happened to the server.
        what: String,
        /// The log file.
        log: PathBuf,
        /// The last lines that this start added to the log.
        tail: String,
    },
    /// The server did not stop.
    #[error("PostgreSQL (process {pid}) does not stop: end it with `kill -QUIT {pid}`")]
    Stop {
        /// The id of the server's process.
        pid: i32,
    },
    /// A call to the operating system failed.
    #[error("couldn't {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted: a verb.
        doing: &'static str,
        /// The path it was attempted on.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// Adds what was attempted, and on which path, to an `io::Error`.
pub(super) trait During<T> {
    /// Turns the error into [`EmbeddedError::Io`].
    fn during(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { doing, path: path.to_owned(), source })
    }
}
