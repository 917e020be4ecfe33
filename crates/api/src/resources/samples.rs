//! Examples for the contract, as values of the messages: one that no longer fits does not compile.

use std::collections::BTreeMap;

use serde_json::json;
use time::{OffsetDateTime, macros::datetime};
use uuid::{Uuid, uuid};

use crate::http::paging::ListId;
use domain::Code;
use messages::{
    ChunkView, DeletionReceipt, DocumentView, DocumentsAccepted, EventView, FileOutcome, Hit, JobView, Page, Problem,
    Progress, RetryManyAnswer, RetryManyRequest, RetryRequest, SearchMode, SearchRequest, SearchResponse, SkippedJob,
    TextRequest, UploadAccepted, UploadRequest,
};
use store::Cursor;

pub const JOB: &str = "01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90";
pub const DOCUMENT: &str = "6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18";
pub const DELETION: &str = "01939e75-0b42-7c11-8a6d-5e9f3c2b1a07";
pub const UPLOAD: &str = "01939e60-6c19-7f02-b3a8-7d1e5c4f9b26";
pub const USER: &str = "11111111-1111-4111-8111-111111111111";
pub const REQUEST: &str = "01939e60-6c18-7d44-8f3b-1a9c5e7d2b60";
pub const CORRELATION: &str = "01939e60-6c18-7d44-8f3b-1a9c5e7d2b60";
pub const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub const TAG: &str = "\"5f2a8d1c9e47b36a0f1e2d3c4b5a6978\"";
pub const KEY: &str = "0b6f0f6e-8f0c-4b5e-9c1d-2a7e4d9b3c58";

const JOB_ID: Uuid = uuid!("01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90");
const DOCUMENT_ID: Uuid = uuid!("6f1d3a52-8c0e-5b7f-a1d4-93e2c6b05f18");
const DELETION_ID: Uuid = uuid!("01939e75-0b42-7c11-8a6d-5e9f3c2b1a07");
const CHUNK_ID: Uuid = uuid!("3b0c9d1e-5f2a-5d8b-9c47-e61f0a2d3b54");
const CAME: OffsetDateTime = datetime!(2026-03-02 09:15:04.25 UTC);
const ENDED: OffsetDateTime = datetime!(2026-03-02 09:15:09.5 UTC);
const FILE: &str = "household-policy.pdf";

/// Of a list that goes by time.
pub fn cursor() -> String {
    ListId::new("jobs").cursor(&Cursor { created_at: CAME, id: JOB_ID })
}

/// What can be done with the job of an upload.
pub const JOB_OPERATIONS: [&str; 4] = ["get_job", "get_events", "cancel_job", "retry_job"];
/// What can be done with its document.
pub const DOCUMENT_OPERATIONS: [&str; 3] = ["get_document", "list_chunks", "delete_document"];

pub fn upload_request() -> UploadRequest {
    UploadRequest {
        filename: FILE.to_owned(),
        bytes_len: 182_044,
        mime: "application/pdf".to_owned(),
        sha256: SHA256.to_owned(),
        ocr: false,
    }
}

pub fn text_request() -> TextRequest {
    TextRequest {
        title: "Notes on the policy".to_owned(),
        text: "# Water damage\n\nCovered up to 20,000.\n".to_owned(),
    }
}

pub fn upload_accepted() -> UploadAccepted {
    UploadAccepted {
        job_id: JOB_ID,
        document_id: DOCUMENT_ID,
        signed_url: format!(
            "https://documents.example.com/api/upload-pipeline/uploads/{UPLOAD}?expires=1772446504&signature=k3Jx0eQ"
        ),
        upload_expires_at: datetime!(2026-03-02 10:15:04 UTC),
    }
}

fn taken() -> FileOutcome {
    FileOutcome { filename: FILE.to_owned(), job_id: Some(JOB_ID), document_id: Some(DOCUMENT_ID), problem: None }
}

pub fn one_taken() -> DocumentsAccepted {
    DocumentsAccepted { documents: vec![taken()] }
}

pub fn one_of_two_taken() -> DocumentsAccepted {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: "Unprocessable Entity".to_owned(),
        status: 422,
        code: Code::FileEmpty.as_str().to_owned(),
        detail: Code::FileEmpty.detail().to_owned(),
        job_id: None,
        document_id: None,
        request_id: None,
    };
    let refused =
        FileOutcome { filename: "empty.txt".to_owned(), job_id: None, document_id: None, problem: Some(problem) };
    DocumentsAccepted { documents: vec![taken(), refused] }
}

pub fn document() -> DocumentView {
    DocumentView {
        document_id: DOCUMENT_ID,
        filename: FILE.to_owned(),
        mime: "application/pdf".to_owned(),
        bytes_len: 182_044,
        sha256: SHA256.to_owned(),
        processing_status: Some("complete".to_owned()),
        kind: Some("pdf".to_owned()),
        page_count: Some(12),
        chunks: 31,
        job_id: Some(JOB_ID),
        created_at: CAME,
        updated_at: ENDED,
    }
}

pub fn chunk() -> ChunkView {
    ChunkView {
        chunk_id: CHUNK_ID,
        ord: 0,
        heading: "Part 2 > Water damage".to_owned(),
        text: "Damage by water that leaks from pipes is covered up to 20,000.".to_owned(),
        page_first: Some(4),
        page_last: Some(4),
        embedded: true,
    }
}

pub fn receipt(state: &str, objects_pending: i64) -> DeletionReceipt {
    DeletionReceipt {
        deletion_id: DELETION_ID,
        document_id: DOCUMENT_ID,
        state: state.to_owned(),
        objects_pending,
        requested_at: CAME,
    }
}

fn progress(stage_pct: f64, total_pct: f64, chunks: Option<i64>, embedded: Option<i64>) -> Progress {
    Progress { stage_pct, total_pct, pages: chunks.map(|_| 12), chunks, embedded }
}

pub fn job() -> JobView {
    JobView {
        job_id: JOB_ID,
        document_id: DOCUMENT_ID,
        filename: FILE.to_owned(),
        status: "complete".to_owned(),
        state: "done".to_owned(),
        terminal: true,
        retry_count: 0,
        progress: progress(100.0, 100.0, Some(31), Some(31)),
        cost_cents: 0.0,
        last_error: None,
        priority: 0,
        run_at: None,
        created_at: CAME,
        updated_at: ENDED,
        started_at: Some(CAME),
        finished_at: Some(ENDED),
    }
}

pub fn job_queued() -> JobView {
    JobView {
        status: "uploaded".to_owned(),
        state: "queued".to_owned(),
        terminal: false,
        progress: progress(0.0, 0.0, None, None),
        run_at: Some(CAME),
        started_at: None,
        finished_at: None,
        ..job()
    }
}

pub fn job_cancelled() -> JobView {
    let progress = progress(50.0, 60.0, Some(31), Some(15));
    JobView { status: "embedding_in_progress".to_owned(), state: "cancelled".to_owned(), progress, ..job() }
}

pub fn job_failed() -> JobView {
    JobView {
        status: "failed_parse".to_owned(),
        state: "deadletter".to_owned(),
        progress: progress(0.0, 0.0, None, None),
        last_error: Some(json!({
            "code": "no_text_layer",
            "class": "document",
            "message": "The PDF has pictures of pages and no text. Run OCR over it, then upload it again.",
            "step": "parse",
            "status": "uploaded",
            "checkpoint": "uploaded",
            "at": "2026-03-02T09:15:09.5Z"
        })),
        ..job()
    }
}

pub fn event() -> EventView {
    EventView {
        seq: 3,
        ts: ENDED,
        kind: "stage_done".to_owned(),
        severity: "info".to_owned(),
        code: "parsed".to_owned(),
        payload: Some(json!({ "step": "parse", "duration_ms": 412 })),
    }
}

/// A live timeline of a job that ends.
pub const STREAM: &str = "id: 3\nevent: stage_done\ndata: {\"seq\":3,\"ts\":\"2026-03-02T09:15:09.5Z\",\"type\":\"stage_done\",\"severity\":\"info\",\"code\":\"parsed\",\"payload\":{\"step\":\"parse\",\"duration_ms\":412}}\n\nevent: job\ndata: {\"job_id\":\"01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90\",\"status\":\"parsed\",\"state\":\"working\"}\n\nevent: end\ndata: {\"job_id\":\"01939e60-6c1a-7b3e-9d5c-2f4a8b1c7d90\",\"status\":\"complete\",\"state\":\"done\"}\n\n";

pub fn page<T>(item: T) -> Page<T> {
    Page { items: vec![item], next_cursor: None }
}

pub fn retry_from_parsed() -> RetryRequest {
    RetryRequest { from: Some("parsed".to_owned()) }
}

pub fn retry_named() -> RetryManyRequest {
    RetryManyRequest { job_ids: vec![JOB_ID], ..Default::default() }
}

pub fn retry_all_of_one_cause() -> RetryManyRequest {
    let code = Some(Code::StorageUnavailable.as_str().to_owned());
    RetryManyRequest { all: true, code, ..Default::default() }
}

pub fn retry_dry() -> RetryManyRequest {
    RetryManyRequest { all: true, dry_run: true, ..Default::default() }
}

pub fn retried() -> RetryManyAnswer {
    RetryManyAnswer {
        dry_run: false,
        queued: 41,
        skipped: vec![SkippedJob { job_id: JOB_ID, code: Code::DocumentBusy.as_str().to_owned() }],
        reasons: BTreeMap::from([("document_busy".to_owned(), 1)]),
        next_cursor: None,
    }
}

pub fn question() -> SearchRequest {
    let query = "What does the policy say about water damage?".to_owned();
    SearchRequest { query, limit: None, mode: SearchMode::Hybrid, document_id: None }
}

pub fn words_in_one_document() -> SearchRequest {
    let query = "excess theft".to_owned();
    SearchRequest { query, limit: Some(5), mode: SearchMode::Text, document_id: Some(DOCUMENT_ID) }
}

pub fn found() -> SearchResponse {
    SearchResponse {
        hits: vec![Hit {
            document_id: DOCUMENT_ID,
            filename: FILE.to_owned(),
            chunk_id: CHUNK_ID,
            ord: 0,
            heading: "Part 2 > Water damage".to_owned(),
            page_first: Some(4),
            page_last: Some(4),
            text: "Damage by water that leaks from pipes is covered up to 20,000.".to_owned(),
            highlight: "Damage by **water** that leaks from pipes is **covered** up to 20,000.".to_owned(),
            score: 0.0328,
            vector_rank: Some(1),
            text_rank: Some(1),
        }],
        mode: SearchMode::Hybrid,
        model: Some("all-MiniLM-L6-v2".to_owned()),
        took_ms: 8.4,
    }
}
