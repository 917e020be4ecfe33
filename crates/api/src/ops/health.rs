//! Whether this process lives, is ready, and which build it is. Open to everyone.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{HttpResponse, http::header, web};
use time::OffsetDateTime;

use crate::{http::ApiState, ops::storage_health::StorageHealth};
use messages::{Health, VersionInfo};
use store::migrations::get_environment_stamp;

/// The most that a probe waits for its answer: platforms wait about 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What a check says when it finds nothing wrong.
const OK: &str = "ok";

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
pub async fn health(state: web::Data<ApiState>, storage: web::Data<StorageHealth>) -> HttpResponse {
    answer(&state, &storage).await
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
pub async fn readyz(state: web::Data<ApiState>, storage: web::Data<StorageHealth>) -> HttpResponse {
    answer(&state, &storage).await
}

/// 503 with the reasons while requests cannot be served. Without the object store only uploads fail: the status is then
/// `degraded`, and the platform keeps this process.
async fn answer(state: &ApiState, storage: &StorageHealth) -> HttpResponse {
    let (checks, storage) =
        tokio::join!(tokio::time::timeout(ANSWER_WITHIN, checks(state)), storage.look(state.store.as_ref()));
    let mut checks = checks.unwrap_or_else(|_elapsed| {
        BTreeMap::from([("database".to_owned(), format!("no answer within {} s", ANSWER_WITHIN.as_secs()))])
    });
    let ready = checks.values().all(|check| check == OK);
    let status = match (ready, storage == OK) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "unavailable",
    };
    checks.insert("storage".to_owned(), storage);
    let body = Health {
        status: status.to_owned(),
        environment: state.settings.environment.clone(),
        timestamp: OffsetDateTime::now_utc(),
        version: state.build.version.to_owned(),
        commit: state.build.commit.clone(),
        branch: state.build.branch.clone(),
        built_at: state.build.built_at,
        schema_version: state.build.schema_version,
        checks,
    };
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

async fn checks(state: &ApiState) -> BTreeMap<String, String> {
    let ok = || OK.to_owned();
    let mut checks = BTreeMap::new();
    match get_environment_stamp(&state.db).await {
        Err(error) => {
            checks.insert("database".to_owned(), error.to_string());
            return checks;
        }
        Ok(stamp) => {
            checks.insert("database".to_owned(), ok());
            let ours = &state.settings.environment;
            let environment = match stamp {
                Some(stamped) if stamped != *ours => {
                    format!(
                        "this database belongs to {stamped}, this process to {ours}; check DATABASE_URL and ENVIRONMENT"
                    )
                }
                _ => ok(),
            };
            checks.insert("environment".to_owned(), environment);
        }
    }
    let schema = match state.schema_problem().await {
        Ok(problem) => problem.unwrap_or_else(ok),
        Err(error) => error.to_string(),
    };
    checks.insert("schema".to_owned(), schema);
    checks
}
