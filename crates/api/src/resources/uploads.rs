//! Two-step uploads: announce the file, then PUT its bytes to the signed URL.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    guard::{
        Guard,
        client_address::own_address,
        signing::{self, Refusal, SignedQuery},
    },
    http::{
        ApiError, ApiState, Call, Expected, HttpResult, Json, KeyInHand, RequestIds, begin_stream, codes, contract,
        declared_length, overtaken, store_body, validate,
    },
    resources::jobs::job_path,
};
use domain::{Code, UploadId, UserId, hex};
use messages::{BASE_PATH, Binary, UploadAccepted, UploadRequest};
use store::{
    idempotency::KeptAnswer,
    uploads::{
        Accepted, Content, Keep, NewUpload, QuotaReached, Registered, Upload, get_upload, mark_upload_stored,
        register_declared,
    },
};

/// Why a file that is sent or announced may be refused.
pub const REFUSED_FILES: [Code; 5] =
    [Code::FilenameEmpty, Code::FilenameTooLong, Code::FilenameInvalid, Code::MimeInvalid, Code::FileEmpty];

/// Made of ids only: a file name is never a path.
fn storage_key(user: UserId, upload_id: UploadId) -> String {
    format!("raw/{user}/{upload_id}")
}

/// A new upload's row: its place in the store is made of ids only, and never changes.
pub fn new_upload(state: &ApiState, user: UserId, filename: String, mime: String) -> NewUpload {
    let upload_id = UploadId::generate();
    let limits = &state.settings.uploads;
    NewUpload {
        upload_id,
        user,
        storage_key: storage_key(user, upload_id),
        filename,
        mime,
        expires_at: OffsetDateTime::now_utc() + limits.expiry,
        per_day: limits.per_day,
    }
}

/// Announce an upload.
///
/// Says what will come, and where to send it: PUT the bytes to `signed_url`, exactly as it stands, before
/// `upload_expires_at`. Size and SHA-256 must be those announced here. While the bytes have not come, the same content
/// again gets another URL for the same job; then it is a conflict until its job has failed or been cancelled. Where it
/// failed because the bytes are of another type, the new job has them already, as `stored` says.
#[utoipa::path(
    post,
    path = "/upload",
    tag = "Uploads",
    request_body(content = UploadRequest, description = "The file."),
    responses(
        (status = 200, description = "The job of an earlier announcement, which waits for the bytes.", body = UploadAccepted),
        (status = 201, description = "A job that waits for the bytes, or has them.", body = UploadAccepted)
    ),
    extensions(
        ("x-links" = json!({ "/job_id": contract::JOB_OPERATIONS, "/document_id": contract::DOCUMENT_OPERATIONS })),
        ("x-codes" = json!([
            codes(&REFUSED_FILES),
            codes(&[
                Code::DocumentExists,
                Code::FileTooLarge,
                Code::Sha256Invalid,
                Code::MetadataInvalid,
                Code::UploadsPerDay,
                Code::StorageUnavailable
            ])
        ].concat()))
    )
)]
pub async fn post_upload(Call { state, caller, request }: Call, body: Json<UploadRequest>) -> HttpResult {
    let declared = validate::upload_request(&body, &state.settings.uploads)?;
    let upload = new_upload(&state, caller.user, declared.filename, declared.mime);
    let content = Content {
        bytes_len: i64::try_from(declared.bytes_len).unwrap_or(i64::MAX),
        sha256: declared.sha256,
        stored: false,
        ocr: body.ocr,
        metadata: declared.metadata,
        correlation_id: RequestIds::of(&request).map_or_else(Uuid::now_v7, |ids| ids.correlation),
    };
    let (user, expires_at) = (caller.user, upload.expires_at);
    let key = KeyInHand::of(&request);
    let fingerprint = key.as_ref().map(|key| key.fingerprint.clone()).unwrap_or_default();
    let answer = move |accepted| KeptUpload::of(accepted, expires_at).kept(accepted, fingerprint.clone());
    let keep = key.as_ref().map(|key| Keep { reservation: &key.reservation, answer: &answer });
    let mut registered = register_declared(&state.db, &upload, &content, keep.as_ref(), false).await?;
    if let Registered::Awaited { upload_id, storage_key } = &registered {
        // An object store that took the bytes itself has told us nothing.
        let found = state.store.head(storage_key).await.map_err(|failure| ApiError::storage(&failure))?;
        if found.and_then(|bytes_len| i64::try_from(bytes_len).ok()) == Some(content.bytes_len) {
            mark_upload_stored(&state.conn().await?, *upload_id).await?;
            state.notifier.poke();
        }
        registered = register_declared(&state.db, &upload, &content, keep.as_ref(), true).await?;
    }
    let accepted = match registered {
        Registered::Accepted(accepted) => accepted,
        refused => return Err(not_registered(refused)),
    };
    if let Some(key) = &key {
        key.note_kept();
    }
    let Accepted { job_id, is_new, document_id, upload_id, stored } = accepted;
    if stored {
        state.notifier.poke();
        tracing::info!(job.id = %job_id, document.id = %document_id, upload.id = %upload_id, "job {job_id} has its upload already");
    } else {
        tracing::info!(job.id = %job_id, document.id = %document_id, upload.id = %upload_id, "job {job_id} waits for its upload");
    }
    let answer = KeptUpload::of(accepted, expires_at).signed(&state, &request, user).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.insert_header((header::LOCATION, job_path(job_id))).json(answer))
}

/// What is kept of an answer for its idempotency key: all but the signed URL, with which a reader of the row could
/// upload.
#[derive(Serialize, Deserialize)]
struct KeptUpload {
    job_id: Uuid,
    document_id: Uuid,
    upload_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    upload_expires_at: OffsetDateTime,
    #[serde(default)]
    stored: bool,
}

impl KeptUpload {
    fn of(
        Accepted { job_id, document_id, upload_id, stored, .. }: Accepted,
        upload_expires_at: OffsetDateTime,
    ) -> Self {
        Self { job_id: job_id.0, document_id: document_id.0, upload_id: upload_id.0, upload_expires_at, stored }
    }

    fn kept(&self, accepted: Accepted, fingerprint: String) -> KeptAnswer {
        KeptAnswer {
            fingerprint,
            status: if accepted.is_new { StatusCode::CREATED } else { StatusCode::OK }.as_u16(),
            location: Some(job_path(accepted.job_id)),
            // Ids and a time cannot fail to become JSON.
            body: serde_json::to_value(self).unwrap_or_default(),
        }
    }

    /// The answer, with a signed URL.
    async fn signed(&self, state: &ApiState, request: &HttpRequest, user: UserId) -> Result<UploadAccepted, ApiError> {
        Ok(UploadAccepted {
            job_id: self.job_id,
            document_id: self.document_id,
            signed_url: signed_url(state, request, UploadId(self.upload_id), user, self.upload_expires_at).await?,
            upload_expires_at: self.upload_expires_at,
            stored: self.stored,
        })
    }
}

/// The kept answer to an announcement as it goes out again: with a signed URL, good for as long as the first was.
pub async fn sign_again(request: HttpRequest, kept: Value) -> Result<Value, ApiError> {
    let Call { state, caller, .. } = Call::of(&request)?;
    let kept: KeptUpload = serde_json::from_value(kept).map_err(ApiError::internal)?;
    let answer = kept.signed(&state, &request, caller.user).await?;
    serde_json::to_value(answer).map_err(ApiError::internal)
}

/// Why an upload became no job.
pub fn not_registered(refused: Registered) -> ApiError {
    match refused {
        Registered::Exists { job_id, document_id } => {
            ApiError::of(Code::DocumentExists).about(job_id.map(|id| id.0), Some(document_id.0))
        }
        Registered::QuotaReached(reached) => quota_reached(reached),
        Registered::Overtaken => overtaken(),
        other => ApiError::internal(format!("an upload was neither taken nor refused: {other:?}")),
    }
}

/// The bound on a day's uploads is reached.
pub fn quota_reached(reached: QuotaReached) -> ApiError {
    ApiError::of(Code::UploadsPerDay).retry_after(reached.retry_after)
}

/// The store's own URL where it can sign; else one of this API.
async fn signed_url(
    state: &ApiState,
    request: &HttpRequest,
    id: UploadId,
    user: UserId,
    expires_at: OffsetDateTime,
) -> Result<String, ApiError> {
    let left = (expires_at - OffsetDateTime::now_utc()).max(time::Duration::SECOND);
    let (key, expiry) = (storage_key(user, id), left.try_into().map_err(ApiError::internal)?);
    let theirs = state.store.signed_put_url(&key, expiry).await.map_err(|failure| ApiError::storage(&failure))?;
    if let Some(url) = theirs {
        return Ok(url.into());
    }
    let query = signing::sign(&state.settings.signing_secret, id, user, expires_at)
        .ok_or_else(|| ApiError::internal("upload URLs cannot be signed"))?;
    let base = match &state.settings.http.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => own_address(request.headers(), state.settings.http.trusted_proxies).ok_or_else(|| {
            ApiError::new(Code::BadRequest, "The header Host names no host, so the URL of the upload cannot be made.")
        })?,
    };
    let SignedQuery { expires, signature } = query;
    Ok(format!("{base}{BASE_PATH}/uploads/{id}?expires={expires}&signature={signature}"))
}

/// Send an announced file.
///
/// The bytes as they are, without a form. The URL stands for the caller: no other credential is asked for. Sending the
/// same bytes again is harmless; others are refused. Where the object store signs URLs itself, `signed_url` leads there, not here.
#[utoipa::path(
    put,
    path = "/uploads/{upload_id}",
    tag = "Uploads",
    params(SignedQuery, ("upload_id" = Uuid, Path, description = "Part of `signed_url`.")),
    request_body(
        content = inline(Binary),
        content_type = "application/octet-stream",
        description = "The file's bytes."
    ),
    responses((status = 204, description = "The bytes are stored, and the job is due.")),
    extensions(
        ("x-codes" = json!(codes(&[
            Code::UploadUrlInvalid,
            Code::UploadUrlExpired,
            Code::UploadNotWanted,
            Code::SizeMismatch,
            Code::HashMismatch,
            Code::StorageUnavailable
        ]))),
        ("x-codes-413" = json!(codes(&[Code::SizeMismatch])))
    )
)]
pub async fn put_upload(
    state: web::Data<ApiState>,
    guard: web::Data<Guard>,
    id: web::Path<Uuid>,
    query: web::Query<SignedQuery>,
    request: HttpRequest,
    mut body: web::Payload,
) -> HttpResult {
    let id = UploadId(*id);
    guard.rates.refuse_guessing(&request)?;
    let upload = signed_upload(&state, id, &query).await;
    let upload = upload.map_err(|error| guard.rates.note_refusal(&request, error))?;
    RequestIds::join(&request, upload.correlation_id);
    let declared = upload.bytes_len.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
    refuse_wrong_length(&request, declared)?;
    let _share = begin_stream(&state, Some(upload.user_id))?;
    if upload.stored {
        // The client did not hear the answer to its first try. A worker may be reading the object by now.
        let same = is_same(&mut body, declared, upload.file_sha256.as_deref()).await?;
        return if same { Ok(HttpResponse::NoContent().finish()) } else { Err(ApiError::of(Code::HashMismatch)) };
    }
    let expected = Expected { bytes_len: Some(declared), sha256: upload.file_sha256.clone(), max_bytes: declared };
    store_body(&state, &upload.storage_key, &mut body, expected).await?;
    if !mark_upload_stored(&state.conn().await?, id).await? {
        // Deleted while its bytes came; housekeeping would find the object, only later.
        state.store.delete(&upload.storage_key).await.map_err(|failure| ApiError::storage(&failure))?;
        return Err(ApiError::of(Code::UploadNotWanted));
    }
    state.notifier.poke();
    let job = upload.job_id.map(tracing::field::display);
    tracing::info!(upload.id = %id, job.id = job, bytes = declared, "upload {id} is stored");
    Ok(HttpResponse::NoContent().finish())
}

/// The upload, if the URL's signature is valid and has not expired, and its bytes are still wanted.
async fn signed_upload(state: &ApiState, id: UploadId, query: &SignedQuery) -> Result<Upload, ApiError> {
    let found = get_upload(&state.conn().await?, id).await?;
    let invalid = || ApiError::of(Code::UploadUrlInvalid);
    let upload = found.ok_or_else(invalid)?;
    let secret = &state.settings.signing_secret;
    match signing::verify(secret, id, upload.user_id, query, OffsetDateTime::now_utc()) {
        Err(Refusal::Invalid) => Err(invalid()),
        Err(Refusal::Expired) => Err(ApiError::of(Code::UploadUrlExpired)),
        Ok(()) if !upload.wanted && !upload.stored => Err(ApiError::of(Code::UploadNotWanted)),
        Ok(()) => Ok(upload),
    }
}

/// What the header says can be refused before the first byte.
fn refuse_wrong_length(request: &HttpRequest, declared: u64) -> Result<(), ApiError> {
    match declared_length(request) {
        Some(length) if length != declared => {
            let status =
                if length > declared { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::UNPROCESSABLE_ENTITY };
            Err(ApiError::with_status(
                status,
                Code::SizeMismatch,
                format!(
                    "The body is {length} bytes long where {declared} were announced. Send the file that was announced."
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// Reads a body without storing it. Whether it is what was announced.
async fn is_same(body: &mut web::Payload, bytes_len: u64, sha256: Option<&str>) -> Result<bool, ApiError> {
    let (mut seen, mut hash) = (0_u64, Sha256::new());
    while let Some(data) = body.next().await {
        let data = data.map_err(ApiError::from)?;
        seen = seen.saturating_add(data.len() as u64);
        if seen > bytes_len {
            return Ok(false);
        }
        hash.update(&data);
    }
    Ok(sha256 == Some(&*hex(hash.finalize())))
}
