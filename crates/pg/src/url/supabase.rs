//! What a URL says about a Supabase project.
//!
//! Source: Supabase, "Connect to your database": direct `db.<ref>.supabase.co:5432` (IPv6 unless the add-on is
//! bought), shared pooler `aws-N-<region>.pooler.supabase.com` with user `<user>.<ref>`, 5432 for sessions and 6543
//! for transactions; the dedicated pooler listens on the direct host's port 6543.

use super::{DatabaseUrl, Endpoint};

/// What a pooler's connection stays bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolerMode {
    /// One server connection as long as the client's lives: LISTEN, session locks and migrations work.
    Session,
    /// One server connection a transaction.
    Transaction,
}

impl PoolerMode {
    /// The port that Supabase's poolers use for it.
    pub fn port(self) -> u16 {
        match self {
            Self::Session => 5432,
            Self::Transaction => 6543,
        }
    }
}

impl DatabaseUrl {
    /// Whether this is a Supabase project's own host, which has an IPv6 address only, unless the add-on is bought.
    pub fn is_supabase_direct(&self) -> bool {
        self.direct_ref().is_some()
    }

    /// Whether this is Supabase's shared pooler.
    pub fn is_supabase_pooler(&self) -> bool {
        self.tcp_host().is_some_and(|host| host.ends_with(".pooler.supabase.com"))
    }

    /// The mode that the port of a Supabase pooler stands for; `None` for the direct port and elsewhere.
    pub fn supabase_pooler_mode(&self) -> Option<PoolerMode> {
        match (self.port(), self.is_supabase_pooler(), self.is_supabase_direct()) {
            (6543, true, _) | (6543, _, true) => Some(PoolerMode::Transaction),
            (_, true, _) => Some(PoolerMode::Session),
            _ => None,
        }
    }

    /// The Supabase project, by host or, through the shared pooler, by user.
    pub fn project_ref(&self) -> Option<&str> {
        let by_user = || self.user().and_then(|user| user.rsplit_once('.')).map(|(_, project)| project);
        self.direct_ref().or_else(|| if self.is_supabase_pooler() { by_user() } else { None })
    }

    /// For a direct Supabase URL, the form of the shared pooler's; the region is for the reader to fill in, since no
    /// part of the direct URL tells it.
    pub fn suggested_pooler_url(&self, mode: PoolerMode) -> Option<String> {
        let project = self.direct_ref()?;
        let user = self.user().unwrap_or("postgres");
        let database = self.database().unwrap_or("postgres");
        let port = mode.port();
        Some(format!("postgres://{user}.{project}:***@aws-0-REGION.pooler.supabase.com:{port}/{database}"))
    }

    fn direct_ref(&self) -> Option<&str> {
        let project = self.tcp_host()?.strip_prefix("db.")?.strip_suffix(".supabase.co")?;
        (!project.is_empty() && !project.contains('.')).then_some(project)
    }

    fn tcp_host(&self) -> Option<&str> {
        match self.first() {
            Endpoint::Tcp { host, .. } => Some(host),
            Endpoint::Socket { .. } => None,
        }
    }
}
