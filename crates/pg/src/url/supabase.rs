//! Recognises the URLs of Supabase projects.
//!
//! Supabase's page "Connect to your database" lists three forms. Direct: `db.<ref>.supabase.co:5432`, by IPv6 unless the
//! project has the IPv4 add-on. Shared pooler: `aws-N-<region>.pooler.supabase.com` with the user `<user>.<ref>`, port 5432
//! for session mode and 6543 for transaction mode. Dedicated pooler: port 6543 of the direct host.

use tokio_postgres::config::Host;

use super::DatabaseUrl;
use crate::probe::SessionMode;

impl DatabaseUrl {
    /// Whether this is a project's own host, which has only an IPv6 address unless the project has the IPv4 add-on.
    pub fn is_supabase_direct(&self) -> bool {
        self.direct_ref().is_some()
    }

    /// Whether this is Supabase's shared pooler.
    pub fn is_supabase_pooler(&self) -> bool {
        self.tcp_host().is_some_and(|host| host.ends_with(".pooler.supabase.com"))
    }

    /// The mode of a Supabase pooler, by its port; `None` for the direct port and for other hosts.
    pub fn supabase_pooler_mode(&self) -> Option<SessionMode> {
        match (self.port(), self.is_supabase_pooler(), self.is_supabase_direct()) {
            (6543, true, _) | (6543, _, true) => Some(SessionMode::Transaction),
            (_, true, _) => Some(SessionMode::Session),
            _ => None,
        }
    }

    /// The reference of the Supabase project, from the host, or for the shared pooler from the user.
    pub fn project_ref(&self) -> Option<&str> {
        let by_user = || self.user().and_then(|user| user.rsplit_once('.')).map(|(_, project)| project);
        self.direct_ref().or_else(|| if self.is_supabase_pooler() { by_user() } else { None })
    }

    /// The shared pooler's URL for a direct Supabase URL. The reader must fill in the region, which the direct URL does not
    /// contain.
    pub fn suggested_pooler_url(&self, mode: SessionMode) -> Option<String> {
        let project = self.direct_ref()?;
        let user = self.user().unwrap_or("postgres");
        let database = self.database().unwrap_or("postgres");
        let port = if mode == SessionMode::Session { 5432 } else { 6543 };
        Some(format!("postgres://{user}.{project}:***@aws-0-REGION.pooler.supabase.com:{port}/{database}"))
    }

    fn direct_ref(&self) -> Option<&str> {
        let project = self.tcp_host()?.strip_prefix("db.")?.strip_suffix(".supabase.co")?;
        (!project.is_empty() && !project.contains('.')).then_some(project)
    }

    fn tcp_host(&self) -> Option<&str> {
        match self.first() {
            Host::Tcp(host) => Some(host),
            Host::Unix(_) => None,
        }
    }
}
