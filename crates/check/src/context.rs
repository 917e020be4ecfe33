//! What the checks of one run share: the settings, and what earlier checks found that later ones go on with.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use serde::Deserialize;
use tokio::{net::TcpStream, runtime::Handle, sync};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{cause::Problem, finding::Finding};
use config::{Config, Fault};
use domain::{
    build_info::BuildInfo,
    ports::{ModelSource, ObjectStore},
};
use pg::{
    Conn, ConnectTarget, Db, PoolOptions,
    connect_error::ConnectProblem,
    probe::SessionMode,
    server::{ServerFacts, get_server_facts},
    url::DatabaseUrl,
};
use store::workers::LiveWorker;

/// The check that names a setting that is missing.
pub(super) const SETTINGS: &str = "cfg.parse";
/// Checks of this URL block no check of the database that DATABASE_URL leads to.
pub(super) const DIRECT_URL: &str = "DIRECT_URL";

/// What the caller of `app check` asked for.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Ids or names of groups; all when empty.
    pub only: Vec<String>,
    /// Leave out what only a running deployment can answer.
    pub pre: bool,
    /// Send a document through.
    pub e2e: bool,
    /// The API as its clients reach it.
    pub api_url: Option<Url>,
    /// The commit that should run; seven hex digits or more of it.
    pub expect_commit: Option<String>,
    /// The branch that should run.
    pub expect_branch: Option<String>,
}

/// What the checks look at.
pub struct Setup<'a> {
    /// All settings; what could not be used has its default.
    pub config: &'a Config,
    /// What could not be used.
    pub faults: &'a [Fault],
    /// This build.
    pub build: &'a BuildInfo,
    /// What was asked for.
    pub options: &'a CheckOptions,
    /// The object store, or why it cannot be opened.
    pub store: Result<Arc<dyn ObjectStore>, String>,
    /// The local model, which loads at its first use.
    pub model: Arc<dyn ModelSource>,
    /// The main runtime: database connections live on it.
    pub runtime: Handle,
    /// Cancelled by INT and TERM: no further check begins, and one that has put something somewhere removes it.
    pub stop: &'a CancellationToken,
}

impl fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("options", self.options).finish_non_exhaustive()
    }
}

/// One of the two database URLs, and how far the connection came.
pub(super) struct UrlPath<'a> {
    pub(super) name: &'static str,
    url: Option<&'a DatabaseUrl>,
    /// By `net.dns`, then those with a route by `net.family`.
    pub(super) addresses: RefCell<Vec<SocketAddr>>,
    /// By `net.tcp`, for `net.protocol`.
    pub(super) stream: Cell<Option<TcpStream>>,
    /// By `net.tls`, for `db.login`: why the login failed, if it did.
    pub(super) login: OnceCell<Option<ConnectProblem>>,
}

impl<'a> UrlPath<'a> {
    fn new(name: &'static str, url: Option<&'a DatabaseUrl>) -> Self {
        Self { name, url, addresses: RefCell::default(), stream: Cell::default(), login: OnceCell::new() }
    }

    pub(super) fn url(&self) -> Result<&'a DatabaseUrl, Problem> {
        self.url.ok_or(Problem::Behind(SETTINGS))
    }
}

/// What `/health` says, as far as it is checked: an older or newer API may say more or less.
#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) status: String,
    pub(super) environment: String,
    #[serde(default)]
    pub(super) commit: String,
    #[serde(default)]
    pub(super) branch: String,
    pub(super) checks: BTreeMap<String, String>,
}

/// The connections that the two URLs give, by trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) database: SessionMode,
    pub(super) direct: Option<SessionMode>,
}

/// One run.
pub(super) struct Context<'a> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) config: &'a Config,
    pub(super) options: &'a CheckOptions,
    /// What has ended so far.
    pub(super) findings: RefCell<Vec<Finding>>,
    /// DATABASE_URL, and DIRECT_URL where it is another.
    pub(super) urls: Vec<UrlPath<'a>>,
    /// By `db.mode`.
    pub(super) modes: OnceCell<Modes>,
    /// By `workers.alive`.
    pub(super) workers: OnceCell<Vec<LiveWorker>>,
    /// By `api.reach`.
    pub(super) health: OnceCell<Health>,
    facts: sync::OnceCell<ServerFacts>,
    db: OnceCell<Db>,
}

impl<'a> Context<'a> {
    pub(super) fn new(setup: &'a Setup<'a>) -> Self {
        let database = &setup.config.database;
        let mut urls = vec![UrlPath::new("DATABASE_URL", database.url.as_ref())];
        if let (Some(url), Some(direct)) = (&database.url, &database.direct_url)
            && direct != url
        {
            urls.push(UrlPath::new(DIRECT_URL, Some(direct)));
        }
        Self {
            setup,
            config: setup.config,
            options: setup.options,
            findings: RefCell::default(),
            urls,
            modes: OnceCell::new(),
            workers: OnceCell::new(),
            health: OnceCell::new(),
            facts: sync::OnceCell::new(),
            db: OnceCell::new(),
        }
    }

    /// How to connect to `url`, as the roles would; why not, where TLS cannot be set up.
    pub(super) fn target(&self, url: &DatabaseUrl) -> Result<ConnectTarget, String> {
        ConnectTarget::new(url.clone(), self.config.database.connect_timeout).map_err(|error| error.to_string())
    }

    /// A small pool on DATABASE_URL.
    pub(super) fn db(&self) -> Result<&Db, Problem> {
        if let Some(db) = self.db.get() {
            return Ok(db);
        }
        let target = self.target(self.urls[0].url()?).map_err(Problem::Skipped)?;
        let wait = self.config.database.connect_timeout + self.config.database.pool_timeout;
        let db = Db::open(target, PoolOptions { size: 2, wait, ..PoolOptions::default() })?;
        Ok(self.db.get_or_init(|| db))
    }

    pub(super) async fn conn(&self) -> Result<Conn, Problem> {
        Ok(self.db()?.get().await?)
    }

    pub(super) async fn facts(&self) -> Result<&ServerFacts, Problem> {
        self.facts.get_or_try_init(|| async { Ok(get_server_facts(&self.conn().await?).await?) }).await
    }

    pub(super) fn close(&self) {
        if let Some(db) = self.db.get() {
            db.close();
        }
    }

    /// The first check that failed among those of `ids` and what they need; of one URL, where `url` names one.
    pub(super) fn blocker(
        &self,
        ids: impl IntoIterator<Item = &'static str>,
        url: Option<&str>,
    ) -> Option<&'static str> {
        let findings = self.findings.borrow();
        let counts = |finding: &&Finding| match (finding.subject.as_deref(), url) {
            (Some(subject), Some(url)) => subject == url,
            (subject, None) => subject != Some(DIRECT_URL),
            (None, Some(_)) => true,
        };
        let blocker = |id| findings.iter().filter(|finding| finding.id == id).filter(counts).find_map(Finding::blocker);
        ids.into_iter().find_map(blocker)
    }
}
