//! Watching jobs, and steering them.

use actix_web::http::StatusCode;
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{KnownFormat, ObjectBuilder, Ref, Required, SchemaFormat, Type},
};
use uuid::Uuid;

use super::{
    Doc, StateName, StatusName, Tag,
    doc::{json_content, text_content, uuid},
    samples,
};
use crate::api::{
    messages::{EventView, JobView, Page, RetryManyAnswer, RetryManyRequest, RetryRequest},
    resources::events::EVENTS,
    resources::jobs::JOBS,
};
use crate::domain::Code;

const WHICH: &str = "The job's id, as the answer to the upload gave it.";

/// `GET /jobs`.
pub fn list_jobs() -> Doc {
    Doc::new("list_jobs", Tag::Jobs, "List jobs", "The caller's jobs, newest first.")
        .pages(JOBS, &samples::cursor())
        .query("state", "Only jobs in this state.", Ref::from_schema_name(StateName::name()), json!("deadletter"))
        .refers_to::<StateName>()
        .query("status", "Only jobs at this status.", Ref::from_schema_name(StatusName::name()), json!("failed_parse"))
        .refers_to::<StatusName>()
        .query("document_id", "Only jobs of this document.", uuid(), json!(samples::DOCUMENT))
        .query("created_after", "Only jobs made after this moment.", moment(), json!("2026-03-02T00:00:00Z"))
        .query("created_before", "Only jobs made before this moment.", moment(), json!("2026-03-03T00:00:00Z"))
        .answers::<Page<JobView>>(
            StatusCode::OK,
            "A page of jobs; without `next_cursor` it is the last.",
            &[("page", samples::page(samples::job()))],
        )
        .tagged()
        .refuses(&[Code::StateInvalid, Code::StatusInvalid, Code::IdInvalid, Code::TimeInvalid])
}

/// `POST /jobs/retry`.
pub fn retry_jobs() -> Doc {
    let some = RetryManyRequest { job_ids: Uuid::parse_str(samples::JOB).into_iter().collect(), ..Default::default() };
    let all = RetryManyRequest { all: true, code: Some("storage_unavailable".to_owned()), ..Default::default() };
    let dry = RetryManyRequest { all: true, dry_run: true, ..Default::default() };
    Doc::new(
        "retry_jobs",
        Tag::Jobs,
        "Try many jobs again",
        "Those that are named, or with `all` every one that failed, a batch a call: send `next_cursor` as `cursor` until there \
         is none. `dry_run` changes nothing and says what would be queued.",
    )
    .takes_json::<RetryManyRequest>("Which jobs.", &[("named", some), ("all_of_one_cause", all), ("look_first", dry)])
    .answers::<RetryManyAnswer>(StatusCode::OK, "What became of this batch.", &[("batch", samples::retried())])
    .refuses(&[Code::RetrySelectionInvalid, Code::RetryFromInvalid])
}

/// `GET /jobs/{id}`.
pub fn get_job() -> Doc {
    one("get_job", "Look at a job", "Its status, who has it, how far it has come, and why it failed.")
        .answers::<JobView>(
            StatusCode::OK,
            "The job.",
            &[("done", samples::job()), ("queued", samples::job_queued()), ("failed", samples::job_failed())],
        )
        .tagged()
}

/// A moment.
fn moment() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn one(id: &'static str, summary: &'static str, description: &'static str) -> Doc {
    Doc::new(id, Tag::Jobs, summary, description).id_in_path("id", WHICH, samples::JOB).refuses(&[Code::JobNotFound])
}

/// `GET /jobs/{id}/events`.
pub fn get_events() -> Doc {
    let number =
        ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    one(
        "get_events",
        "Read or watch a job's timeline",
        "As JSON, oldest first, a page at a time. With `Accept: text/event-stream`, live until the job has ended: each event \
         of the job with its `seq` as the id, `event: job` with the job whenever it changed, `event: end` at last. A client \
         that was cut off, or whose timeline has lasted for as long as one may, sends the last id as `Last-Event-ID` and goes on behind it, as a browser's EventSource does by itself.",
    )
    .pages(EVENTS, &samples::cursor())
    .header("Last-Event-ID", "The last event that was seen; of the live timeline.", number, json!(3))
    .refers_to::<Page<EventView>>()
    .answers_with(
        StatusCode::OK,
        "The timeline.",
        [
            ("application/json", json_content::<Page<EventView>>(&[("page", samples::page(samples::event()))])),
            ("text/event-stream", text_content(samples::STREAM)),
        ],
    )
    .tagged()
    .refuses(&[Code::LastEventIdInvalid, Code::StreamsPerUser, Code::StreamsFull])
}

/// `POST /jobs/{id}/retry`.
pub fn retry_job() -> Doc {
    let from = RetryRequest { from: Some("parsed".to_owned()) };
    one(
        "retry_job",
        "Try a job again",
        "From its last good checkpoint, or from an earlier status that `from` names. A job that is done needs `from`. The \
         first failure stays on record.",
    )
    .takes(
        "From where; an empty body will do.",
        Required::False,
        [("application/json", json_content(&[("last_checkpoint", RetryRequest::default()), ("earlier", from)]))],
    )
    .refers_to::<RetryRequest>()
    .answers::<JobView>(StatusCode::ACCEPTED, "The job, queued again.", &[("queued", samples::job_queued())])
    .leads_to(StatusCode::ACCEPTED, "/job_id", &["get_job", "get_events", "cancel_job"])
    .located(StatusCode::ACCEPTED)
    .if_match()
    .refuses(&[Code::DocumentBusy, Code::JobNotRetryable, Code::RetryFromInvalid])
}

/// `POST /jobs/{id}/cancel`.
pub fn cancel_job() -> Doc {
    one(
        "cancel_job",
        "Stop a job",
        "A job that runs is stopped within a heartbeat; what it has committed stays. Asking twice changes nothing. A stopped \
         job can be tried again.",
    )
    .answers::<JobView>(StatusCode::OK, "The job, stopped.", &[("cancelled", samples::job_cancelled())])
    .if_match()
    .refuses(&[Code::JobEnded])
}
