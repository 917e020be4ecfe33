//! The table of codes. A row: what it means, what to do, then its name, the HTTP statuses of its problems (the usual one
//! first), the class of its failures, and where it occurs. `say` is an example of a problem's `detail` where that holds values;
//! else the two sentences are the whole of it. What the class decides is told at [`ErrorClass`](crate::ErrorClass).

use super::{Entry, Group};
use crate::ErrorClass;

macro_rules! codes {
    ($($group:ident { $(
        #[doc = $meaning:literal]
        #[doc = $remedy:literal]
        $code:ident = $name:literal
            $(, http [$($status:literal),+])?
            $(, class $class:ident)?
            , at $place:literal
            $(, say $say:literal)?;
    )+ })+) => {
        /// A code by which programs know a failure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(
            #[doc = $meaning]
            #[doc = $remedy]
            $code,
        )+)+ }

        impl Code {
            /// Every code, in the order of docs/errors.md.
            pub const ALL: &'static [Self] = &[$($(Self::$code,)+)+];

            pub(super) fn entry(self) -> &'static Entry {
                match self { $($(
                    Self::$code => &Entry {
                        name: $name,
                        group: Group::$group,
                        statuses: &[$($($status),+)?],
                        class: codes!(@class $($class)?),
                        place: $place,
                        meaning: $meaning,
                        remedy: $remedy,
                        detail: codes!(@detail $meaning $remedy $($say)?),
                    },
                )+)+ }
            }
        }
    };
    (@class) => { None };
    (@class $class:ident) => { Some(ErrorClass::$class) };
    (@detail $meaning:literal $remedy:literal) => { concat!($meaning, $remedy) };
    (@detail $meaning:literal $remedy:literal $say:literal) => { $say };
}

codes! {
    Caller {
        /// This route needs a user's token or an API key.
        /// Send the header `Authorization: Bearer <token>`.
        TokenMissing = "token_missing", http [401], at "every private route";
        /// The token or key is not one that this server takes; `detail` says why.
        /// Check audience, issuer and secret; check that the key is whole, not revoked, and of this environment.
        TokenInvalid = "token_invalid", http [401], at "every private route",
            say "The token was refused: its signature was made with another key.";
        /// The token has expired.
        /// Sign in again, or refresh it.
        TokenExpired = "token_expired", http [401], at "every private route";
        /// The token cannot be verified just now: its issuer's keys cannot be fetched.
        /// Try again in a few seconds.
        KeysUnavailable = "keys_unavailable", http [503], class Transient, at "every private route, with a token signed by a key; the log";
        /// The user made more requests than `API_RATE_PER_MINUTE` allows an instance, or more than a sixth of them at once.
        /// Come back when `Retry-After` says.
        RateLimited = "rate_limited", http [429], at "every private route",
            say "You have made more than 600 requests a minute (API_RATE_PER_MINUTE), or too many of them at once. Come back when Retry-After says.";
        /// The user has retried and cancelled more jobs, and restored more versions, than `API_RETRIES_PER_MINUTE` allows an instance.
        /// Come back when `Retry-After` says.
        RetryRateLimited = "retry_rate_limited", http [429], at "retry, cancel and restore",
            say "You have retried and cancelled jobs more than 30 times a minute (API_RETRIES_PER_MINUTE). Come back when Retry-After says.";
        /// Too many log-ins from your address have failed (API_LOGIN_FAILURES_PER_MINUTE).
        /// Send a token or key that is valid, when Retry-After says.
        LoginRateLimited = "login_rate_limited", http [429], at "every private route, `PUT` of an upload";
        /// The key may not do this: it only reads, or it acts for many users and may not delete.
        /// Use a key with the scope that `detail` names.
        ScopeMissing = "scope_missing", http [403], at "every private route",
            say "This key has the scope read; the request needs one with the scope write. Make one with `app keys create`.";
        /// This key acts for many users.
        /// Say for which with the header `X-User-Id: <uuid>`.
        UserRequired = "user_required", http [400], at "every private route";
        /// The header X-User-Id is no UUID, or is there more than once.
        /// Send the user's UUID, once.
        UserInvalid = "user_invalid", http [400], at "every private route";
        /// This token or key acts for one user, and X-User-Id names another.
        /// Leave the header out.
        UserForbidden = "user_forbidden", http [403], at "every private route";
    }

    Request {
        /// There is nothing at this path.
        /// Begin with `/api/upload-pipeline`.
        RouteNotFound = "route_not_found", http [404], at "any path",
            say "There is nothing at this path. The API's base path is /api/upload-pipeline.";
        /// The path takes other methods.
        /// Send one that the header `Allow` names.
        MethodNotAllowed = "method_not_allowed", http [405], at "any path";
        /// The request cannot be understood.
        /// Correct what `detail` names.
        BadRequest = "bad_request", http [400], at "any route, also with another 4xx";
        /// The request did not arrive in time.
        /// Send it again.
        RequestTimeout = "request_timeout", http [408], at "any route";
        /// The body came more slowly than `API_BODY_MIN_RATE` for longer than `API_BODY_GRACE`.
        /// Send it again over a better connection.
        BodyTooSlow = "body_too_slow", http [408], at "routes with a body",
            say "The body came more slowly than 8192 bytes a second (API_BODY_MIN_RATE) for longer than 30 s (API_BODY_GRACE). Send it again over a better connection.";
        /// This route takes JSON.
        /// Send the header Content-Type: application/json.
        ContentTypeInvalid = "content_type_invalid", http [415], at "routes with a body";
        /// This server takes bodies as they are, without Content-Encoding.
        /// Send the bytes uncompressed.
        ContentEncodingInvalid = "content_encoding_invalid", http [415], at "any route";
        /// The JSON is malformed, or a field is missing, unknown, given twice or of another type.
        /// Correct the field that `detail` names.
        JsonInvalid = "json_invalid", http [400], at "routes with JSON",
            say "The JSON body is not what this route takes: missing field `query` at line 1 column 13.";
        /// The body did not arrive whole.
        /// Send it again.
        BodyIncomplete = "body_incomplete", http [400], at "routes with a body";
        /// The body is larger than `API_BODY_LIMIT`; a text document than `UPLOAD_MAX_BYTES`; a webhook than 1 MiB.
        /// Send less, or upload a file. A webhook that is refused loses nothing.
        BodyTooLarge = "body_too_large", http [413], at "routes with a body",
            say "The body is larger than the 65536 bytes that this route takes. Send less, or a text as a file.";
        /// The query string does not parse, or a parameter is unknown or given twice (400). The search query holds a NUL character (422).
        /// Correct what `detail` names.
        QueryInvalid = "query_invalid", http [400, 422], at "lists, `/search`",
            say "The query string is not what this route takes: invalid digit found in string.";
        /// `filter` is not of its grammar, or beyond its bounds.
        /// Correct what `detail` names; it says what is allowed.
        FilterInvalid = "filter_invalid", http [422, 400], at "`/search` (422), `GET /documents` (400)",
            say "There is no field `size`; there are `metadata.KEY`, `filename`, `kind`, `language`, `created_at` and `updated_at`.";
        /// The id in the path or in the filter is no UUID.
        /// Send the id as it was given.
        IdInvalid = "id_invalid", http [400], at "routes with an id, `GET /jobs`",
            say "The path holds what is no id: UUID parsing failed.";
        /// `limit` is out of bounds.
        /// Send a limit within the bounds that `detail` names.
        LimitInvalid = "limit_invalid", http [400, 422], at "lists (400), `/search` (422)",
            say "limit must be from 1 to 100.";
        /// This cursor was not given out by this list with these filters.
        /// Start again without one, then send next_cursor as it came.
        CursorInvalid = "cursor_invalid", http [400], at "lists";
        /// `state` is no state.
        /// Send one of the states that `detail` names.
        StateInvalid = "state_invalid", http [400], at "`GET /jobs`",
            say "There is no state \"finished\".";
        /// `status` or `processing_status` is no status.
        /// Send one of the statuses that `detail` names.
        StatusInvalid = "status_invalid", http [400], at "`GET /jobs`, `GET /documents`",
            say "`finished` is no status; this build knows uploaded, parsed, complete.";
        /// `kind` is no kind of file.
        /// Send one of the kinds that `detail` names.
        KindInvalid = "kind_invalid", http [400], at "`GET /documents`",
            say "There is no such kind; this build knows pdf, docx, html.";
        /// A moment is not written as RFC 3339 says.
        /// Send moments such as 2026-11-22T09:30:00Z.
        TimeInvalid = "time_invalid", http [400], at "`GET /jobs`";
        /// A day is no date, or the days are in the wrong order or too many.
        /// Send days such as 2026-11-22, the first in `from`, the last in `to`, at most 366.
        DayInvalid = "day_invalid", http [400], at "`GET /usage`";
        /// The header Last-Event-ID is no id of an event.
        /// Send the id of the last event that you saw.
        LastEventIdInvalid = "last_event_id_invalid", http [400], at "`GET /jobs/{id}/events`";
        /// The user has as many live timelines in this process as `API_EVENT_STREAMS_PER_USER` allows.
        /// Close one, or come back when `Retry-After` says.
        StreamsPerUser = "streams_per_user", http [429], at "`GET /jobs/{id}/events`, live",
            say "There are as many live timelines as API_EVENT_STREAMS_PER_USER allows. Close one, come back when Retry-After says, or ask without Accept: text/event-stream.";
        /// This process serves as many live timelines as `API_EVENT_STREAMS` allows.
        /// Come back when `Retry-After` says, or read the plain list.
        StreamsFull = "streams_full", http [503], at "`GET /jobs/{id}/events`, live",
            say "There are as many live timelines as API_EVENT_STREAMS allows. Close one, come back when Retry-After says, or ask without Accept: text/event-stream.";
        /// The bodies of your requests that are under way need as much memory as `API_BODY_BUDGET_PER_USER` allows.
        /// Send it again when `Retry-After` says, and fewer at once.
        BodiesPerUser = "bodies_per_user", http [429], at "routes with a body",
            say "Your requests that are under way have as much of this server's memory as one user may have (API_BODY_BUDGET_PER_USER). Send this one again when Retry-After says, and fewer at once.";
        /// The bodies of all requests that are under way need as much memory as `API_BODY_BUDGET` allows.
        /// Send it again when `Retry-After` says.
        BodiesFull = "bodies_full", http [503], at "routes with a body",
            say "The requests that are under way have all the memory that this server gives to bodies (API_BODY_BUDGET). Send this one again when Retry-After says.";
        /// The key is not 1 to 255 visible ASCII characters, or there are two.
        /// Send one, new for each request: a UUID will do.
        IdempotencyKeyInvalid = "idempotency_key_invalid", http [400], at "`POST` with `Idempotency-Key`",
            say "Send one Idempotency-Key of 1 to 255 visible ASCII characters, new for each request: a UUID will do.";
        /// A request with this Idempotency-Key is being worked on.
        /// Send it again, unchanged, when Retry-After says.
        IdempotencyKeyInUse = "idempotency_key_in_use", http [409], at "`POST` with `Idempotency-Key`";
        /// This Idempotency-Key was sent with another request within 24 hours.
        /// Make a new one for each request.
        IdempotencyKeyReused = "idempotency_key_reused", http [422], at "`POST` with `Idempotency-Key`";
        /// It has changed since you read it (If-Match).
        /// Read it again before you change it.
        PreconditionFailed = "precondition_failed", http [412], at "`DELETE /documents/{id}`, `/jobs/{id}/cancel`, `/jobs/{id}/retry`";
        /// Something went wrong on our side.
        /// Try again; if it stays, give the request_id to the operator of this server.
        InternalError = "internal_error", http [500], at "any route";
        /// The schema is missing or older than this build, or the database belongs to another environment.
        /// Run `app migrate`; check `DATABASE_URL` and `ENVIRONMENT`.
        SchemaBehind = "schema_behind", http [503], at "private routes, `PUT` of an upload",
            say "The database has no schema yet. Run `app migrate`.";
    }

    Resource {
        /// The file has no name.
        /// Give it one in `filename`.
        FilenameEmpty = "filename_empty", http [422], at "uploads";
        /// The file name is longer than `UPLOAD_MAX_FILENAME` characters.
        /// Shorten it.
        FilenameTooLong = "filename_too_long", http [422], at "uploads",
            say "The file name is longer than 120 characters. Shorten it.";
        /// The file name holds control characters, line breaks, or marks that show nothing or turn text around.
        /// Rename the file.
        FilenameInvalid = "filename_invalid", http [422, 400], at "uploads (422), `GET /documents` (400)";
        /// `metadata` is no JSON object, or beyond its bounds; or a `PATCH` has neither it nor `mime`, or both.
        /// Correct what `detail` names.
        MetadataInvalid = "metadata_invalid", http [422], at "uploads, `PATCH /documents/{id}`",
            say "`metadata` is no JSON object. Send one, such as {\"year\": 2018}.";
        /// `mime` is no media type.
        /// Send one like application/pdf.
        MimeInvalid = "mime_invalid", http [422], at "uploads";
        /// `sha256` is not 64 hex digits.
        /// Send the SHA-256 of the file.
        Sha256Invalid = "sha256_invalid", http [422], at "`POST /upload`";
        /// The form holds no file.
        /// Send each as a part with a file name.
        FileMissing = "file_missing", http [422], at "`POST /documents`";
        /// The form cannot be read as multipart/form-data.
        /// Send it as RFC 7578 says.
        FormInvalid = "form_invalid", http [400], at "`POST /documents`",
            say "The form cannot be read: Multipart boundary is not found. Send multipart/form-data as RFC 7578 says.";
        /// The form is declared larger than all files that a request may have, the head of a part is over 64 KiB, or more than 256 KiB belong to no file.
        /// Send the files alone.
        FormTooLarge = "form_too_large", http [413], at "`POST /documents`",
            say "The form has more than 256 KiB that belong to no file: a long head, or other fields. Send less.";
        /// The request has more files than one request may have.
        /// Send the others in another request.
        TooManyFiles = "too_many_files", http [413], at "`POST /documents`",
            say "A request takes 20 files. Send the others in another one.";
        /// `text` holds a NUL character.
        /// Leave it out.
        TextInvalid = "text_invalid", http [422], at "`POST /documents` with a text";
        /// `title` is empty.
        /// Give the text a name.
        TitleEmpty = "title_empty", http [422], at "`POST /documents` with a text";
        /// You have reached the number of uploads within 24 hours (UPLOADS_PER_DAY).
        /// Come back when Retry-After says.
        UploadsPerDay = "uploads_per_day", http [429], at "uploads";
        /// You have uploaded this content already: it is searchable, or its bytes are here and being worked on.
        /// Use that document, or delete it first.
        DocumentExists = "document_exists", http [409], at "uploads; finish";
        /// This upload URL was not made here, or was changed.
        /// Use signed_url exactly as POST /upload gave it.
        UploadUrlInvalid = "upload_url_invalid", http [403], at "`PUT` of an upload";
        /// This upload URL has expired.
        /// Announce the file again with POST /upload.
        UploadUrlExpired = "upload_url_expired", http [410], at "`PUT` of an upload";
        /// The job has ended, or its document was deleted, or the bytes came in another upload.
        /// Announce the file again if it is still wanted.
        UploadNotWanted = "upload_not_wanted", http [410], at "`PUT` of an upload";
        /// There is no such job of yours.
        /// `GET /jobs` lists those there are.
        JobNotFound = "job_not_found", http [404], at "`/jobs/{id}…`; `POST /jobs/retry`, as a reason; webhooks";
        /// There is no such document of yours.
        /// `GET /documents` lists those there are.
        DocumentNotFound = "document_not_found", http [404], at "`/documents/{id}…`, `POST /search/judgements`";
        /// There is no such judgement of yours.
        /// `GET /search/judgements` lists those there are.
        JudgementNotFound = "judgement_not_found", http [404], at "`DELETE /search/judgements/{id}`";
        /// This version is the document's active one: there is nothing to replace.
        /// Use the document as it is. To have it read again, retry its job.
        VersionActive = "version_active", http [409], at "`PUT /documents/{id}`, `POST …/restore`";
        /// The document has no such version, or it was removed after RETENTION_VERSIONS_DAYS.
        /// `GET /documents/{id}/versions` lists those that can be restored.
        VersionNotFound = "version_not_found", http [404], at "`POST /documents/{id}/versions/{n}/restore`";
        /// This version never became complete, so there is nothing to restore.
        /// Retry its job, or send the file again with `PUT /documents/{id}`.
        VersionIncomplete = "version_incomplete", http [409], at "`POST /documents/{id}/versions/{n}/restore`";
        /// The bytes of this document were removed: they never were what was declared, or have expired.
        /// Upload the file again.
        FileRemoved = "file_removed", http [410], at "`GET /documents/{id}/file`";
        /// The bytes of this document are not in the object store.
        /// If its upload has not ended, send the bytes; else upload the file again.
        FileNotStored = "file_not_stored", http [409], at "`GET /documents/{id}/file`";
        /// The document has not been read yet, or could not be read.
        /// Wait until its status is past `parsed`; `GET /documents/{id}` names its job, which says what failed.
        MarkdownNotReady = "markdown_not_ready", http [409], at "`GET /documents/{id}/markdown`";
        /// The markdown of this document is not in the object store.
        /// Have it read again: `POST /jobs/{id}/retry` with `from` set to `uploaded`.
        MarkdownMissing = "markdown_missing", http [409], at "`GET /documents/{id}/markdown`";
        /// The document has no such page.
        /// `GET /documents/{id}` says how many there are.
        PageNotFound = "page_not_found", http [404], at "`GET /documents/{id}/pages/{n}.png`",
            say "The document has 3 pages, counted from 1.";
        /// The document has no such passage.
        /// Take `chunk_id` from a hit or from `GET /documents/{id}/chunks`; a document that was read again may have others.
        PassageNotFound = "passage_not_found", http [404], at "`GET /documents/{id}/pages/{n}.png`";
        /// Only pages of PDFs and pictures are shown, once they have been read.
        /// Read the text instead: `GET /documents/{id}/chunks` or `/markdown`.
        PagesNotShown = "pages_not_shown", http [409], at "`GET /documents/{id}/pages/{n}.png`";
        /// The page cannot be drawn: the file is damaged, or the page takes too much time or memory.
        /// Download the file instead: `GET /documents/{id}/file`.
        PageNotDrawn = "page_not_drawn", http [422], at "`GET /documents/{id}/pages/{n}.png`";
        /// As many pages are being drawn as this server, or one user, may have at a time.
        /// Send it again when `Retry-After` says, and fewer at once.
        PagesBusy = "pages_busy", http [503, 429], at "`GET /documents/{id}/pages/{n}.png`";
        /// As many files are being estimated as this server, or one user, may have at a time.
        /// Send it again when `Retry-After` says, and fewer at once.
        EstimatesBusy = "estimates_busy", http [503, 429], at "`POST /estimate`";
        /// This server does not estimate files.
        /// Use `app estimate`, which reads them on your machine.
        EstimatesUnavailable = "estimates_unavailable", http [503], at "`POST /estimate`";
        /// This server cannot draw pages now; the log says why.
        /// Try again; the operator runs `scripts/fetch pdfium` or sets `PDFIUM_LIBRARY` for the API.
        PagesUnavailable = "pages_unavailable", http [503], at "`GET /documents/{id}/pages/{n}.png`";
        /// `Range` names bytes behind the end.
        /// Ask for bytes within the size that `Content-Range` names.
        RangeInvalid = "range_invalid", http [416], at "`GET /documents/{id}/file`, `/markdown`";
        /// There is no such deletion of yours.
        /// The id is in the answer to DELETE.
        DeletionNotFound = "deletion_not_found", http [404], at "`GET /deletions/{id}`";
        /// The job has ended.
        /// Delete its document to be rid of it.
        JobEnded = "job_ended", http [409], at "`POST /jobs/{id}/cancel`",
            say "This job has ended (done), so there is nothing to cancel. Delete its document to be rid of it.";
        /// The job is running, or it is done and no `from` was given.
        /// Cancel it first, or name a status in `from`.
        JobNotRetryable = "job_not_retryable", http [409], at "`POST /jobs/{id}/retry`; `POST /jobs/retry`, as a reason";
        /// The bytes are not of the declared type, and would fail again in the same way.
        /// Correct the type with `PATCH /documents/{id}`, or upload the file under its right name.
        RetryNeedsType = "retry_needs_type", http [409], at "`POST /jobs/{id}/retry`; `POST /jobs/retry`, as a reason";
        /// The job's bytes never came, are not those that were announced, or were removed, so that another try cannot succeed.
        /// Upload the file again.
        RetryNeedsUpload = "retry_needs_upload", http [409], at "`POST /jobs/{id}/retry`, `PATCH /documents/{id}`; `POST /jobs/retry`, as a reason";
        /// The document has not failed for its type (`type_mismatch`), so another type would change nothing.
        /// Delete it and upload it again to have it read as another type.
        TypeSettled = "type_settled", http [409], at "`PATCH /documents/{id}`";
        /// `from` is no status, has no next step, or lies behind the status that the job has reached.
        /// Name an earlier status.
        RetryFromInvalid = "retry_from_invalid", http [422], at "`POST /jobs/{id}/retry`; `POST /jobs/retry`, also as a reason",
            say "The job has only come to parsed; `from` may name that or an earlier status.";
        /// Another job of this document has not ended.
        /// Wait for it, or cancel it first.
        DocumentBusy = "document_busy", http [409], at "`POST /jobs/{id}/retry`; `PUT /documents/{id}`, `POST …/restore`; `POST /jobs/retry`, as a reason";
        /// The request neither names jobs nor says `all`, says both, names too many, or picks by a status that is no failed one.
        /// Correct what `detail` names.
        RetrySelectionInvalid = "retry_selection_invalid", http [422], at "`POST /jobs/retry`",
            say "Name the jobs in `job_ids`, or say `\"all\": true` for all that failed; not both.";
        /// A later job of the document has taken its place.
        /// Nothing. To retry it all the same, name the job.
        JobSuperseded = "job_superseded", at "`POST /jobs/retry` with `all`, as a reason";
        /// This URL and its X-Webhook-Secret were not given out here for this job.
        /// Call the URL exactly as it was given, with its header.
        WebhookForbidden = "webhook_forbidden", http [403], at "`POST /webhook/llamaparse/{job_id}/{token}`";
        /// This URL has expired.
        /// Nothing is lost: the job has ended, or its parser is asked.
        WebhookExpired = "webhook_expired", http [403], at "`POST /webhook/llamaparse/{job_id}/{token}`";
        /// `query` is empty.
        /// Ask something.
        QueryEmpty = "query_empty", http [422], at "`/search`";
        /// `query` is longer than 1000 characters.
        /// Shorten it.
        QueryTooLong = "query_too_long", http [422], at "`/search`";
        /// A judgement names no place in the document, or one that cannot be: a page below 1, a text of over 4000 characters, a passage of another document.
        /// Name `page`, `text`, both, or `chunk_id` alone.
        JudgementInvalid = "judgement_invalid", http [422], at "`POST /search/judgements`",
            say "Name the place: `page`, `text`, both, or `chunk_id` alone.";
        /// The model cannot read this query.
        /// Say it in other words.
        QueryNotEmbeddable = "query_not_embeddable", http [422], at "`/search`";
        /// Search by meaning is not available just now.
        /// Try again, or search with mode "text".
        EmbedderUnavailable = "embedder_unavailable", http [503], at "`/search` with mode `vector`";
        /// The model gave no vector of its dimension. The answer is `embedder_unavailable`, or the search goes by words alone.
        /// Check `EMBED_MODEL` and the model's folder.
        EmbedderAnswerInvalid = "embedder_answer_invalid", class Transient, at "the log of `/search`";
        /// The reranker did not judge the hits in time, or not all of them. The search answers in its own order.
        /// Look at what answers at `RERANK_URL`; `app check` asks it.
        RerankerFailed = "reranker_failed", class Transient, at "the log of `/search`";
        /// The reranker does not accept `RERANK_API_KEY`. The search answers in its own order.
        /// Set a key that it accepts.
        RerankerKeyRefused = "reranker_key_refused", class Configuration, at "the log of `/search`";
    }

    Document {
        /// The file is empty.
        /// Send one that has content.
        FileEmpty = "file_empty", http [422], class Document, at "uploads; parse";
        /// The file is larger than `UPLOAD_MAX_BYTES`.
        /// Split it, or raise the limit.
        FileTooLarge = "file_too_large", http [413], class Document, at "uploads; object store",
            say "The file is larger than 25 MiB, the most that UPLOAD_MAX_BYTES allows here. Split it or make it smaller.";
        /// The file has not the size that was announced.
        /// Send the file that was announced.
        SizeMismatch = "size_mismatch", http [422, 413], class Document, at "`PUT` of an upload; parse",
            say "The body is 120 bytes long where 100 were announced. Send the file that was announced.";
        /// The bytes have another SHA-256 than the one announced.
        /// Send the file that was announced, or announce this one.
        HashMismatch = "hash_mismatch", http [422], class Document, at "`PUT` of an upload; parse";
        /// `text` is empty, or a file holds only blanks.
        /// Send some text.
        TextEmpty = "text_empty", http [422], class Document, at "`POST /documents` with a text; parse, validate, chunk",
            say "`text` is empty. Send some text.";
        /// The bytes did not come before the upload expired.
        /// Upload the file again.
        UploadExpired = "upload_expired", class Document, at "parse";
        /// The bytes are not in the object store under `raw_path`, and no upload is open that could bring them.
        /// Upload the file again, or put the object there and retry the job.
        ObjectMissing = "object_missing", class Document, at "parse";
        /// The content is not of the declared type. The bytes are kept for `RETENTION_MISMATCHED_DAYS`.
        /// Correct the type (`app jobs retry ID --type pdf`), or upload the file under its right name.
        TypeMismatch = "type_mismatch", class Document, at "parse";
        /// Files of this type are not parsed here.
        /// Upload a file of a kind that `app parse --kinds` lists.
        UnsupportedType = "unsupported_type", class Document, at "parse";
        /// The file ends too early.
        /// Upload it again from its source.
        FileTruncated = "file_truncated", class Document, at "parse";
        /// The file is damaged.
        /// Save it again where it was made.
        FileCorrupt = "file_corrupt", class Document, at "parse";
        /// The file needs a password.
        /// Remove the password.
        FileEncrypted = "file_encrypted", class Document, at "parse";
        /// The document's pages are pictures, or blank, and nothing here reads pictures.
        /// Install Tesseract or fetch the models of the built-in OCR (`OCR_ENGINE`), or set `LLAMAPARSE_API_KEY`; then retry.
        NoTextLayer = "no_text_layer", class Document, at "parse";
        /// OCR could read none of the pages: each took more than `OCR_PAGE_CPU`, or too much memory.
        /// Scan them at 150 to 300 dpi.
        OcrFailed = "ocr_failed", class Document, at "parse";
        /// Tesseract lacks the data of a language. The job waits, at no cost, for a worker that has it; documents with text go on.
        /// Install it (Debian: `tesseract-ocr-deu` for `deu`), or change `OCR_LANGUAGES`.
        OcrLanguageMissing = "ocr_language_missing", class Configuration, at "parse";
        /// `OCR_ENGINE` names an engine, and it can't be used here. The job waits, at no cost; documents with text go on.
        /// Install Tesseract (Debian: `tesseract-ocr`), or fetch the built-in engine's models (`scripts/fetch ocr`), or set `OCR_ENGINE=auto`.
        OcrEngineMissing = "ocr_engine_missing", class Configuration, at "parse";
        /// The document has more pages, slides or sheets than `PARSE_MAX_PAGES`.
        /// Split it, or raise the limit.
        PageLimit = "page_limit", class Document, at "parse";
        /// The document has more passages than `MAX_PASSAGES_PER_DOCUMENT`.
        /// Split it, or raise the limit.
        PassageLimit = "passage_limit", class Document, at "chunk";
        /// The Office file unpacks to too many bytes.
        /// Upload it without the large content.
        ArchiveTooLarge = "archive_too_large", class Document, at "parse";
        /// The document has more text than `PARSE_OUTPUT_BYTES`.
        /// Split it.
        ParseOutputLimit = "parse_output_limit", class Document, at "parse, collect";
        /// Parsing took more processor time than `PARSE_TIMEOUT`.
        /// Split it, or save it in a simpler form.
        ParseTimeout = "parse_timeout", class Document, at "parse";
        /// The parser did next to nothing for the time of `PARSE_TIMEOUT` by the clock: the machine is too busy, or its disk hangs.
        /// Nothing. If it stays, give the worker more processor time.
        ParseStalled = "parse_stalled", class Transient, at "parse";
        /// Parsing needed more memory than `PARSE_MEMORY_BYTES`, or the machine ran out of memory.
        /// Split it; give the worker more memory.
        ParseMemory = "parse_memory", class Document, at "parse";
        /// The parser's child process broke on the file.
        /// Save it again where it was made.
        ParseCrashed = "parse_crashed", class Document, at "parse";
        /// The parser's child process could not be started, or could not read its file.
        /// Nothing. If it stays, look at the host's limits.
        ParserUnavailable = "parser_unavailable", class Transient, at "parse";
        /// This worker has no library that reads PDFs. The job waits, at no cost, for one that has; other kinds of files go on.
        /// Run `scripts/fetch pdfium`, or set `PDFIUM_LIBRARY`.
        PdfLibraryMissing = "pdf_library_missing", class Configuration, at "parse";
        /// The remote parser could not read the document; the message has its reason.
        /// Save it again where it was made, or retry from `uploaded`.
        RemoteParserFailed = "remote_parser_failed", class Document, at "collect";
        /// The remote parser could not read some pages; the message names them.
        /// Retry from `uploaded`, or leave these pages out.
        RemoteParserIncomplete = "remote_parser_incomplete", class Document, at "collect";
        /// The remote parser does not take the document; the message has its reason.
        /// Save it again where it was made, or set `PARSER=local`.
        RemoteParserRefused = "remote_parser_refused", class Document, at "parse";
        /// The account with the remote parser has no credits left.
        /// Buy some, then `app jobs retry --all --code remote_parser_no_credits`.
        RemoteParserNoCredits = "remote_parser_no_credits", class Document, at "parse";
        /// The remote parser has forgotten the document twice.
        /// Check that the key belongs to one project; retry the job.
        RemoteParserLostJob = "remote_parser_lost_job", class Document, at "collect";
        /// The remote parser was not done within `PARSE_REMOTE_TIMEOUT`.
        /// Retry the job, which asks once more; or retry from `uploaded`.
        ParserTimeout = "parser_timeout", class Document, at "collect";
        /// The markdown is not in the object store under `parsed_path`.
        /// Retry the job from `uploaded`.
        ParsedTextMissing = "parsed_text_missing", class Document, at "validate, chunk";
        /// The markdown in the object store has another hash than the one that was written.
        /// Retry the job from `uploaded`. Find out what changes files in the store.
        ParsedTextChanged = "parsed_text_changed", class Document, at "chunk";
        /// The document has no chunks.
        /// Retry the job from `parse_validated`.
        ChunksMissing = "chunks_missing", class Document, at "finish";
        /// The row names a place that no stored file can have.
        /// Correct `raw_path`, or upload the file again.
        StorageKeyInvalid = "storage_key_invalid", class Document, at "any step; housekeeping";
    }

    Worker {
        /// A worker died or lost its connection in the middle of a step.
        /// Look at the file, and at the worker's memory limit.
        WorkerDied = "worker_died", class Transient, at "any step";
        /// The step has a defect; the worker's log has the place.
        /// Report it.
        StepPanicked = "step_panicked", class Transient, at "any step";
        /// The remote parser does not answer, or answers with an error. While it has the document, that costs no try.
        /// Nothing. See its status page.
        RemoteParserUnavailable = "remote_parser_unavailable", class Transient, at "parse, collect";
        /// The remote parser takes no more requests just now.
        /// Nothing. It is asked when it says, else in a minute.
        RemoteParserBusy = "remote_parser_busy", class Quota, at "parse, collect";
        /// The remote parser's answer is not what its API promises.
        /// Check `LLAMAPARSE_API_URL`.
        RemoteParserAnswerInvalid = "remote_parser_answer_invalid", class Transient, at "parse, collect";
        /// The remote parser refuses `LLAMAPARSE_API_KEY`.
        /// Set one that it takes, or `PARSER=local`.
        RemoteParserKeyRefused = "remote_parser_key_refused", class Configuration, at "parse, collect";
        /// What answers is not the remote parser (404).
        /// Check `LLAMAPARSE_API_URL`.
        RemoteParserAddressWrong = "remote_parser_address_wrong", class Configuration, at "parse";
        /// The chunker has a defect.
        /// Report it.
        ChunkerCrashed = "chunker_crashed", class Document, at "chunk";
        /// A temporary file of the worker could not be read back.
        /// Look at the disk behind `TMPDIR`.
        ScratchUnavailable = "scratch_unavailable", class Transient, at "parse, validate, chunk";
        /// The file could not be stored just now.
        /// Try again in a few seconds.
        StorageUnavailable = "storage_unavailable", http [503], class Transient, at "any step; uploads";
        /// The disk of the object store, or of the folder for temporary files (`TMPDIR`), is full.
        /// Free space. Workers go on by themselves, and no job has lost a try.
        StorageFull = "storage_full", class Configuration, at "any step; uploads; `/health`";
        /// The bucket of `STORAGE_URL` does not exist.
        /// Check the bucket's name and the account.
        StorageBucketMissing = "storage_bucket_missing", class Configuration, at "any step; uploads";
        /// The store does not know the key, or the secret is another.
        /// Check `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
        StorageCredentialsRefused = "storage_credentials_refused", class Configuration, at "any step; uploads";
        /// Requests are signed for another region than the bucket's.
        /// Check `region` in `STORAGE_URL`, or `AWS_REGION`.
        StorageRegionWrong = "storage_region_wrong", class Configuration, at "any step; uploads";
        /// This machine's clock is too far off for signatures.
        /// Set the clock.
        StorageClockWrong = "storage_clock_wrong", class Configuration, at "any step; uploads";
        /// The store knows the key and forbids it this, or a folder may not be written.
        /// Check the bucket's policy, or the folder's owner and mode.
        StorageDenied = "storage_denied", class Configuration, at "any step; uploads";
        /// `STORAGE_URL` or a setting beside it cannot be used.
        /// Do what the message says.
        StorageMisconfigured = "storage_misconfigured", class Configuration, at "start";
        /// A body broke off while it was stored.
        /// Send it again.
        UploadInterrupted = "upload_interrupted", class Transient, at "object store";
        /// The model's folder or one of its files is not there.
        /// Run `scripts/fetch model` (multilingual-e5-small) or `scripts/fetch minilm` (all-MiniLM-L6-v2), or set `EMBED_MODEL_DIR`.
        ModelMissing = "model_missing", class Configuration, at "chunk, embed, finish; `/search`";
        /// A file of the model cannot be read.
        /// Check its permissions.
        ModelUnreadable = "model_unreadable", class Configuration, at "as above";
        /// A file of the model is damaged.
        /// Fetch the model again.
        ModelInvalid = "model_invalid", class Configuration, at "as above";
        /// The model is not of the BERT family, or has a part that is not supported; the message names it.
        /// Use multilingual-e5-small, all-MiniLM-L6-v2 or another BERT model.
        ModelUnsupported = "model_unsupported", class Configuration, at "as above";
        /// The model has another dimension than the database's vectors of that name, or than `EMBED_DIMENSIONS` says.
        /// Put the right model into the folder or behind the service, or give another model a name of its own (`EMBED_MODEL`).
        ModelDimension = "model_dimension", class Configuration, at "as above";
        /// No thread for the model could be started.
        /// Raise the limit, or lower `EMBED_THREADS`.
        ModelThreads = "model_threads", class Configuration, at "as above";
        /// The model's tokenizer fails.
        /// Fetch the model again.
        TokenizerFailed = "tokenizer_failed", class Configuration, at "chunk";
        /// The tokenizer cannot read the text.
        /// Report it.
        EmbedTokenizer = "embed_tokenizer", class Document, at "embed; `/search`";
        /// An encoder thread has a defect.
        /// Report it.
        EmbedderCrashed = "embedder_crashed", class Transient, at "embed; `/search`";
        /// The embedder did not give one vector for each text.
        /// Nothing. If it stays, report it.
        VectorCount = "vector_count", class Transient, at "embed";
        /// The embedder gave vectors of another dimension than the model's.
        /// Check `EMBED_MODEL`, and the model's folder or the service.
        VectorDimension = "vector_dimension", class Configuration, at "embed";
        /// The embedder gave a vector that is not finite, or all zero.
        /// Nothing. If it stays, fetch the model again.
        VectorInvalid = "vector_invalid", class Transient, at "embed";
        /// The embedding service refuses `OPENAI_API_KEY`, or wants one.
        /// Set a key that it takes; workers go on by themselves, and no job has lost a try.
        EmbedServiceKeyRefused = "embed_service_key_refused", class Configuration, at "embed; `/search`";
        /// The account with the embedding service has no money or no quota left.
        /// Add credit or raise the account's limit; workers go on by themselves, and no job has lost a try.
        EmbedServiceNoQuota = "embed_service_no_quota", class Configuration, at "embed; `/search`";
        /// The embedding service does not know the model.
        /// Check `EMBED_MODEL`, or make the service load the model.
        EmbedServiceModelUnknown = "embed_service_model_unknown", class Configuration, at "embed; `/search`";
        /// What answers is not an embedding service (404).
        /// Check `OPENAI_API_URL`: requests go to `/embeddings` below it.
        EmbedServiceAddressWrong = "embed_service_address_wrong", class Configuration, at "embed; `/search`";
        /// The active model is one of a service, and a setting for it is missing.
        /// Do what the message says.
        EmbedServiceNotSet = "embed_service_not_set", class Configuration, at "embed; `/search`";
        /// The embedding service takes no more requests just now. All workers wait as long as it says, at no cost.
        /// Nothing. If it stays, set `EMBED_REQUESTS_PER_MINUTE` and `EMBED_TOKENS_PER_MINUTE` to the account's limits.
        EmbedServiceBusy = "embed_service_busy", class Quota, at "embed; `/search`";
        /// The embedding service does not answer, or answers with an error. After three failures in a row the worker claims nothing until the service answers.
        /// Nothing. See its status page.
        EmbedServiceUnavailable = "embed_service_unavailable", class Transient, at "embed; `/search`";
        /// The embedding service did not answer within `EMBED_TIMEOUT`, a question's within `EMBED_QUERY_TIMEOUT`.
        /// Nothing. If it stays, lower `EMBED_REQUEST_INPUTS`, or allow more time.
        EmbedServiceTimeout = "embed_service_timeout", class Transient, at "embed; `/search`";
        /// The embedding service's answer broke off. Its texts are sent again, so they may be charged for twice.
        /// Nothing. If it stays, look at what is between here and the service.
        EmbedServiceAnswerCut = "embed_service_answer_cut", class Transient, at "embed; `/search`";
        /// The embedding service's answer is not what its API promises.
        /// Check `OPENAI_API_URL`.
        EmbedServiceAnswerInvalid = "embed_service_answer_invalid", class Transient, at "embed; `/search`";
        /// The embedding service refuses a passage, however short it is cut, and takes others.
        /// Retry the job from `chunks_stored` with another model, or leave the passage out of the document.
        EmbedServiceTextRefused = "embed_service_text_refused", class Document, at "embed; `/search`";
        /// What `MAX_CENTS_PER_USER_PER_DAY` allows is used up. The job goes on at `run_at`, when the day (UTC) has turned, at no cost; what is complete can be searched.
        /// Nothing; or raise the cap, and start the workers again.
        UserDayCapReached = "user_day_cap_reached", class Quota, at "parse, embed";
        /// What `MAX_CENTS_PER_DAY` allows all users together is used up. The job goes on at `run_at`, when the day (UTC) has turned, at no cost; what is complete can be searched.
        /// Nothing; or raise the cap, and start the workers again.
        DayCapReached = "day_cap_reached", class Quota, at "parse, embed";
        /// One request for this document costs more than a whole day's cap allows; the message names it.
        /// Raise the cap, start the workers again and retry the job; or split the document.
        DayCapTooSmall = "day_cap_too_small", class Document, at "parse, embed";
        /// The document costs more than `MAX_CENTS_PER_DOCUMENT` allows.
        /// Raise the cap, start the workers again and retry the job, which goes on where it stopped; or split the document.
        DocumentCapReached = "document_cap_reached", class Document, at "parse, embed";
        /// A cap is set, and what is to be bought has no price, so that nothing can be held against the cap.
        /// Set its price (`EMBED_PRICES`, `LLAMAPARSE_PRICES`; 0 for what costs nothing), or take the caps away.
        PriceMissing = "price_missing", class Configuration, at "parse, embed";
        /// The system that this one replaced had given the document up without a reason.
        /// Retry the job.
        AdoptedFailure = "adopted_failure", at "`app migrate`";
        /// The system that this one replaced left a status and a state that do not go together.
        /// Retry the job.
        AdoptedContradiction = "adopted_contradiction", at "`app migrate`";
    }

    Database {
        /// The database cannot be reached just now.
        /// Try again in a few seconds.
        DatabaseUnavailable = "database_unavailable", http [503], class Transient, at "any";
        /// The server refused a statement, or a connection failed for a reason that has no code.
        /// See the message, and the server's log.
        DatabaseError = "database_error", class Transient, at "any";
        /// Another worker has the job, or it was cancelled; the step stops and writes nothing.
        /// Nothing.
        LeaseLost = "lease_lost", at "worker, in the log only";
        /// The connection was refused, timed out, or was cut before the server spoke.
        /// Check host, port and firewall.
        Unreachable = "unreachable", class Transient, at "connecting";
        /// The host's name has no address.
        /// Check the host.
        Dns = "dns", class Transient, at "connecting";
        /// The host has only an IPv6 address, and this machine cannot reach it by IPv6.
        /// Use the pooler's URL; the message gives its form.
        Ipv6Only = "ipv6_only", class Configuration, at "connecting";
        /// The server requires TLS, and it was switched off.
        /// Remove `sslmode=disable`.
        TlsRequired = "tls_required", class Configuration, at "connecting";
        /// TLS is asked for, and the server has none.
        /// Switch it on there.
        TlsUnsupported = "tls_unsupported", class Configuration, at "connecting";
        /// No authority that is trusted here has signed the certificate.
        /// Set `DATABASE_CA_FILE`.
        TlsUntrusted = "tls_untrusted", class Configuration, at "connecting";
        /// The certificate is another host's.
        /// Use the host that it names.
        TlsNameMismatch = "tls_name_mismatch", class Configuration, at "connecting";
        /// The certificate is past its time, or this machine's clock is wrong.
        /// Renew it; check the clock.
        TlsExpired = "tls_expired", class Configuration, at "connecting";
        /// The TLS handshake failed for another reason.
        /// Do what the message says.
        TlsFailed = "tls_failed", class Configuration, at "connecting";
        /// User or password is wrong.
        /// Check the URL; percent-encode the password.
        AuthFailed = "auth_failed", class Configuration, at "connecting";
        /// The server has no such role, or the role may not log in.
        /// Check the user; create the role with LOGIN.
        RoleMissing = "role_missing", class Configuration, at "connecting";
        /// The server's rules (`pg_hba.conf`, an allow-list) refuse this user, database or address.
        /// Allow them there.
        AccessRefused = "access_refused", class Configuration, at "connecting";
        /// The server has no such database.
        /// Check the name; create it.
        DatabaseMissing = "database_missing", class Configuration, at "connecting";
        /// The server or the pooler gives out no more connections.
        /// Lower `DATABASE_POOL_SIZE`, or use a pooler.
        TooManyConnections = "too_many_connections", class Transient, at "connecting";
        /// The pooler does not know the project.
        /// Check reference and region; resume a paused project.
        PoolerTenantUnknown = "pooler_tenant_unknown", class Configuration, at "connecting";
        /// The server is starting, stopping or recovering.
        /// Wait.
        NotReady = "not_ready", class Transient, at "connecting";
    }

    CommandLine {
        /// The database is stamped with another environment; nothing was written.
        /// Check `DATABASE_URL` and `ENVIRONMENT`.
        WrongEnvironment = "wrong_environment", class Configuration, at "`api`, `worker`, `migrate`";
        /// Fakes of the providers were asked for, and this is production.
        /// Set the real services, or another `ENVIRONMENT`.
        FakesInProduction = "fakes_in_production", class Configuration, at "`dev`, `fake-providers`";
        /// The host to listen on is no address of this machine.
        /// Use `0.0.0.0`.
        AddressInvalid = "address_invalid", class Configuration, at "`api`, `dev`";
        /// No API is known.
        /// Start `scripts/dev`, or set `APP_URL` and `APP_TOKEN`.
        ClientNotConfigured = "client_not_configured", class Configuration, at "`upload`, `jobs`, `search`";
        /// Nothing listens at that address.
        /// Start the API.
        NothingAnswers = "nothing_answers", class Transient, at "`upload`, `jobs`, `search`";
        /// The connection broke or fell silent.
        /// Try again.
        ConnectionBroken = "connection_broken", class Transient, at "`upload`, `jobs`, `search`";
        /// The server that answered does not speak this API, or is of another version.
        /// Check `APP_URL`; compare `app --version` with `/version`.
        UnexpectedAnswer = "unexpected_answer", class Transient, at "`upload`, `jobs`, `search`";
        /// A file on this machine cannot be read.
        /// Check its name and its permissions.
        Unreadable = "unreadable", class Document, at "`upload`, `parse`";
        /// The system gave no random bytes.
        /// Try again.
        RandomnessUnavailable = "randomness_unavailable", class Transient, at "`app keys create`";
        /// The database has no vectors yet, so there is no model to change.
        /// Name the model that you want by `EMBED_MODEL` before the first upload.
        ReembedNoModel = "reembed_no_model", class Document, at "`app reembed`";
        /// The model is the active one already.
        /// Name another model, or another version of its vectors by `--vectors-version`.
        ReembedSameModel = "reembed_same_model", class Document, at "`app reembed plan`, `start`";
        /// A change to another model is going on.
        /// End it first: `app reembed finish` keeps the active model.
        ReembedRunning = "reembed_running", class Document, at "`app reembed start`";
        /// No change of model is going on.
        /// Begin one: `app reembed start --model NAME`.
        ReembedNotRunning = "reembed_not_running", class Document, at "`app reembed switch`, `rollback`, `finish`";
        /// Workers of an earlier build run, which know no change of model.
        /// Deploy this build to all workers and APIs, wait a minute, and try again.
        ReembedOldWorkers = "reembed_old_workers", class Document, at "`app reembed start`, `switch`, `finish`";
        /// Passages of complete documents lack a vector of the model, or vectors are not packed yet.
        /// Wait until nothing is left: `app reembed status --wait 3600`.
        ReembedIncomplete = "reembed_incomplete", class Document, at "`app reembed switch`, `finish`";
        /// The service of the new model refuses some passages.
        /// `app reembed start` tries them again; `app reembed switch --leave-refused` leaves them to search by words.
        ReembedRefusedTexts = "reembed_refused_texts", class Document, at "`app reembed switch`";
        /// The new model finds less on the golden questions than the active one.
        /// Keep the active model (`app reembed finish --discard`), or allow the loss by `--may-lose`.
        ReembedFindsLess = "reembed_finds_less", class Document, at "`app reembed switch`";
        /// The new model is the active one already, or the model before is.
        /// `app reembed status` says which model is active, and what can follow.
        ReembedNothingToDo = "reembed_nothing_to_do", class Document, at "`app reembed switch`, `rollback`";
        /// The vectors of the model before are deleted, so there is nothing to go back to.
        /// Change to that model again: `app reembed start --model NAME`.
        ReembedFinished = "reembed_finished", class Document, at "`app reembed rollback`";
        /// The new model was never switched to, so to finish deletes its vectors.
        /// Switch first, or delete them by `app reembed finish --discard`.
        ReembedNotSwitched = "reembed_not_switched", class Document, at "`app reembed finish`";
    }

    Verify {
        /// The original of a document is not in the object store.
        /// Put it back from a backup, or delete the document and upload the file again; until then its passages can be searched, and not read again.
        FileLost = "file_lost", at "`app verify`";
        /// The original in the object store is not the one that came.
        /// Put it back from a backup, or delete the document and upload the file again.
        FileChanged = "file_changed", at "`app verify`";
        /// A judgement of the document, or its question, is of another user than the document.
        /// Delete the row from `search_judgements`: another program wrote it, and `app eval --stored` of that user asks for what it cannot find.
        JudgementMisplaced = "judgement_misplaced", at "`app verify`";
        /// The markdown of a document is not in the object store.
        /// Read it again: `app jobs retry ID --from uploaded`.
        MarkdownLost = "markdown_lost", at "`app verify`";
        /// The markdown in the object store is not the one that was made.
        /// Read it again: `app jobs retry ID --from uploaded`.
        MarkdownChanged = "markdown_changed", at "`app verify`";
        /// The pages that were read, read by OCR, empty and failed do not add up.
        /// Read it again: `app jobs retry ID --from uploaded`.
        RecordMismatch = "record_mismatch", at "`app verify`";
        /// The passages are not those that the markdown gives.
        /// Cut it again: `app jobs retry ID --from parse_validated`.
        PassagesDiffer = "passages_differ", at "`app verify`";
        /// Passages of a complete document have no vector of its model, and meaning does not find them.
        /// Embed them: `app jobs retry ID --from chunks_stored`.
        VectorsMissing = "vectors_missing", at "`app verify`";
        /// Vectors are not those of their passages.
        /// Set `embedding` of the document's chunks to null, then `app jobs retry ID --from chunks_stored`.
        VectorsDiffer = "vectors_differ", at "`app verify`";
    }

    Event {
        /// The remote parser has the document. It is asked again at `run_at` or when its webhook comes, at no cost.
        /// Nothing.
        WaitingForParser = "waiting_for_parser", at "`snoozed`";
        /// A worker died, or got no answer, while it asked the remote parser or the embedding service. What it asked for is asked for again and may be charged twice.
        /// Nothing.
        ProviderCallUncertain = "provider_call_uncertain", at "`retry`, severity `warn`";
        /// The remote parser has forgotten a document that it had taken. It is handed over once more.
        /// Nothing.
        ProviderCallGone = "provider_call_gone", at "`retry`, severity `warn`";
        /// The bytes have not come. The worker looks again at `run_at`, at no cost.
        /// Nothing.
        WaitingForUpload = "waiting_for_upload", at "`snoozed`";
        /// The embedding service asks to wait, or what `EMBED_REQUESTS_PER_MINUTE` and `EMBED_TOKENS_PER_MINUTE` allow is used up. The job goes on at `run_at`, at no cost.
        /// Nothing.
        WaitingForEmbedder = "waiting_for_embedder", at "`snoozed`";
        /// All passages have a vector of the new model. The job looks at `run_at` for documents that have come meanwhile.
        /// Nothing.
        ReembedCaughtUp = "reembed_caught_up", at "`snoozed`, of a job of `app reembed`";
        /// What the run may embed a minute (`--passages-per-minute`) is used up. The job goes on at `run_at`, at no cost.
        /// Nothing.
        ReembedAtRate = "reembed_at_rate", at "`snoozed`, of a job of `app reembed`";
        /// The worker was told to stop. Another goes on from the last checkpoint.
        /// Nothing.
        Shutdown = "shutdown", at "`handed_back`";
        /// The job has had its turn (WORKER_TURN), and others wait. It goes on from its checkpoint when they have had theirs, at no cost.
        /// Nothing.
        TurnOver = "turn_over", at "`handed_back`";
        /// The answer to a claim was lost, so the worker gave the job back.
        /// Nothing.
        ClaimUnheard = "claim_unheard", at "`handed_back`";
    }
}
