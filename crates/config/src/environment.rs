//! Where a process runs, and as what.

use std::{fmt, str::FromStr};

/// Which deployment a process belongs to. The database is stamped with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A laptop: `.env` is read, limits are off, storage may be a folder.
    Development,
    /// Like production, with data that may be lost.
    Staging,
    /// The real thing.
    Production,
}

impl Environment {
    /// All, in the order of strictness.
    pub const ALL: [Self; 3] = [Self::Development, Self::Staging, Self::Production];

    /// The name that `ENVIRONMENT`, the config file and the database's stamp have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Whether this is a laptop, where defaults may stand in for secrets and a folder for a store.
    pub fn is_development(self) -> bool {
        match self {
            Self::Development => true,
            Self::Staging | Self::Production => false,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|environment| environment.as_str().eq_ignore_ascii_case(name));
        known.ok_or_else(|| "is none of development, staging and production".to_owned())
    }
}

/// What a process does. Each role asks only for the variables that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `app api`
    Api,
    /// `app worker`
    Worker,
    /// `app migrate`
    Migrate,
    /// `app check`: looks at everything.
    Check,
    /// `app dev`: API and worker on an embedded database. Reads no `DATABASE_URL`, so that a stray one, of
    /// production perhaps, is left alone.
    Dev,
    /// `app keys`
    Keys,
    /// `app upload`, `app jobs`, `app search`: clients of the API, which belong to no environment.
    Client,
}

impl Role {
    /// The name that logs and the documentation use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Migrate => "migrate",
            Self::Check => "check",
            Self::Dev => "dev",
            Self::Keys => "keys",
            Self::Client => "client",
        }
    }

    /// Whether `ENVIRONMENT` must be known.
    pub(super) fn has_environment(self) -> bool {
        self != Self::Client
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
