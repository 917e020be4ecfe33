//! A dry run of an upload: what files would bring and cost. Nothing is stored.

use std::time::Duration;

use actix_web::{HttpMessage, HttpResponse, http::StatusCode, web};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use crate::{
    http::{ApiError, ApiState, Call, Form, Full, HttpResult, Most, begin_stream, codes, validate},
    resources::uploads::REFUSED_FILES,
};
use bytes::Bytes;
use domain::{
    Code, UserId,
    ports::{EstimateJob, Estimator},
};
use messages::{Estimates, FileEstimate, FileForm};

/// Requests at a time: a core reads one file, and as many more wait as are read within the patience of a client.
const ESTIMATING: Most = Most { per_user: 2, in_all: 16 };
/// After this a place may be free.
const SOON: Duration = Duration::from_secs(2);

/// Estimate files.
///
/// The dry run of an upload: reads and cuts the files as a worker would, says what they would bring and cost, and stores nothing.
/// Scans are not read; their passages are not known before.
#[utoipa::path(
    post,
    path = "/estimate",
    tag = "Uploads",
    request_body(
        description = "Files, each a part with a file name.",
        content((inline(FileForm) = "multipart/form-data"))
    ),
    responses((status = 200, description = "One entry a file, and the sum.", body = Estimates)),
    extensions(
        ("x-codes" = json!([
            codes(&REFUSED_FILES),
            codes(&[
                Code::FormInvalid,
                Code::FileTooLarge,
                Code::TooManyFiles,
                Code::FormTooLarge,
                Code::FileMissing,
                Code::MetadataInvalid,
                Code::EstimatesBusy,
                Code::EstimatesUnavailable
            ])
        ].concat())),
        ("x-codes-429" = json!(codes(&[Code::EstimatesBusy])))
    )
)]
pub async fn post_estimate(Call { state, caller, request }: Call, body: web::Payload) -> HttpResult {
    if !request.content_type().eq_ignore_ascii_case("multipart/form-data") {
        return Err(ApiError::new(Code::ContentTypeInvalid, "This route takes files as multipart/form-data."));
    }
    let limits = &state.settings.uploads;
    Form::refuse_too_large(&request, limits)?;
    let estimator = state.estimator.as_deref().ok_or_else(|| ApiError::of(Code::EstimatesUnavailable))?;
    let _place = take_place(&state, caller.user)?;
    let _share = begin_stream(&state, Some(caller.user))?;
    let (mut form, mut files) = (Form::new(&request, body, false), Vec::new());
    while let Some(part) = form.next().await {
        let mut part = part?;
        if limits.max_files > 0 && files.len() == limits.max_files {
            let message = format!("A request takes {} files. Send the others in another one.", limits.max_files);
            return Err(ApiError::new(Code::TooManyFiles, message));
        }
        let (filename, mime) = (validate::filename(&part.filename, limits)?, validate::mime(&part.mime)?);
        let ocr = form.asked().ocr;
        files.push(estimate(estimator, (filename, mime, ocr), &mut part, limits.max_bytes).await?);
    }
    if files.is_empty() {
        return Err(ApiError::of(Code::FileMissing));
    }
    Ok(HttpResponse::Ok().json(Estimates::of(files)))
}

/// A place among those that are estimated; it is free again when this is dropped.
fn take_place(state: &ApiState, user: UserId) -> Result<impl Sized, ApiError> {
    let mut place = state.estimating.share(Some(user), ESTIMATING);
    place.take(1).map_err(|full| {
        let status = match full {
            Full::User => StatusCode::TOO_MANY_REQUESTS,
            Full::Process => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError::with_status(status, Code::EstimatesBusy, Code::EstimatesBusy.detail()).retry_after(SOON)
    })?;
    Ok(place)
}

async fn estimate<S>(
    estimator: &dyn Estimator,
    (filename, mime, ocr): (String, String, bool),
    body: &mut S,
    max_bytes: u64,
) -> Result<FileEstimate, ApiError>
where
    S: Stream<Item = Result<Bytes, ApiError>> + Unpin,
{
    let file = tempfile::Builder::new().prefix("app-estimate-").tempfile().map_err(ApiError::internal)?;
    let mut to = tokio::fs::File::from_std(file.as_file().try_clone().map_err(ApiError::internal)?);
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        bytes += piece.len() as u64;
        if max_bytes > 0 && bytes > max_bytes {
            return Err(ApiError::new(Code::FileTooLarge, format!("The file is larger than {max_bytes} bytes.")));
        }
        to.write_all(&piece).await.map_err(ApiError::internal)?;
    }
    to.flush().await.map_err(ApiError::internal)?;
    if bytes == 0 {
        return Err(ApiError::of(Code::FileEmpty));
    }
    let job = EstimateJob { path: file.path(), mime: &mime, filename: &filename, ocr };
    let estimated = estimator.estimate(job).await;
    Ok(FileEstimate::of(filename, estimated))
}
