//! Whether this process lives, is ready, and which build it is. Open to everyone.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpResponse, http::header, web};
use time::OffsetDateTime;

use crate::{http::ApiState, ops::storage_health::StorageHealth};
use domain::{Code, Failure};
use messages::{Health, VersionInfo};
use store::migrations::get_environment_stamp;

/// The most that a probe waits for its answer: platforms wait about 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What a check says when it finds nothing wrong.
const OK: &str = "ok";

/// What each check found; `None`: nothing wrong.
type Checks = BTreeMap<&'static str, Option<Failure>>;

/// What the probes of one server remember.
#[derive(Default)]
pub struct Probes {
    storage: StorageHealth,
    /// The codes of the last answer.
    logged: Mutex<Vec<Code>>,
}

impl Probes {
    /// Logs what changed since the last answer: probes come every few seconds.
    fn log(&self, status: &str, checks: &Checks) {
        let problems = || checks.iter().filter_map(|(name, problem)| Some((name, problem.as_ref()?)));
        let codes: Vec<Code> = problems().map(|(_, failure)| failure.code).collect();
        let before = std::mem::replace(&mut *self.logged.lock().unwrap_or_else(PoisonError::into_inner), codes.clone());
        if before == codes {
            return;
        }
        if codes.is_empty() {
            tracing::info!("ready again");
        }
        for (name, failure) in problems() {
            tracing::warn!(error.code = failure.code.as_str(), check = name, "{status}: {failure}");
        }
    }
}

/// Whether this process answers.
///
/// Never touches the database. Platforms that restart what is dead probe this.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "Service",
    responses((status = 200, description = "It answers.", body = String, content_type = "text/plain"))
)]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Which build this is.
///
/// Version, commit, branch, and the newest migration it knows.
#[utoipa::path(
    get,
    path = "/version",
    tag = "Service",
    responses((status = 200, description = "The build.", body = VersionInfo))
)]
pub async fn version(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().json(VersionInfo {
        version: state.build.version.to_owned(),
        commit: state.build.commit.clone(),
        branch: state.build.branch.clone(),
        built_at: state.build.built_at,
        schema_version: state.build.schema_version,
        environment: state.settings.environment.clone(),
    })
}

/// Whether this process is ready, and why not.
///
/// Asks the database, within 3 s. Platforms that route by readiness probe this.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Service",
    responses(
        (status = 200, description = "Ready.", body = Health),
        (status = 503, description = "Not ready; `checks` has the reasons.", body = Health)
    )
)]
pub async fn health(state: web::Data<ApiState>, probes: web::Data<Probes>) -> HttpResponse {
    answer(&state, &probes).await
}

/// The same as /health.
///
/// Asks the database, within 3 s. Platforms that route by readiness probe this.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Service",
    responses(
        (status = 200, description = "Ready.", body = Health),
        (status = 503, description = "Not ready; `checks` has the reasons.", body = Health)
    )
)]
pub async fn readyz(state: web::Data<ApiState>, probes: web::Data<Probes>) -> HttpResponse {
    answer(&state, &probes).await
}

/// 503 with the reasons while requests cannot be served. Without the object store only uploads fail: the status is then
/// `degraded`, and the platform keeps this process. The answer is open to everyone, so it names codes; the sentences go
/// to the log.
async fn answer(state: &ApiState, probes: &Probes) -> HttpResponse {
    let (checks, storage) =
        tokio::join!(tokio::time::timeout(ANSWER_WITHIN, checks(state)), probes.storage.look(state.store.as_ref()));
    let mut checks = checks.unwrap_or_else(|_elapsed| {
        let silent = Failure::new(
            Code::DatabaseUnavailable,
            format!("The database did not answer within {} s.", ANSWER_WITHIN.as_secs()),
        );
        BTreeMap::from([("database", Some(silent))])
    });
    let ready = checks.values().all(Option::is_none);
    let status = match (ready, storage.is_none()) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "unavailable",
    };
    checks.insert("storage", storage);
    probes.log(status, &checks);
    let said = |problem: &Option<Failure>| problem.as_ref().map_or(OK, |failure| failure.code.as_str()).to_owned();
    let body = Health {
        status: status.to_owned(),
        environment: state.settings.environment.clone(),
        timestamp: OffsetDateTime::now_utc(),
        version: state.build.version.to_owned(),
        commit: state.build.commit.clone(),
        branch: state.build.branch.clone(),
        built_at: state.build.built_at,
        schema_version: state.build.schema_version,
        checks: checks.iter().map(|(&name, problem)| (name.to_owned(), said(problem))).collect(),
    };
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

async fn checks(state: &ApiState) -> Checks {
    let stamp = match get_environment_stamp(&state.db).await {
        Ok(stamp) => stamp,
        Err(error) => return BTreeMap::from([("database", Some(error.into()))]),
    };
    let ours = &state.settings.environment;
    let environment = stamp.filter(|stamped| stamped != ours).map(|stamped| {
        let sentence =
            format!("This database belongs to {stamped}, this process to {ours}. Check DATABASE_URL and ENVIRONMENT.");
        Failure::new(Code::WrongEnvironment, sentence)
    });
    let schema = match state.schema_problem().await {
        Ok(problem) => problem.map(|sentence| Failure::new(Code::SchemaBehind, sentence)),
        Err(error) => Some(error.into()),
    };
    BTreeMap::from([("database", None), ("environment", environment), ("schema", schema)])
}
