//! What the checks of one run share: the settings, and results of earlier checks that later ones use.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use tokio::{net::TcpStream, runtime::Handle, sync};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{catalogue::CheckName, cause::Problem, finding::Finding};
use config::{Config, Fault};
use domain::{
    ParseMemory,
    build_info::BuildInfo,
    document::OcrFound,
    ports::{ModelSource, ObjectStore, Reranker},
};
use pg::{
    Conn, ConnectTarget, Db, PoolOptions,
    connect_error::ConnectProblem,
    probe::SessionMode,
    server::{ServerFacts, get_server_facts},
    url::DatabaseUrl,
};

/// The check that reports missing settings.
pub(super) const SETTINGS_ID: &str = "cfg.parse";
/// A failed check of this URL blocks no check of DATABASE_URL.
pub(super) const DIRECT_URL: &str = "DIRECT_URL";

/// What the caller of `app check` asked for.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CheckOptions {
    /// Only these: groups (database, storage, …) or ids (db.mode, …), separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<CheckName>,
    /// Leave out what only a running deployment can answer: workers and API
    #[arg(long, conflicts_with = "e2e")]
    pub pre: bool,
    /// Upload a small document, wait until it can be found, and delete it
    #[arg(long)]
    pub e2e: bool,
    /// Ask the API the questions of this file, as `app eval` does, and fail if too few answers are found
    #[arg(long, value_name = "QUESTIONS.jsonl", conflicts_with = "pre")]
    pub recall: Option<PathBuf>,
    /// The API's address for its clients
    #[arg(long, value_name = "URL")]
    pub api_url: Option<Url>,
    /// The commit that API and workers should run; seven digits are enough
    #[arg(long, value_name = "SHA", value_parser = commit)]
    pub expect_commit: Option<String>,
    /// The branch that they should be built from
    #[arg(long, value_name = "NAME")]
    pub expect_branch: Option<String>,
}

/// Parses a commit, or the first seven digits of it or more.
fn commit(text: &str) -> Result<String, String> {
    match text.len() >= 7 && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("is not a commit: 7 to 40 hex digits".to_owned()),
    }
}

/// What a file of questions says of search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// What was measured, as a clause.
    pub measured: String,
    /// A sentence for each measure that is below what was asked.
    pub missed: Vec<String>,
}

/// Measures search by a file of questions, or says why that cannot be done.
pub type MeasureRecall = Box<dyn Fn(PathBuf) -> LocalBoxFuture<'static, Result<Recall, String>>>;

/// The environment to check.
pub struct Setup<'a> {
    /// All settings; a setting that cannot be used has its default.
    pub config: &'a Config,
    /// The settings that cannot be used.
    pub faults: &'a [Fault],
    /// This build.
    pub build: &'a BuildInfo,
    /// The command line's options.
    pub options: &'a CheckOptions,
    /// The object store, or why it cannot be opened.
    pub store: Result<Arc<dyn ObjectStore>, String>,
    /// The local model, which is loaded at its first use.
    pub model: Arc<dyn ModelSource>,
    /// The reranker, if one is configured, or why its client cannot be made.
    pub reranker: Result<Option<Arc<dyn Reranker>>, String>,
    /// Finds the library that reads PDFs.
    pub pdf_library: Box<dyn Fn() -> Option<PathBuf> + Send + Sync + 'a>,
    /// What reads pictures, if it works; `None`: there is nothing, and nothing is asked for.
    pub ocr: Box<dyn Fn() -> Result<Option<OcrFound>, domain::Failure> + Send + Sync + 'a>,
    /// Asks the questions of a file.
    pub recall: MeasureRecall,
    /// The memory of this container, and who shares it.
    pub memory: ParseMemory,
    /// The main runtime: database connections live on it.
    pub runtime: Handle,
    /// Cancelled by INT and TERM: no further check begins, and a check that has stored something removes it.
    pub stop: &'a CancellationToken,
}

impl fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("options", self.options).finish_non_exhaustive()
    }
}

/// One of the two database URLs, and the results of the checks on the way to its database.
pub(super) struct UrlPath<'a> {
    pub(super) name: &'static str,
    url: Option<&'a DatabaseUrl>,
    /// Set by `net.dns`; `net.family` keeps those with a route.
    pub(super) addresses: RefCell<Vec<SocketAddr>>,
    /// Set by `net.tcp`, for `net.protocol`.
    pub(super) stream: Cell<Option<TcpStream>>,
    /// Set by `net.tls`, for `db.login`: why the login failed; `None` if it succeeded.
    pub(super) login: OnceCell<Option<ConnectProblem>>,
}

impl<'a> UrlPath<'a> {
    fn new(name: &'static str, url: Option<&'a DatabaseUrl>) -> Self {
        Self { name, url, addresses: RefCell::default(), stream: Cell::default(), login: OnceCell::new() }
    }

    pub(super) fn url(&self) -> Result<&'a DatabaseUrl, Problem> {
        self.url.ok_or(Problem::Behind(SETTINGS_ID))
    }
}

/// The fields of `/health` that are checked. An older or newer API may have other fields besides.
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

/// The session modes of the two URLs, as a probe found them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    pub(super) database: SessionMode,
    pub(super) direct: Option<SessionMode>,
}

/// The state of one run.
pub(super) struct Context<'a> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) config: &'a Config,
    pub(super) options: &'a CheckOptions,
    /// The findings so far.
    pub(super) findings: RefCell<Vec<Finding>>,
    /// DATABASE_URL, and DIRECT_URL if it is different.
    pub(super) urls: Vec<UrlPath<'a>>,
    /// Set by `db.mode`.
    pub(super) modes: OnceCell<Modes>,
    /// Set by `store.rw`: whether the store keeps older versions of objects.
    pub(super) keeps_versions: OnceCell<bool>,
    /// Set by `api.reach`.
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
            keeps_versions: OnceCell::new(),
            health: OnceCell::new(),
            facts: sync::OnceCell::new(),
            db: OnceCell::new(),
        }
    }

    /// How the roles connect to `url`; the reason if TLS cannot be set up.
    pub(super) fn target(&self, url: &DatabaseUrl) -> Result<ConnectTarget, String> {
        ConnectTarget::new(url.clone(), self.config.database.connect_timeout).map_err(|error| error.to_string())
    }

    /// A small pool for DATABASE_URL, opened at the first call.
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

    /// The first failed check among `ids` and the checks they need. With `url`, only findings of that URL count, and
    /// those of no URL.
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
