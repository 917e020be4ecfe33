//! Sending documents in one step: files as a form, or a text as JSON.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, http::header, web};
use bytes::Bytes;
use futures_util::Stream;
use uuid::Uuid;

use crate::{
    http::{
        ApiError, ApiState, Asked, BodyPrint, Call, Expected, Form, HttpResult, Part, RequestIds, TextBody,
        begin_stream, codes, contract, is_json, refuse_too_large, store_body, validate,
    },
    resources::{
        jobs::job_path,
        uploads::{REFUSED_FILES, new_upload, not_registered, quota_reached},
    },
};
use config::Uploads;
use domain::{Code, DocumentId, JobId, UserId, ports::StoredObject};
use messages::{DocumentsAccepted, FileForm, FileOutcome, TextRequest};
use store::uploads::{
    Accepted, Content, NewUpload, QuotaReached, Registered, announce_upload, delete_upload, get_uploads_left,
    register_stored,
};

/// The result for one file.
type Taken = Result<(JobId, DocumentId), ApiError>;

/// The user who uploads, and the ids of the request.
#[derive(Clone, Copy)]
struct Sender {
    user: UserId,
    request_id: Uuid,
    correlation_id: Uuid,
}

/// Send documents.
///
/// One file or many as a form, or a text as JSON. Each becomes a document and a job, or brings the bytes to the job of an
/// announcement that waits for them. A single one that is refused is
/// the answer's own problem; of several, each has its entry: ids, or a problem.
#[utoipa::path(
    post,
    path = "/documents",
    tag = "Uploads",
    request_body(
        description = "Files, each a part with a file name; or JSON with `title` and `text`.",
        content((inline(FileForm) = "multipart/form-data"), (TextRequest = "application/json"))
    ),
    responses((
        status = 202,
        description = "Accepted; one entry a file, in the order of the request.",
        body = DocumentsAccepted
    )),
    extensions(
        ("x-links" = json!({
            "/documents/0/job_id": contract::JOB_OPERATIONS,
            "/documents/0/document_id": contract::DOCUMENT_OPERATIONS
        })),
        ("x-codes" = json!([
            codes(&REFUSED_FILES),
            codes(&[
                Code::FormInvalid,
                Code::DocumentExists,
                Code::FileTooLarge,
                Code::TooManyFiles,
                Code::FormTooLarge,
                Code::ContentTypeInvalid,
                Code::FileMissing,
                Code::TitleEmpty,
                Code::MetadataInvalid,
                Code::TextEmpty,
                Code::TextInvalid,
                Code::UploadsPerDay,
                Code::StorageUnavailable
            ])
        ].concat()))
    )
)]
pub async fn post_documents(Call { state, caller, request }: Call, body: web::Payload) -> HttpResult {
    let (request_id, correlation_id) =
        RequestIds::of(&request).map_or_else(|| (Uuid::now_v7(), Uuid::now_v7()), |ids| (ids.request, ids.correlation));
    let sender = Sender { user: caller.user, request_id, correlation_id };
    let limits = &state.settings.uploads;
    match request.content_type().to_ascii_lowercase().as_str() {
        "multipart/form-data" => Form::refuse_too_large(&request, limits)?,
        "application/json" => refuse_too_large(&request, limits.max_bytes)?,
        _ => {
            return Err(ApiError::new(
                Code::ContentTypeInvalid,
                "This route takes files as multipart/form-data, or JSON with `title` and `text`.",
            ));
        }
    }
    refuse_without_quota(&state, caller.user).await?;
    let _share = begin_stream(&state, Some(caller.user))?;
    match is_json(request.content_type()) {
        true => take_text(&state, sender, &request, body).await,
        false => take_files(&state, sender, &request, body).await,
    }
}

/// Refuses before the body is read what would be refused after it.
pub(super) async fn refuse_without_quota(state: &ApiState, user: UserId) -> Result<(), ApiError> {
    let per_day = state.settings.uploads.per_day;
    if per_day > 0 {
        let left = get_uploads_left(&state.conn().await?, user, per_day).await?;
        if left.remaining == 0 {
            return Err(quota_reached(QuotaReached { retry_after: left.reset.unwrap_or_default() }));
        }
    }
    Ok(())
}

/// Takes every file of the form. A single one that is refused is the answer's problem; of several, each has its entry.
async fn take_files(state: &ApiState, sender: Sender, request: &HttpRequest, body: web::Payload) -> HttpResult {
    let (mut form, max) = (Form::new(request, body, BodyPrint::is_wanted(request)), state.settings.uploads.max_files);
    let mut outcomes: Vec<(String, Taken)> = Vec::new();
    while let Some(part) = form.next().await {
        let mut part = match part {
            Ok(part) => part,
            Err(error) if outcomes.is_empty() => return Err(error),
            // Some files are taken: the client must hear of them.
            Err(error) => {
                outcomes.push((String::new(), Err(error)));
                break;
            }
        };
        let (filename, mime) = (part.filename.clone(), part.mime.clone());
        if max > 0 && outcomes.len() == max {
            outcomes.push((
                filename,
                Err(ApiError::new(
                    Code::TooManyFiles,
                    format!("A request takes {max} files. Send the others in another one."),
                )),
            ));
            break;
        }
        let (asked, file) = (form.asked(), (filename.as_str(), mime.as_str()));
        let outcome = take_file(state, sender, file, asked, &mut part).await;
        let skipped = if outcome.is_err() { part.read_on(state.settings.uploads.max_bytes).await } else { Ok(()) };
        outcomes.push((filename, outcome));
        if skipped.is_err() {
            break;
        }
    }
    if outcomes.is_empty() {
        return Err(ApiError::of(Code::FileMissing));
    }
    BodyPrint::leave(request, form.fingerprint());
    answer(outcomes, sender)
}

fn answer(mut outcomes: Vec<(String, Taken)>, sender: Sender) -> HttpResult {
    if outcomes.len() == 1
        && let Some((filename, outcome)) = outcomes.pop()
    {
        // A single file that is refused is the answer's own problem.
        outcomes.push((filename, Ok(outcome?)));
    }
    let documents: Vec<FileOutcome> =
        outcomes.into_iter().map(|(filename, outcome)| file_outcome(filename, outcome, sender)).collect();
    let mut response = HttpResponse::Accepted();
    if let [FileOutcome { job_id: Some(job), problem: None, .. }] = documents.as_slice() {
        response.insert_header((header::LOCATION, job_path(JobId(*job))));
    }
    Ok(response.json(DocumentsAccepted { documents }))
}

fn file_outcome(filename: String, outcome: Taken, sender: Sender) -> FileOutcome {
    match outcome {
        Ok((job_id, document_id)) => {
            FileOutcome { filename, job_id: Some(job_id.0), document_id: Some(document_id.0), problem: None }
        }
        Err(error) => {
            if error.status_code().is_server_error() {
                tracing::error!(
                    error.code = error.code().as_str(),
                    cause = error.log_cause(),
                    "a file of several was not taken: {error}"
                );
            }
            let problem = error.problem(Some(sender.request_id));
            FileOutcome { filename, job_id: problem.job_id, document_id: problem.document_id, problem: Some(problem) }
        }
    }
}

/// Stores one file, then makes a document and a job of it.
async fn take_file(
    state: &ApiState,
    sender: Sender,
    (filename, mime): (&str, &str),
    asked: Asked,
    file: &mut Part,
) -> Taken {
    let filename = validate::filename(filename, &state.settings.uploads)?;
    let (upload, stored) = store(state, sender.user, filename, validate::mime(mime)?, file).await?;
    if stored.bytes_len == 0 {
        forget(state, &upload).await;
        return Err(ApiError::of(Code::FileEmpty));
    }
    register(state, sender, &upload, stored, asked).await
}

/// Announces an upload of one body, and stores it.
pub(super) async fn store<S>(
    state: &ApiState,
    user: UserId,
    filename: String,
    mime: String,
    body: &mut S,
) -> Result<(NewUpload, StoredObject), ApiError>
where
    S: Stream<Item = Result<Bytes, ApiError>> + Unpin,
{
    let upload = new_upload(state, user, filename, mime);
    state.require_schema().await?;
    announce_upload(&state.db, &upload).await?.map_err(quota_reached)?;
    let expected = Expected { max_bytes: state.settings.uploads.max_bytes, ..Expected::default() };
    match store_body(state, &upload.storage_key, body, expected).await {
        Ok(stored) => Ok((upload, stored)),
        Err(error) => {
            forget(state, &upload).await;
            Err(error)
        }
    }
}

/// Makes a document and a job of a stored upload.
async fn register(
    state: &ApiState,
    sender: Sender,
    upload: &NewUpload,
    stored: StoredObject,
    Asked { ocr, metadata }: Asked,
) -> Taken {
    let content = Content {
        bytes_len: i64::try_from(stored.bytes_len).unwrap_or(i64::MAX),
        sha256: stored.sha256,
        stored: true,
        ocr,
        metadata,
        correlation_id: sender.correlation_id,
    };
    // Where this fails, whether it was committed is not known: the object stays, and housekeeping decides.
    match register_stored(&state.db, upload, &content).await? {
        Registered::Accepted(Accepted { job_id, document_id, .. }) => {
            state.notifier.poke();
            tracing::info!(job.id = %job_id, document.id = %document_id, upload.id = %upload.upload_id, "job {job_id} is queued");
            Ok((job_id, document_id))
        }
        refused => {
            forget(state, upload).await;
            Err(not_registered(refused))
        }
    }
}

/// Deletes an upload that became no document: the object first, so that no object is without its row.
pub(super) async fn forget(state: &ApiState, upload: &NewUpload) {
    if let Err(failure) = state.store.delete(&upload.storage_key).await {
        tracing::warn!(error.code = failure.code.as_str(), upload.id = %upload.upload_id, "an unused object stays until its upload expires: {failure}");
        return;
    }
    let forgotten = async { delete_upload(&state.db.get().await?, upload.upload_id).await };
    if let Err(error) = forgotten.await {
        tracing::warn!(upload.id = %upload.upload_id, "an unused upload stays until it expires: {error}");
    }
}

/// A text without a file. Its title may come after it, so that it is stored before its name is known.
async fn take_text(state: &ApiState, sender: Sender, request: &HttpRequest, body: web::Payload) -> HttpResult {
    let limits = &state.settings.uploads;
    let mut text = TextBody::new(body, limits.max_bytes, BodyPrint::is_wanted(request));
    let (mut upload, stored) = store(state, sender.user, String::new(), "text/markdown".to_owned(), &mut text).await?;
    BodyPrint::leave(request, text.fingerprint());
    let named = text.request().and_then(|TextRequest { title, metadata, .. }| {
        Ok((text_filename(title.trim(), limits)?, validate::metadata(metadata.as_ref())?))
    });
    let metadata = match named {
        Ok((filename, metadata)) => {
            upload.filename = filename;
            metadata
        }
        Err(error) => {
            forget(state, &upload).await;
            return Err(error);
        }
    };
    let outcome = register(state, sender, &upload, stored, Asked { ocr: false, metadata }).await;
    answer(vec![(upload.filename, outcome)], sender)
}

fn text_filename(title: &str, limits: &Uploads) -> Result<String, ApiError> {
    if title.is_empty() {
        return Err(ApiError::of(Code::TitleEmpty));
    }
    let extension = if title.to_ascii_lowercase().ends_with(".md") { "" } else { ".md" };
    validate::filename(&format!("{title}{extension}"), limits)
}
