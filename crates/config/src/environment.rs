//! The environment and the role of a process.

use ::domain::named;

named! {
    /// The deployment to which a process belongs. The database is stamped with it.
    Environment {
        /// A developer's machine: `.env` is read, storage may be a folder.
        Development = "development",
        /// Like production, with data that may be lost.
        Staging = "staging",
        /// The deployment that users use.
        Production = "production",
    }
}

impl Environment {
    /// Whether this is development, where secrets have defaults and the store may be a folder.
    pub fn is_development(self) -> bool {
        self == Self::Development
    }
}

named! {
    /// The command that a process runs. Each role needs only the variables that it uses.
    Role {
        /// `app api`
        Api = "api",
        /// `app worker`
        Worker = "worker",
        /// `app migrate`
        Migrate = "migrate",
        /// `app check`: reads every setting.
        Check = "check",
        /// `app dev`: API and worker on an embedded database. It does not read `DATABASE_URL`, which may be production's.
        Dev = "dev",
        /// `app keys`
        Keys = "keys",
        /// `app verify`
        Verify = "verify",
        /// `app reembed`
        Reembed = "reembed",
        /// `app upload`, `app jobs`, `app documents`, `app search`: they belong to no environment.
        Client = "client",
        /// `app parse` and `app estimate`, which belong to none either.
        Parse = "parse",
    }
}

/// Roles that read the same settings.
pub(crate) mod roles {
    use super::Role::{self, Api, Check, Client, Dev, Keys, Migrate, Parse, Reembed, Verify, Worker};

    pub(crate) const ALL: &[Role] = &[Api, Worker, Migrate, Check, Dev, Keys, Verify, Reembed, Client, Parse];
    pub(crate) const SERVERS: &[Role] = &[Api, Worker, Migrate, Check, Dev, Keys, Verify, Reembed];
    pub(crate) const DATABASE: &[Role] = &[Api, Worker, Migrate, Check, Keys, Verify, Reembed];
    pub(crate) const MODEL: &[Role] = &[Api, Worker, Migrate, Check, Dev, Verify, Reembed];
    pub(crate) const STORED: &[Role] = &[Api, Worker, Check, Dev, Verify, Reembed];
    pub(crate) const BOTH: &[Role] = &[Api, Worker, Check, Dev];
    pub(crate) const API: &[Role] = &[Api, Check, Dev];
    pub(crate) const REPLICA: &[Role] = &[Api, Check];
    pub(crate) const WORKER: &[Role] = &[Worker, Check, Dev];
    pub(crate) const RATES: &[Role] = &[Worker, Check, Dev, Reembed];
    pub(crate) const READERS: &[Role] = &[Worker, Check, Dev, Parse];
    pub(crate) const PAGES: &[Role] = &[Api, Worker, Check, Dev, Parse];
    pub(crate) const PRICED: &[Role] = &[Api, Worker, Check, Dev, Reembed, Parse];
    pub(crate) const MODEL_NAME: &[Role] = &[Api, Worker, Migrate, Check, Dev, Verify, Parse];
    pub(crate) const EMBED_PROVIDER: &[Role] = &[Api, Worker, Check, Dev, Verify, Parse];
    pub(crate) const CLIENT: &[Role] = &[Client, Check];
    pub(crate) const CLIENT_ONLY: &[Role] = &[Client];
    pub(crate) const DEV: &[Role] = &[Dev, Client, Check];
    pub(crate) const CHECK: &[Role] = &[Check];
}
