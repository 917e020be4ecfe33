//! Why a migration did not happen.

use pg::DbError;

/// Why `app migrate` did not finish. Nothing of the migration it names was kept.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database could not be reached or refused a statement.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The URL leads to a pooler in transaction mode.
    #[error(
        "this URL leads to a connection pooler in transaction mode, on which the lock that keeps two migrations apart does not \
         hold; set DIRECT_URL to the database itself or to the pooler's session mode (on Supabase: port 5432, not 6543)"
    )]
    TransactionMode,
    /// Another `app migrate` holds the lock.
    #[error("another `app migrate` has been running for {0} s; wait for it, or end its session in Postgres")]
    Locked(u64),
    /// A migration failed, or the applied ones are not those of this build.
    #[error("{0}")]
    Migration(String),
    /// The database belongs to another environment.
    #[error(
        "this database belongs to {stamped}, this process to {ours}: nothing was changed. Check DATABASE_URL and ENVIRONMENT"
    )]
    Environment {
        /// The environment that the database is stamped with.
        stamped: String,
        /// The environment of this process.
        ours: String,
    },
    /// The stamp to move is another one.
    #[error(
        "the stamp of this database is {stamped}, and was to be moved from {from} to {ours} (ENVIRONMENT): nothing was changed. \
         Check DATABASE_URL, ENVIRONMENT and what follows --move-stamp"
    )]
    OtherStamp {
        /// The environment that the database is stamped with.
        stamped: String,
        /// The environment that was named.
        from: String,
        /// The environment of this process.
        ours: String,
    },
    /// There is no stamp to move.
    #[error(
        "this database has no stamp that could be moved from {from}: nothing was changed. `app migrate` sets the first one"
    )]
    NoStamp {
        /// The environment that was named.
        from: String,
    },
    /// The environment that the stamp was to be taken from works on this database.
    #[error(
        "{from}'s workers ({workers}) have been at work on this database within a minute, so it is no copy but {from}'s own: \
         nothing was changed. Check DATABASE_URL; where it is right, stop those workers and wait a minute"
    )]
    InUse {
        /// The environment that was named.
        from: String,
        /// Its live workers.
        workers: i64,
    },
}
