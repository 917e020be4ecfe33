//! What can go wrong with a local PostgreSQL.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the local PostgreSQL was not started, stopped or erased. Each text says what to do; trying again without doing it
/// ends the same way, except after [`Busy`](Self::Busy) and [`Io`](Self::Io).
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Nothing to run: no `APP_PG_BIN`, nothing fetched, and no PostgreSQL of the host that has pgvector.
    #[error(
        "found no PostgreSQL with pgvector (looked in {looked_in}): run scripts/fetch, or set DATABASE_URL to a database of your own"
    )]
    NoBinaries {
        /// The places, separated by commas.
        looked_in: String,
    },
    /// There are programs, but they do not run here.
    #[error("PostgreSQL in {} does not run here ({detail}): name another directory in APP_PG_BIN, or set DATABASE_URL to a database of your own", bin.display())]
    UnusableBinaries {
        /// Their directory.
        bin: PathBuf,
        /// What was observed.
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
    /// PostgreSQL refuses to run as root, and there is no account to run it as.
    #[error("root cannot run PostgreSQL, and there is no account {tried} to run it as: name one in APP_DEV_PG_USER")]
    NoAccount {
        /// The names that were looked up.
        tried: String,
    },
    /// The account that runs the server cannot get to its folder.
    #[error("root cannot run PostgreSQL, and the account `{account}` may not enter {}: choose a folder outside it (APP_DEV_DIR)", blocked.display())]
    UnreachableFolder {
        /// The account.
        account: String,
        /// The outermost directory that is closed to it.
        blocked: PathBuf,
    },
    /// The folder is somebody else's, or holds something else. It has not been touched.
    #[error("{} cannot hold the local PostgreSQL: {why}; remove it, or choose another folder (APP_DEV_DIR)", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No folder was named and there is no home to put one in.
    #[error("there is no home directory to keep the local PostgreSQL in: set HOME, or name a folder in APP_DEV_DIR")]
    NoHome,
    /// Another process has been starting, stopping or erasing the server for very long.
    #[error("another process has been busy with the PostgreSQL in {} for {seconds} s: end that process, then try again", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// How long we waited, in seconds.
        seconds: u64,
    },
    /// The data was made by another major version, which this one cannot read.
    #[error("the data in {} is PostgreSQL {found}'s and the programs are {wanted}'s: erase it with `app dev reset`, or name PostgreSQL {found} in APP_PG_BIN", path.display())]
    OtherMajor {
        /// The folder.
        path: PathBuf,
        /// Major version of the data.
        found: String,
        /// Major version of the programs.
        wanted: u32,
    },
    /// There is data, but the file with its password is gone.
    #[error("{} is missing or damaged, and with it the password of the local PostgreSQL: erase its data with `app dev reset`", path.display())]
    NoPassword {
        /// The password file.
        path: PathBuf,
    },
    /// `initdb` failed.
    #[error("PostgreSQL could not set up its data (initdb): mend what it says, then try again\n{output}")]
    Initdb {
        /// The last lines of its output.
        output: String,
    },
    /// The server ended, or was not ready in time.
    #[error("PostgreSQL {what}; its log, {}, ends so:\n{tail}", log.display())]
    Start {
        /// What happened to it.
        what: String,
        /// The log file.
        log: PathBuf,
        /// Its last lines, of this start alone.
        tail: String,
    },
    /// The server did not end.
    #[error("PostgreSQL (process {pid}) does not stop: end it with `kill -QUIT {pid}`")]
    Stop {
        /// Its process.
        pid: i32,
    },
    /// The operating system refused something.
    #[error("couldn't {doing} {}: {source}", path.display())]
    Io {
        /// The verb.
        doing: &'static str,
        /// The object.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Names what was being done to which path when `io::Error` came.
pub(super) trait During<T> {
    /// Turns the error into [`EmbeddedError::Io`].
    fn during(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { doing, path: path.to_owned(), source })
    }
}
