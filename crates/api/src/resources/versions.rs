//! Versions of a document: replacing it in place, listing what it was, and restoring that.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::header, web};
use uuid::Uuid;

use crate::{
    http::{
        ApiError, ApiState, BodyPrint, Call, Form, HttpResult, ListId, PageQuery, PageSize, RequestIds, begin_stream,
        codes, conditions, contract, validate,
    },
    resources::{
        change_document::as_seen,
        jobs::job_path,
        send_documents::{forget, refuse_without_quota, store},
        uploads::REFUSED_FILES,
    },
};
use domain::{Code, DocumentId, JobId, UserId};
use messages::{OneFileForm, PageOfVersionView, ReplacementAccepted, VersionView};
use store::{
    documents::get_document,
    uploads::{Content, Replacement, Replacing, register_replacement},
    versions::Version,
};

pub const VERSIONS: PageSize = PageSize { default: 50, max: 200 };

/// Replace a document.
///
/// One file as a form takes the place of the document's active version; the id stays, and so does the metadata unless some is
/// given. The version before is searched, listed and downloaded until the new one is complete, and stays if that fails. A passage
/// whose text is the same keeps its vector: the job's `progress.kept` counts them. Bytes of an earlier version restore it
/// without reading it again. While a job of the document lives, only the same bytes again are accepted, for the same job; cancel
/// it to send others.
#[utoipa::path(
    put,
    path = "/documents/{id}",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    request_body(
        description = "One file, a part with a file name.",
        content((inline(OneFileForm) = "multipart/form-data"))
    ),
    responses((status = 202, description = "The job that makes the new version active.", body = ReplacementAccepted)),
    extensions(
        ("x-links" = json!({ "/job_id": contract::JOB_OPERATIONS, "/document_id": contract::DOCUMENT_OPERATIONS })),
        ("x-codes" = json!([
            codes(&REFUSED_FILES),
            codes(&[
                Code::DocumentNotFound,
                Code::DocumentBusy,
                Code::DocumentExists,
                Code::VersionActive,
                Code::FormInvalid,
                Code::FileTooLarge,
                Code::TooManyFiles,
                Code::FormTooLarge,
                Code::ContentTypeInvalid,
                Code::FileMissing,
                Code::MetadataInvalid,
                Code::UploadsPerDay,
                Code::StorageUnavailable
            ])
        ].concat()))
    )
)]
pub async fn put_document(
    Call { state, caller, request }: Call,
    id: web::Path<Uuid>,
    body: web::Payload,
) -> HttpResult {
    let (id, limits) = (DocumentId(*id), &state.settings.uploads);
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return Err(ApiError::new(Code::ContentTypeInvalid, "This route takes one file as multipart/form-data."));
    }
    Form::refuse_too_large(&request, limits)?;
    // Before the body is read.
    if get_document(&state.conn().await?, caller.user, id).await?.is_none() {
        return Err(ApiError::of(Code::DocumentNotFound));
    }
    refuse_without_quota(&state, caller.user).await?;
    let _share = begin_stream(&state, Some(caller.user))?;
    let (upload, content) = take_file(&state, caller.user, &request, body).await?;
    // Where this fails, whether it was committed is not known: the object stays, and housekeeping decides.
    let replacing = register_replacement(&state.db, id, &upload, &content, &as_seen(&request)).await?;
    if !matches!(replacing, Replacing::Accepted(Replacement { takes_upload: true, .. })) {
        forget(&state, &upload).await;
    }
    answer(&state, id, replacing)
}

/// Stores the one file of the form.
async fn take_file(
    state: &ApiState,
    user: UserId,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<(store::uploads::NewUpload, Content), ApiError> {
    let limits = &state.settings.uploads;
    let mut form = Form::new(request, body, BodyPrint::is_wanted(request));
    let mut part = form.next().await.unwrap_or_else(|| Err(ApiError::of(Code::FileMissing)))?;
    let named = validate::filename(&part.filename, limits).and_then(|name| Ok((name, validate::mime(&part.mime)?)));
    let kept = match named {
        Ok((filename, mime)) => store(state, user, filename, mime, &mut part).await,
        Err(error) => Err(error),
    };
    let (upload, stored) = match kept {
        Ok(kept) => kept,
        Err(error) => {
            // So that the client hears the answer; what comes behind the bound is not read.
            drop(part.read_on(limits.max_bytes).await);
            return Err(error);
        }
    };
    drop(part);
    let rest = match form.next().await {
        None if stored.bytes_len == 0 => Err(ApiError::of(Code::FileEmpty)),
        None => Ok(()),
        Some(Ok(_another)) => {
            Err(ApiError::new(Code::TooManyFiles, "One file takes the place of a document. Send one."))
        }
        Some(Err(error)) => Err(error),
    };
    if let Err(error) = rest {
        forget(state, &upload).await;
        return Err(error);
    }
    BodyPrint::leave(request, form.fingerprint());
    let asked = form.asked();
    let content = Content {
        bytes_len: i64::try_from(stored.bytes_len).unwrap_or(i64::MAX),
        sha256: stored.sha256,
        stored: true,
        ocr: asked.ocr,
        metadata: asked.metadata,
        correlation_id: RequestIds::of(request).map_or_else(Uuid::now_v7, |ids| ids.correlation),
    };
    Ok((upload, content))
}

fn answer(state: &ApiState, id: DocumentId, replacing: Replacing) -> HttpResult {
    let refused = |code: Code, job: Option<JobId>, document: DocumentId| {
        Err(ApiError::of(code).about(job.map(|job| job.0), Some(document.0)))
    };
    let Replacement { job_id, version_no, .. } = match replacing {
        Replacing::Accepted(replacement) => replacement,
        Replacing::Active => return refused(Code::VersionActive, None, id),
        Replacing::Busy(job) => return refused(Code::DocumentBusy, Some(job), id),
        Replacing::Elsewhere(other, job) => return refused(Code::DocumentExists, job, other),
        Replacing::Incomplete(job) => return refused(Code::VersionIncomplete, job, id),
        Replacing::Changed => return Err(ApiError::of(Code::PreconditionFailed)),
        Replacing::VersionNotFound => return Err(ApiError::of(Code::VersionNotFound)),
        Replacing::NotFound => return Err(ApiError::of(Code::DocumentNotFound)),
    };
    state.notifier.poke();
    tracing::info!(job.id = %job_id, document.id = %id, version = version_no, "job {job_id} makes version {version_no} of document {id}");
    let accepted = ReplacementAccepted { job_id: job_id.0, document_id: id.0, version_no };
    Ok(HttpResponse::Accepted().insert_header((header::LOCATION, job_path(job_id))).json(accepted))
}

/// List a document's versions.
///
/// The newest first: the active one, one that is on the way to take its place, those that were active before and can be
/// restored, and those that failed.
#[utoipa::path(
    get,
    path = "/documents/{id}/versions",
    tag = "Documents",
    params(("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it.")),
    responses((
        status = 200,
        description = "A page of versions; without `next_cursor` it is the last.",
        body = PageOfVersionView
    )),
    extensions(("x-pages" = json!(VERSIONS)), ("x-codes" = json!(codes(&[Code::DocumentNotFound]))))
)]
pub async fn list_versions(
    Call { state, caller, request }: Call,
    id: web::Path<Uuid>,
    query: web::Query<PageQuery>,
) -> HttpResult {
    let (id, list) = (DocumentId(*id), ListId::new("versions").with("document_id", *id));
    let (limit, before) = (VERSIONS.limit(query.limit)?, list.position::<i64>(query.cursor.as_deref())?);
    let before = before.map(i32::try_from).transpose().map_err(|_beyond| ApiError::of(Code::CursorInvalid))?;
    let conn = state.conn().await?;
    let rows = store::versions::list_versions(&conn, caller.user, id, before, limit + 1).await?;
    if rows.is_empty() && get_document(&conn, caller.user, id).await?.is_none() {
        return Err(ApiError::of(Code::DocumentNotFound));
    }
    let view = |row: Version| VersionView {
        version_no: row.version_no,
        state: row.state,
        filename: row.filename,
        bytes_len: row.bytes_len,
        sha256: row.file_sha256,
        pages: row.page_count,
        passages: row.passages,
        job_id: row.job_id.map(|job| job.0),
        created_at: row.created_at,
    };
    conditions::json(&request, &list.page(rows, limit, |row| i64::from(row.version_no), view))
}

/// Restore a version.
///
/// Makes an earlier version the active one again, by a job that reads and embeds nothing anew. The active version is searched until
/// then, and is kept.
#[utoipa::path(
    post,
    path = "/documents/{id}/versions/{n}/restore",
    tag = "Documents",
    params(
        ("id" = Uuid, Path, description = "The document's id, as the answer to its upload gave it."),
        ("n" = i32, Path, minimum = 1, description = "The number of the version.")
    ),
    responses((status = 202, description = "The job that makes the version active.", body = ReplacementAccepted)),
    extensions(
        ("x-links" = json!({ "/job_id": contract::JOB_OPERATIONS, "/document_id": contract::DOCUMENT_OPERATIONS })),
        ("x-codes" = json!(codes(&[
            Code::DocumentNotFound,
            Code::VersionNotFound,
            Code::VersionActive,
            Code::VersionIncomplete,
            Code::DocumentBusy,
            Code::DocumentExists
        ])))
    )
)]
pub async fn restore_version(Call { state, caller, request }: Call, at: web::Path<(Uuid, i32)>) -> HttpResult {
    let (id, version_no) = at.into_inner();
    let (id, correlation) = (DocumentId(id), RequestIds::of(&request).map(|ids| ids.correlation));
    state.require_schema().await?;
    let seen = as_seen(&request);
    let replacing = store::uploads::restore_version(&state.db, caller.user, id, version_no, correlation, &seen).await?;
    answer(&state, id, replacing)
}
