//! Jobs: reading, cancelling, retrying.

use actix_web::{HttpResponse, http::header, web};
use uuid::Uuid;

use crate::http::{
    ApiError, ApiState, Call, HttpResult, IfMatch, JobsQuery, PageSize, RequestIds, codes, conditions, json,
};
use domain::{Code, ErrorClass, JobId, State, Status, Step, progress::percent};
use messages::{BASE_PATH, JobView, PageOfJobView, Progress, RetryRequest};
use pg::Db;
use store::{
    Cursor,
    jobs::{self, Cancelling, Job, Redriven},
};

pub const JOBS: PageSize = PageSize { default: 20, max: 100 };

/// A job as JSON has it.
pub fn job_view(job: Job) -> JobView {
    let share = percent(job.status, job.state, job.checkpoint(), job.counts);
    let waiting = matches!(job.state, State::Queued | State::Retryable);
    JobView {
        job_id: job.job_id.0,
        document_id: job.document_id.0,
        filename: job.filename,
        version_no: job.version_no,
        status: job.status.to_string(),
        state: job.state.to_string(),
        terminal: job.state.is_terminal(),
        retry_count: job.retry_count,
        progress: Progress {
            stage_pct: tenths(share.stage),
            total_pct: tenths(share.total),
            pages: job.counts.pages,
            pages_read: job.counts.pages_read,
            pages_per_second: job.pages_per_second,
            chunks: job.counts.chunks,
            embedded: job.counts.embedded,
            reused: job.counts.reused,
            kept: job.kept,
        },
        cost_cents: job.bill.cost,
        uncertain_cents: job.bill.uncertain,
        last_error: job.last_error,
        priority: job.priority,
        run_at: waiting.then_some(job.run_at),
        upload_expires_at: job.upload_expires_at.filter(|_| waiting && job.status == Status::Uploaded),
        created_at: job.created_at,
        updated_at: job.updated_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
    }
}

/// The path of a job.
pub fn job_path(id: JobId) -> String {
    format!("{BASE_PATH}/jobs/{id}")
}

/// Rounded down, so that nothing looks finished before it is.
fn tenths(percent: f64) -> f64 {
    (percent * 10.0).floor() / 10.0
}

/// List jobs.
///
/// The caller's jobs, newest first.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "Jobs",
    params(JobsQuery),
    responses((
        status = 200,
        description = "A page of jobs; without `next_cursor` it is the last.",
        body = PageOfJobView
    )),
    extensions(
        ("x-pages" = json!(JOBS)),
        ("x-codes" = json!(codes(&[Code::StateInvalid, Code::StatusInvalid, Code::IdInvalid, Code::TimeInvalid])))
    )
)]
pub async fn list_jobs(Call { state, caller, request }: Call, query: web::Query<JobsQuery>) -> HttpResult {
    let (filter, list) = query.filter()?;
    let (limit, after) = (JOBS.limit(query.limit)?, list.position(query.cursor.as_deref())?);
    let rows = state.read(async |db: &Db| jobs::list_jobs(db, caller.user, &filter, after, limit + 1).await).await?;
    let key = |row: &Job| Cursor { created_at: row.created_at, id: row.job_id.0 };
    conditions::json(&request, &list.page(rows, limit, key, job_view))
}

/// Read a job.
///
/// Its status, its state, its progress, and why it failed.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id, as the answer to the upload gave it.")),
    responses((status = 200, description = "The job.", body = JobView)),
    extensions(("x-codes" = json!(codes(&[Code::JobNotFound]))))
)]
pub async fn get_job(Call { state, caller, request }: Call, id: web::Path<Uuid>) -> HttpResult {
    let job = jobs::get_job(&state.conn().await?, caller.user, JobId(*id)).await?;
    let job = job.ok_or_else(|| ApiError::of(Code::JobNotFound))?;
    RequestIds::join(&request, job.correlation_id);
    conditions::json(&request, &job_view(job))
}

/// Whether a job still has the tag that the client sent, if it sent one.
fn as_seen(seen: Option<&IfMatch>) -> impl Fn(&Job) -> bool + Send + Sync {
    move |job| seen.is_none_or(|seen| seen.holds(&job_view(job.clone())))
}

/// Cancel a job.
///
/// A job that runs is stopped within a heartbeat; what it has committed stays. Cancelling twice changes nothing. A
/// cancelled job can be retried.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id, as the answer to the upload gave it.")),
    responses((status = 200, description = "The job, cancelled.", body = JobView)),
    extensions(("x-codes" = json!(codes(&[Code::JobNotFound, Code::JobEnded]))))
)]
pub async fn cancel_job(Call { state, caller, request }: Call, id: web::Path<Uuid>) -> HttpResult {
    let (id, seen) = (JobId(*id), IfMatch::of(&request));
    state.require_schema().await?;
    let cancelling = jobs::cancel_owned_job(&state.db, caller.user, id, Some(&as_seen(seen.as_ref()))).await?;
    let stopped = matches!(cancelling, Cancelling::Stopped(_));
    let job = match cancelling {
        Cancelling::Stopped(job) | Cancelling::Ended(job) => job,
        Cancelling::Changed => return Err(ApiError::of(Code::PreconditionFailed)),
        Cancelling::NotFound => return Err(ApiError::of(Code::JobNotFound)),
    };
    RequestIds::join(&request, job.correlation_id);
    if stopped {
        tracing::info!(job.id = %id, document.id = %job.document_id, "job {id} is cancelled by its owner");
    } else if job.state != State::Cancelled {
        let detail = format!(
            "This job has ended ({}), so there is nothing to cancel. Delete its document to be rid of it.",
            job.state
        );
        return Err(ApiError::new(Code::JobEnded, detail).about(Some(id.0), Some(job.document_id.0)));
    }
    Ok(HttpResponse::Ok().json(job_view(*job)))
}

/// Retry a job.
///
/// From its last good checkpoint, or from an earlier status that `from` names. A job that is done needs `from`. The
/// first failure stays on record. Where another try would end as the last one did, the answer says what would help.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    tag = "Jobs",
    params(("id" = Uuid, Path, description = "The job's id, as the answer to the upload gave it.")),
    request_body(content = RetryRequest, description = "Where to go on from; may be empty."),
    responses((status = 202, description = "The job, queued again.", body = JobView)),
    extensions(
        ("x-optional-body" = json!(true)),
        ("x-links" = json!({ "/job_id": ["get_job", "get_events", "cancel_job"] })),
        ("x-codes" = json!(codes(&[
            Code::JobNotFound,
            Code::DocumentBusy,
            Code::JobNotRetryable,
            Code::RetryNeedsType,
            Code::RetryNeedsUpload,
            Code::RetryFromInvalid,
            Code::StorageUnavailable
        ])))
    )
)]
pub async fn retry_job(Call { state, caller, request }: Call, id: web::Path<Uuid>, body: web::Payload) -> HttpResult {
    let wish: RetryRequest = json::optional(&request, body).await?;
    let from = wish.from.as_deref().map(parse_from).transpose()?;
    let (id, seen) = (JobId(*id), IfMatch::of(&request));
    if let Some(job) = jobs::get_job(&state.conn().await?, caller.user, id).await?
        && is_without_bytes(&state, job.failed_with(), &job.raw_path).await?
    {
        return Err(ApiError::of(Code::RetryNeedsUpload).about(Some(id.0), Some(job.document_id.0)));
    }
    match jobs::redrive_owned_job(&state.db, caller.user, id, from, Some(&as_seen(seen.as_ref()))).await? {
        Redriven::Queued(job) => {
            RequestIds::join(&request, job.correlation_id);
            state.notifier.poke();
            tracing::info!(job.id = %id, document.id = %job.document_id, job.status = %job.status, "job {id} is queued again by its owner");
            Ok(HttpResponse::Accepted().insert_header((header::LOCATION, job_path(id))).json(job_view(*job)))
        }
        Redriven::NotFound => Err(ApiError::of(Code::JobNotFound)),
        Redriven::Changed => Err(ApiError::of(Code::PreconditionFailed)),
        Redriven::TooFar(job) => {
            RequestIds::join(&request, job.correlation_id);
            let reached = job.checkpoint_reached();
            Err(ApiError::new(
                Code::RetryFromInvalid,
                format!("The job has only come to {reached}; `from` may name that or an earlier status."),
            ))
        }
        Redriven::Helpless(code, job) => {
            RequestIds::join(&request, job.correlation_id);
            Err(ApiError::of(code).about(Some(id.0), Some(job.document_id.0)))
        }
        Redriven::Busy(other) => Err(ApiError::of(Code::DocumentBusy).about(Some(other.0), None)),
        Redriven::Refused(job) => {
            RequestIds::join(&request, job.correlation_id);
            Err(ApiError::new(Code::JobNotRetryable, why_not(job.state)).about(Some(id.0), Some(job.document_id.0)))
        }
    }
}

/// Whether a job failed because its bytes were not in the object store, and they still are not.
pub async fn is_without_bytes(state: &ApiState, failed_with: Option<Code>, key: &str) -> Result<bool, ApiError> {
    if failed_with != Some(Code::ObjectMissing) {
        return Ok(false);
    }
    match state.store.head(key).await {
        Ok(found) => Ok(found.is_none()),
        // Another program's row may name what cannot be a place.
        Err(failure) if failure.class == ErrorClass::Document => Ok(true),
        Err(failure) => Err(ApiError::storage(&failure)),
    }
}

pub fn parse_from(name: &str) -> Result<Status, ApiError> {
    let status: Status = name.parse().map_err(|error| ApiError::new(Code::RetryFromInvalid, format!("{error}.")))?;
    if Step::after(status).is_none() {
        return Err(ApiError::new(
            Code::RetryFromInvalid,
            format!("Nothing comes after {status}; name an earlier status."),
        ));
    }
    Ok(status)
}

fn why_not(state: State) -> &'static str {
    match state {
        State::Working => "A worker has this job. Cancel it first, or wait for it to end.",
        State::Done => "This job is done. Name in `from` the status to do it again from, for example \"uploaded\".",
        State::Queued | State::Retryable | State::Deadletter | State::Cancelled => {
            "The job changed during this request. Read it and try again."
        }
    }
}
