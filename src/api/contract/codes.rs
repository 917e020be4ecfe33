//! What problems look like: a sentence for each code, and what a status stands for.

use serde_json::{Value, json};

/// An example of each code's `detail`. Where limits stand in them, those are the defaults.
const DETAILS: &[(&str, &str)] = &[
    ("body_incomplete", "The body did not arrive whole. Send it again."),
    (
        "body_too_large",
        "The body is larger than the 2097152 bytes that this route takes. Send less, or a text as a file.",
    ),
    (
        "content_encoding_invalid",
        "This server takes bodies as they are, without Content-Encoding. Send the bytes uncompressed.",
    ),
    (
        "body_too_slow",
        "The body came more slowly than 8192 bytes a second (API_BODY_MIN_RATE) for longer than 30 s (API_BODY_GRACE). Send it again over a better connection.",
    ),
    ("content_type_invalid", "This route takes JSON. Send the header Content-Type: application/json."),
    (
        "cursor_invalid",
        "This cursor was not given out by this list with these filters. Start again without one, then send next_cursor as it came.",
    ),
    ("database_unavailable", "The database cannot be reached just now. Try again in a few seconds."),
    ("deletion_not_found", "There is no such deletion of yours; the id is in the answer to DELETE."),
    ("document_busy", "Another job of this document has not ended. Wait for it, or cancel it first."),
    (
        "document_exists",
        "You have uploaded this content already: it is searchable, or on its way. Use that document, or delete it first.",
    ),
    ("document_not_found", "There is no such document of yours. `GET /documents` lists those there are."),
    ("embedder_unavailable", "Search by meaning is not available just now. Try again, or search with mode \"text\"."),
    ("file_empty", "The file is empty. Send one that has content."),
    ("file_missing", "The form holds no file. Send each as a part with a file name."),
    (
        "file_too_large",
        "The file is larger than 25 MiB, the most that UPLOAD_MAX_BYTES allows here. Split it or make it smaller.",
    ),
    ("filename_empty", "The file has no name. Give it one in `filename`."),
    (
        "filename_invalid",
        "The file name holds control characters, line breaks, or marks that turn text around. Rename the file.",
    ),
    ("filename_too_long", "The file name is longer than 120 characters. Shorten it."),
    (
        "form_invalid",
        "The form cannot be read: Multipart boundary is not found. Send multipart/form-data as RFC 7578 says.",
    ),
    (
        "hash_mismatch",
        "The bytes have another SHA-256 than the one announced. Send the file that was announced, or announce this one.",
    ),
    ("form_too_large", "The form has more than 100 parts that are no files. Send fewer."),
    (
        "idempotency_key_in_use",
        "A request with this Idempotency-Key is being worked on. Send it again, unchanged, when Retry-After says.",
    ),
    (
        "idempotency_key_invalid",
        "Send one Idempotency-Key of 1 to 255 visible ASCII characters, new for each request: a UUID will do.",
    ),
    (
        "idempotency_key_reused",
        "This Idempotency-Key was sent with another request within 24 hours. Make a new one for each request.",
    ),
    ("kind_invalid", "`kind` must be pdf, docx, pptx, xlsx, html, markdown or plain_text."),
    ("precondition_failed", "It has changed since you read it (If-Match). Read it again, and decide anew."),
    ("status_invalid", "`finished` is no status; this build knows uploaded, parsed, complete."),
    (
        "streams_full",
        "There are as many live timelines as API_EVENT_STREAMS allows. Close one, come back when Retry-After says, or ask without Accept: text/event-stream.",
    ),
    (
        "streams_per_user",
        "There are as many live timelines as API_EVENT_STREAMS_PER_USER allows. Close one, come back when Retry-After says, or ask without Accept: text/event-stream.",
    ),
    ("text_invalid", "`text` holds a NUL character. Leave it out."),
    ("time_invalid", "Send moments as RFC 3339 says, such as 2026-11-22T09:30:00Z."),
    ("id_invalid", "The path holds what is no id: UUID parsing failed."),
    (
        "internal_error",
        "Something went wrong on our side. Try again; if it stays, give the request_id to whoever runs this server.",
    ),
    ("job_ended", "This job has ended (done), so there is nothing to cancel. Delete its document to be rid of it."),
    ("job_not_found", "There is no such job of yours. `GET /jobs` lists those there are."),
    ("job_not_retryable", "A worker has this job just now. Cancel it first, or wait for it to end."),
    ("json_invalid", "The JSON body is not what this route takes: missing field `query` at line 1 column 13."),
    (
        "keys_unavailable",
        "The token cannot be verified just now: its issuer's keys cannot be fetched. Try again in a few seconds.",
    ),
    ("last_event_id_invalid", "Last-Event-ID must be the id of an event of this job."),
    ("limit_invalid", "limit must be from 1 to 100."),
    (
        "login_rate_limited",
        "Too many log-ins from your address have failed (API_LOGIN_FAILURES_PER_MINUTE). Send a token or key that is valid, when Retry-After says.",
    ),
    ("mime_invalid", "`mime` is no media type. Send one like application/pdf."),
    ("query_empty", "`query` is empty. Ask something."),
    ("query_invalid", "The query string is not what this route takes: invalid digit found in string."),
    ("query_not_embeddable", "The model cannot read this query. Say it in other words."),
    ("query_too_long", "`query` is longer than 1000 characters. Shorten it."),
    (
        "rate_limited",
        "You have made more than 600 requests a minute (API_RATE_PER_MINUTE), or too many of them at once. Come back when Retry-After says.",
    ),
    ("retry_from_invalid", "The job has only come to parsed; `from` may name that or an earlier status."),
    ("retry_selection_invalid", "Name the jobs in `job_ids`, or say `\"all\": true` for all that failed; not both."),
    ("route_not_found", "There is nothing at this path. The API's base path is /api/upload-pipeline."),
    ("schema_behind", "The database has no schema yet. Run `app migrate`."),
    (
        "scope_missing",
        "This key has the scope read; the request needs one with the scope write. Make one with `app keys create`.",
    ),
    ("sha256_invalid", "`sha256` must be the SHA-256 of the file as 64 hex digits."),
    ("size_mismatch", "The body is 120 bytes long where 100 were announced. Send the file that was announced."),
    ("state_invalid", "There is no state \"finished\"."),
    ("storage_unavailable", "The file could not be stored just now. Try again in a few seconds."),
    ("text_empty", "`text` is empty. Send some text."),
    ("title_empty", "`title` is empty. Give the text a name."),
    ("token_expired", "The token has expired. Sign in again, or refresh it."),
    ("token_invalid", "The token was refused: its signature was made with another key."),
    ("token_missing", "This route needs a user's token or an API key. Send the header Authorization: Bearer <token>."),
    ("too_many_files", "A request takes 20 files. Send the others in another one."),
    (
        "upload_not_wanted",
        "Nothing waits for these bytes any more: the job has ended, or the document was deleted or announced anew.",
    ),
    ("upload_stalled", "No byte came for 60 s. Send the file again."),
    ("upload_url_expired", "This upload URL has expired. Announce the file again with POST /upload."),
    (
        "upload_url_invalid",
        "This upload URL was not made here, or was changed. Use signed_url exactly as POST /upload gave it.",
    ),
    (
        "uploads_per_day",
        "You have reached the number of uploads within 24 hours (UPLOADS_PER_DAY). Come back when Retry-After says.",
    ),
    ("user_forbidden", "This key acts for one user, and X-User-Id names another. Leave the header out."),
    ("user_invalid", "The header X-User-Id is no UUID."),
    ("user_required", "This key acts for many users. Say for which with the header X-User-Id: <uuid>."),
    ("webhook_expired", "This URL has expired. Nothing is lost: the job has ended, or its parser is asked."),
    (
        "webhook_forbidden",
        "This URL and its X-Webhook-Secret were not given out here for this job. Call the URL exactly as it was given, with its header.",
    ),
    ("webhook_stalled", "The body did not come within 30 s. Send it again, or let the parser be asked."),
];

/// What a refusal with this status means, whatever its code.
pub fn what(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood; `detail` names what is wrong. Mend it before sending it again.",
        401 => "Nobody is signed in: send a user's token or an API key that counts.",
        403 => "The caller is known, and may not do this.",
        404 => "It is not there, or is somebody else's.",
        408 => "The request came too slowly. Send it again.",
        409 => "Something stands in the way; `job_id` and `document_id` name it.",
        410 => "What this was for is over. Begin anew.",
        412 => "It is not as `If-Match` says that it was seen.",
        413 => "Larger than the limit that `detail` names.",
        415 => "Not a media type that this route takes.",
        422 => "Well formed, but not acceptable; `detail` says why.",
        429 => "Too much at once, within a minute or within a day. Come back when `Retry-After` says.",
        500 => "A defect on our side. Try again; the `request_id` leads to the log.",
        503 => "Something that this depends on is away. Come back when `Retry-After` says.",
        _ => "Refused; `code` and `detail` say why.",
    }
}

/// Under which name an example stands among the components.
pub fn example_name(status: u16, code: &str) -> String {
    format!("{status}_{code}")
}

/// A problem as it comes over the wire.
pub fn example(status: u16, code: &str) -> Value {
    let title = actix_web::http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({
        "type": "about:blank",
        "title": title.unwrap_or("Error"),
        "status": status,
        "code": code,
        "detail": detail(code).unwrap_or_default(),
        "request_id": crate::api::resources::samples::REQUEST,
    });
    if status == 409 {
        problem["job_id"] = json!(crate::api::resources::samples::JOB);
        problem["document_id"] = json!(crate::api::resources::samples::DOCUMENT);
    }
    problem
}

/// An example of what a code's `detail` says.
pub fn detail(code: &str) -> Option<&'static str> {
    DETAILS.iter().find(|(known, _)| *known == code).map(|(_, detail)| *detail)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::api::server::routes::endpoints;

    #[test]
    fn every_code_of_the_contract_has_a_sentence_and_every_sentence_is_used() {
        let mut used = BTreeSet::new();
        for endpoint in endpoints() {
            for (method, doc) in endpoint.documented() {
                used.extend(doc.build(&method, endpoint.access).refusals.into_values().flatten());
            }
        }
        let told: BTreeSet<&str> = super::DETAILS.iter().map(|(code, _)| *code).collect();
        assert_eq!(told.len(), super::DETAILS.len(), "a code has two sentences");
        assert_eq!(used, told);
    }
}
