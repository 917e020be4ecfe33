//! A parser says that a document is ready: a signal without content.
//!
//! The caller proves with URL and header that this API gave it both; before that no byte of the body is read. The body
//! is only hashed: a worker asks the provider for the result. A webhook that is refused or lost only costs time, since
//! the provider is asked anyway.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    guard::client_address::client_address,
    http::{ApiError, ApiState, HttpResult, begin_stream, codes, declared_length},
};
use domain::{
    Code, JobId,
    callback::{HEADER, Refusal},
    hex,
};
use messages::{Binary, WebhookTaken};
use store::webhooks::{Delivery, Signalled, signal_job};

/// Of a body, in bytes: what LlamaParse sends of an event is under a kilobyte. Its older webhooks carry the
/// whole text: those are refused, and the text is fetched when the provider is next asked.
const MAX_BODY_BYTES: u64 = 1 << 20;

/// Say that a document is parsed.
///
/// For LlamaParse alone, which is told this URL and its header with each document. A signal: the job is looked at now,
/// and LlamaParse asked what became of it. The body is not read, whatever its type. A repeated call is answered alike
/// and changes nothing, nor does one for a job that waits for no parser.
#[utoipa::path(
    post,
    path = "/webhook/llamaparse/{job_id}/{token}",
    tag = "Jobs",
    params(
        ("job_id" = Uuid, Path, description = "Part of the URL that was given out."),
        ("token" = String, Path, description = "Part of the URL that was given out."),
        ("X-Webhook-Secret" = String, Header, description = "The header that was given out with the URL.")
    ),
    request_body(
        content = inline(Binary),
        content_type = "application/octet-stream",
        description = "Whatever the parser sends, 1 MiB at most; it is hashed, to know a repeated one by."
    ),
    responses((status = 200, description = "It need not be sent again.", body = WebhookTaken)),
    extensions(
        ("x-optional-body" = json!(true)),
        ("x-codes" = json!(codes(&[
            Code::WebhookForbidden,
            Code::WebhookExpired,
            Code::JobNotFound
        ])))
    )
)]
pub async fn post_llamaparse(
    state: web::Data<ApiState>,
    path: web::Path<(Uuid, String)>,
    request: HttpRequest,
    mut body: web::Payload,
) -> HttpResult {
    let (id, token) = path.into_inner();
    let job_id = JobId(id);
    authenticate(&state, job_id, &token, &request)?;
    if declared_length(&request).is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(too_large());
    }
    let _share = begin_stream(&state, None)?;
    let payload_hash = hash(&mut body).await?;
    // A repeated delivery has the same body and the same job.
    let webhook_id = hex(Sha256::digest(format!("llamaparse\n{job_id}\n{payload_hash}").as_bytes()));
    let ip_address = client_address(&request, state.settings.http.trusted_proxies);
    let delivery = Delivery { webhook_id: &webhook_id, job_id, ip_address, payload_hash: &payload_hash };
    let signalled = signal_job(&state.conn().await?, delivery).await?;
    match signalled {
        Signalled::NoJob => return Err(ApiError::of(Code::JobNotFound)),
        Signalled::Woken => state.notifier.poke(),
        Signalled::Noted | Signalled::Nothing | Signalled::Replayed => {}
    }
    tracing::info!(job.id = %job_id, webhook.id = %webhook_id, webhook.did = ?signalled, "a webhook came for job {job_id}");
    Ok(HttpResponse::Ok().json(WebhookTaken { taken: true }))
}

/// URL and header, together, in constant time. A job that is not known gets the same answer: only a caller that
/// proves that it was told may learn whether there is one.
fn authenticate(state: &ApiState, job: JobId, token: &str, request: &HttpRequest) -> Result<(), ApiError> {
    let header = request.headers().get(HEADER);
    let verified = match (&state.settings.webhooks, header) {
        (Some(key), Some(header)) => key.verify(job, token, header.as_bytes(), OffsetDateTime::now_utc()),
        _ => Err(Refusal::Invalid),
    };
    verified.map_err(|refusal| match refusal {
        Refusal::Invalid => ApiError::of(Code::WebhookForbidden),
        Refusal::Expired => ApiError::of(Code::WebhookExpired),
    })
}

/// SHA-256 of the body, as 64 hex digits.
async fn hash(body: &mut web::Payload) -> Result<String, ApiError> {
    let (mut hasher, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(piece) = body.next().await {
        let piece = piece?;
        bytes = bytes.saturating_add(piece.len() as u64);
        if bytes > MAX_BODY_BYTES {
            return Err(too_large());
        }
        hasher.update(&piece);
    }
    Ok(hex(hasher.finalize()))
}

fn too_large() -> ApiError {
    ApiError::new(
        Code::BodyTooLarge,
        format!(
            "A webhook's body may have {MAX_BODY_BYTES} bytes. Nothing is lost: the parser is asked for its answer."
        ),
    )
}
