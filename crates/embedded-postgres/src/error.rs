//! Errors of the local PostgreSQL.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the local PostgreSQL was not started, stopped or erased. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The folder belongs to another user, or holds other files. It has not been changed.
    #[error("{} cannot hold the local PostgreSQL: {why}; remove it, or choose another folder (APP_DEV_DIR)", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// PostgreSQL refuses to run as root, and no account to run it as exists.
    #[error("root cannot run PostgreSQL, and there is no account {tried} to run it as: name one in APP_DEV_PG_USER")]
    NoAccount {
        /// The names that were looked up.
        tried: String,
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
    /// Any other obstacle, in words.
    #[error("{0}")]
    Failed(String),
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
