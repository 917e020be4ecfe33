//! `app jobs`: list, show, events, retry, cancel.

mod many;

use std::process::ExitCode;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    connect::connect,
    http::{ApiClient, ClientError},
    render,
};
use crate::args::{CancelArgs, JobRef, JobsAction, JobsArgs, JobsListArgs, RetryArgs};
use config::Sources;
use domain::{State, Status, build_info::BuildInfo, printable};
use messages::{DocumentPatch, DocumentView, EventView, JobView, Page};

/// The most items that the API puts on a page.
const PAGE: usize = 100;

/// Runs one action.
///
/// # Errors
///
/// There is no API to ask, or its answer is an error.
pub async fn run(args: JobsArgs, sources: &Sources, build: &BuildInfo) -> anyhow::Result<ExitCode> {
    let api = connect(sources, build)?;
    match args.action.unwrap_or(JobsAction::List(args.list)) {
        JobsAction::List(list) => list_jobs(&api, &list).await?,
        JobsAction::Show(job) => show_job(&api, find_job(&api, &job.job_id).await?, job.json).await?,
        JobsAction::Events(job) => show_events(&api, find_job(&api, &job.job_id).await?, job.json).await?,
        JobsAction::Retry(args) => retry(&api, args).await?,
        JobsAction::Cancel(args) => return cancel(&api, args).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// The one job whose id begins so.
async fn find_job(api: &ApiClient, job: &JobRef) -> anyhow::Result<Uuid> {
    if let Ok(id) = job.0.parse() {
        return Ok(id);
    }
    let query = [("id_prefix", job.0.clone()), ("limit", "2".to_owned())];
    let found: Page<JobView> = api.get("/jobs", &query).await?;
    match found.items.as_slice() {
        [job] => Ok(job.job_id),
        [] => anyhow::bail!("none of your jobs has an id that begins with {}; `app jobs` lists them", job.0),
        _ => anyhow::bail!("several of your jobs have an id that begins with {}; give more of it", job.0),
    }
}

async fn find_jobs(api: &ApiClient, jobs: &[JobRef]) -> anyhow::Result<Vec<Uuid>> {
    let mut ids = Vec::with_capacity(jobs.len());
    for job in jobs {
        ids.push(find_job(api, job).await?);
    }
    Ok(ids)
}

/// Shows a single job as it is afterwards; of several or all jobs, the counts.
async fn retry(api: &ApiClient, args: RetryArgs) -> anyhow::Result<()> {
    let job_ids = find_jobs(api, &args.job_ids).await?;
    match (job_ids.as_slice(), &args.media_type) {
        ([job_id], Some(mime)) => retype(api, *job_id, mime, args.json).await,
        (_, Some(_)) => anyhow::bail!("--type is for one job; name one"),
        ([job_id], None) if !args.dry_run => change_job(api, *job_id, "retry", retry_body(args.from), args.json).await,
        (_, None) => many::retry(api, args, &job_ids).await,
    }
}

/// Corrects the type of the job's document, which queues the job, and shows it.
async fn retype(api: &ApiClient, job_id: Uuid, mime: &str, as_json: bool) -> anyhow::Result<()> {
    let job: JobView = api.get(&format!("/jobs/{job_id}"), &[]).await?;
    let path = format!("/documents/{}", job.document_id);
    let _document: DocumentView =
        api.patch(&path, &DocumentPatch { mime: Some(mime.to_owned()), metadata: None }).await?;
    show_job(api, job_id, as_json).await
}

async fn cancel(api: &ApiClient, args: CancelArgs) -> anyhow::Result<ExitCode> {
    let job_ids = find_jobs(api, &args.job_ids).await?;
    match job_ids.as_slice() {
        [job_id] => {
            change_job(api, *job_id, "cancel", json!({}), args.json).await?;
            Ok(ExitCode::SUCCESS)
        }
        _ => many::cancel(api, &job_ids, args.json).await,
    }
}

async fn list_jobs(api: &ApiClient, args: &JobsListArgs) -> anyhow::Result<()> {
    let mut query = vec![];
    if let Some(state) = args.state {
        query.push(("state", state.to_string()));
    }
    let jobs: Vec<JobView> = list_items(api, "/jobs", query, Some(args.limit)).await?;
    if args.json {
        return render::print_json(&jobs);
    }
    if jobs.is_empty() {
        return render::print("No jobs. `app upload FILE` creates one.\n");
    }
    let header = ["JOB", "FILE", "STATUS", "STATE", "DONE", "CHANGED (UTC)", "ERROR"];
    render::print(&render::table(&header, jobs.iter().map(row)))
}

/// All items of a list, or the first `limit`.
pub(super) async fn list_items<T: serde::de::DeserializeOwned>(
    api: &ApiClient,
    path: &str,
    query: Vec<(&str, String)>,
    limit: Option<u32>,
) -> Result<Vec<T>, ClientError> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let mut items: Vec<T> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = query.clone();
        query.push(("limit", (limit - items.len()).min(PAGE).to_string()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Page<T> = api.get(path, &query).await?;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || items.len() >= limit {
            items.truncate(limit);
            return Ok(items);
        }
    }
}

fn row(job: &JobView) -> Vec<String> {
    vec![
        job.job_id.to_string(),
        job.filename.clone(),
        job.status.clone(),
        job.state.clone(),
        format!("{:.0} %", job.progress.total_pct),
        render::moment(job.updated_at),
        error_of(job).map(|(code, _)| code).unwrap_or_default(),
    ]
}

/// Code and message of the last failure; `None` once the job is done.
pub(super) fn error_of(job: &JobView) -> Option<(String, String)> {
    let error = job.last_error.as_ref().filter(|error| !error.is_null() && job.known_state() != Some(State::Done))?;
    let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((field("code"), field("message")))
}

/// That the bytes are gone, and what to do.
fn bytes_removed(error: &Value) -> Option<String> {
    error.get("bytes_removed_at").map(|_| "The bytes were removed; upload the file again.".to_owned())
}

async fn show_job(api: &ApiClient, job_id: Uuid, as_json: bool) -> anyhow::Result<()> {
    let job: JobView = api.get(&format!("/jobs/{job_id}"), &[]).await?;
    if as_json { render::print_json(&job) } else { render::print(&job_as_text(&job)) }
}

fn job_as_text(job: &JobView) -> String {
    let count = |n: Option<i64>| n.map(|n| n.to_string());
    let moment = |at: Option<time::OffsetDateTime>| at.map(render::moment);
    let error = error_of(job);
    let next = job.run_at.filter(|_| !job.terminal);
    let fields = [
        ("job", Some(job.job_id.to_string())),
        ("document", Some(job.document_id.to_string())),
        ("file", Some(job.filename.clone())),
        ("version", job.version_no.map(|number| number.to_string())),
        ("status", Some(job.status.clone())),
        ("state", Some(job.state.clone())),
        ("done", Some(format!("{:.0} %", job.progress.total_pct))),
        ("pages", count(job.progress.pages)),
        ("chunks", count(job.progress.chunks)),
        ("embedded", count(job.progress.embedded)),
        ("reused", count(job.progress.reused)),
        ("kept", job.progress.kept.map(|kept| format!("{kept} passages kept their vectors"))),
        ("failed tries", (job.retry_count > 0).then(|| job.retry_count.to_string())),
        ("error", error.as_ref().map(|(code, _)| code.clone())),
        ("", error.map(|(_, message)| message)),
        ("", job.last_error.as_ref().and_then(bytes_removed)),
        ("cost", render::cost(job.cost_cents)),
        ("uncertain", render::cost(job.uncertain_cents)),
        ("next run", moment(next)),
        ("waits for", job.upload_expires_at.map(|at| format!("its bytes, until {}", render::moment(at)))),
        ("created", moment(Some(job.created_at))),
        ("started", moment(job.started_at)),
        ("finished", moment(job.finished_at)),
    ];
    let shown = fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    shown.map(|(name, value)| format!("{name:<12}  {}\n", printable(value))).collect()
}

async fn show_events(api: &ApiClient, job_id: Uuid, as_json: bool) -> anyhow::Result<()> {
    let events: Vec<EventView> = list_items(api, &format!("/jobs/{job_id}/events"), vec![], None).await?;
    if as_json {
        return render::print_json(&events);
    }
    let rows = events.iter().map(|event| {
        let payload = event.payload.as_ref().filter(|payload| !payload.is_null());
        let payload = payload.map(Value::to_string).filter(|text| text != "{}").unwrap_or_default();
        vec![render::moment(event.ts), event.severity.clone(), event.kind.clone(), event.code.clone(), payload]
    });
    render::print(&render::table(&["TIME (UTC)", "SEVERITY", "EVENT", "CODE", "DETAILS"], rows))
}

fn retry_body(from: Option<Status>) -> Value {
    from.map_or_else(|| json!({}), |from| json!({ "from": from }))
}

/// Requests a change, then shows the job.
async fn change_job(api: &ApiClient, job_id: Uuid, change: &str, body: Value, as_json: bool) -> anyhow::Result<()> {
    let _answer: Value = api.post(&format!("/jobs/{job_id}/{change}"), &body).await?;
    show_job(api, job_id, as_json).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: &str, last_error: Value) -> JobView {
        serde_json::from_value(json!({
            "job_id": "0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f10", "document_id": "0192f0c1-7a1e-7c6b-8d8e-2f0a4f2f9f11",
            "filename": "a\u{1b}.pdf", "status": "failed_parse", "state": state, "terminal": true, "retry_count": 0,
            "progress": { "stage_pct": 0.0, "total_pct": 12.4, "pages": 3 }, "cost_cents": 0.25,
            "last_error": last_error, "priority": 0,
            "created_at": "2026-11-22T01:02:03Z", "updated_at": "2026-11-22T01:02:04Z"
        }))
        .unwrap()
    }

    #[test]
    fn a_failed_job_shows_code_and_message() {
        let text = job_as_text(&job("deadletter", json!({ "code": "encrypted", "message": "It needs a password." })));
        assert!(text.contains("error         encrypted\n              It needs a password.\n"), "{text}");
        assert!(text.contains("pages         3\n") && !text.contains("chunks") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn an_error_before_a_successful_retry_is_not_shown() {
        assert_eq!(error_of(&job("done", json!({ "code": "x", "message": "y" }))), None);
        assert_eq!(error_of(&job("queued", Value::Null)), None);
    }

    #[test]
    fn a_retry_names_the_status_as_the_api_does() {
        assert_eq!(retry_body(None), json!({}));
        assert_eq!(retry_body(Some(Status::ParseValidated)), json!({ "from": "parse_validated" }));
    }
}
