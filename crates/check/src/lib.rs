//! What `app check` looks at: what each check asks, and under a failure the cause and the fix.
//!
//! Groups stand in the order in which an early failure explains the later ones: a check that can no longer be run is
//! skipped and says so. Nothing is changed for good; what a check has to put somewhere is rolled back or removed.
//!
//! *Must not know:* how its findings are printed, or how the process goes on. SQL on our tables stands in [`store`].

mod api;
mod auth;
mod budget;
mod catalogue;
mod configuration;
mod database;
mod e2e;
mod environment;
mod finding;
mod http;
mod login;
mod network;
mod outside;
mod own;
mod providers;
mod queue;
mod report;
mod schema;
mod selection;
mod session_mode;
mod storage;
mod workers;

use std::{fmt, sync::Arc};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::{
    catalogue::{GROUPS, Group, group_of, render_markdown},
    finding::{Cause, CheckStatus, Finding, Severity},
    report::{Report, Summary, Verdict},
    selection::Selection,
};
use config::{Config, Fault};
use domain::{
    build_info::BuildInfo,
    ports::{ModelSource, ObjectStore},
};
use pg::{ConnectTarget, Db, PoolOptions, url::DatabaseUrl};

/// What the caller of `app check` asked for.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Which checks.
    pub selection: Selection,
    /// The API as its clients reach it.
    pub api_url: Option<Url>,
    /// The commit that should run; seven hex digits or more of it.
    pub expect_commit: Option<String>,
    /// The branch that should run.
    pub expect_branch: Option<String>,
}

/// What the checks look at.
pub struct Scene<'a> {
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
    /// The local model, which loads when it is first asked.
    pub model: Arc<dyn ModelSource>,
    /// The main runtime: database connections live on it.
    pub runtime: Handle,
    /// Cancelled by INT and TERM: no check begins any more, and one that has put something somewhere removes it.
    pub stop: &'a CancellationToken,
}

impl fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene").field("options", self.options).finish_non_exhaustive()
    }
}

impl Scene<'_> {
    /// Where `url` leads, as the roles would connect; why not, where TLS cannot be set up.
    fn target(&self, url: &DatabaseUrl) -> Result<ConnectTarget, String> {
        ConnectTarget::new(url.clone(), self.config.database.connect_timeout).map_err(|error| error.to_string())
    }

    /// A small pool on `target`.
    fn open(&self, target: ConnectTarget) -> Option<Db> {
        let wait = self.config.database.connect_timeout + self.config.database.pool_timeout;
        Db::open(target, PoolOptions { size: 4, wait, ..PoolOptions::default() }).ok()
    }
}

/// Looks at everything that was asked for; findings are in the order of the catalogue.
pub async fn run_checks(scene: &Scene<'_>) -> Vec<Finding> {
    let selection = &scene.options.selection;
    let mut findings = configuration::check(scene);
    let db = if selection.needs_database() {
        // Nothing of these has anything to remove: what is in hand is rolled back.
        let (found, db) = tokio::select! {
            found = look_at_database(scene) => found,
            () = scene.stop.cancelled() => (Vec::new(), Err("cfg.parse")),
        };
        findings.extend(found);
        db
    } else {
        outside::usable_database(scene).await.ok_or("cfg.parse")
    };
    findings.extend(outside::check(scene, db.as_ref().map_err(|blocker| *blocker)).await);
    if let Ok(db) = db {
        db.close();
    }
    let mut findings = selection.keep(findings);
    // Stable: findings of one check keep their order.
    findings.sort_by_key(|finding| catalogue::position(finding.id));
    findings
}

/// Groups that ask the database, in the order in which an earlier failure makes the later ones pointless.
const OF_DATABASE: [&Group; 5] =
    [&database::GROUP, &schema::GROUP, &environment::GROUP, &queue::GROUP, &workers::GROUP];

/// From the name of the host to the live workers: each stage only where the one before it left a way. With the database,
/// where it is one to write to; else with the check that says why it is not.
async fn look_at_database(scene: &Scene<'_>) -> (Vec<Finding>, Result<Db, &'static str>) {
    let (mut findings, target) = network::check(scene).await;
    let db = target.and_then(|target| scene.open(target));
    if let Some(db) = &db {
        findings.extend(database::check(scene, db).await);
        if first_failure(&findings, &BEFORE_SCHEMA).is_none() {
            findings.extend(schema::check(scene, db).await);
            findings.push(environment::check(scene, db, &findings).await);
        }
        if first_failure(&findings, &BEFORE_QUEUE).is_none() {
            findings.extend(queue::check(scene, db).await);
            findings.extend(workers::check(scene, db).await);
        }
    }
    let failed = first_failure(&findings, &BEFORE_QUEUE);
    let blocker = failed.unwrap_or("cfg.parse");
    let mut missing: Vec<_> = OF_DATABASE.iter().flat_map(|group| group.checks).map(|(id, _)| *id).collect();
    missing.retain(|id| findings.iter().all(|finding| finding.id != *id));
    findings.extend(finding::skip_behind(&missing, blocker));
    (findings, db.filter(|_| failed.is_none()).ok_or(blocker))
}

/// What has to be mended before the schema can be looked at.
const BEFORE_SCHEMA: [&str; 4] = ["db.version", "db.writable", "db.extension", "db.role"];
/// What has to be mended before a job can be sent on its way, the first thing first.
const BEFORE_QUEUE: [&str; 14] = [
    "net.dns",
    "net.family",
    "net.tcp",
    "net.protocol",
    "net.tls",
    "db.login",
    "db.version",
    "db.writable",
    "db.extension",
    "db.role",
    "db.schema",
    "env.stamp",
    "db.enum",
    "db.shape",
];

/// The first of `ids` that failed. A failure of the way to `DIRECT_URL` stands in no way here.
fn first_failure(findings: &[Finding], ids: &[&'static str]) -> Option<&'static str> {
    let failed =
        |id: &str| findings.iter().any(|f| f.id == id && f.is_failure() && f.subject.as_deref() != Some("DIRECT_URL"));
    ids.iter().copied().find(|id| failed(id))
}
