//! What users say of hits: which places answer a question, for `app eval` and the gate of `app check`.

use actix_web::{HttpResponse, web};
use uuid::Uuid;

use crate::{
    http::{ApiError, ApiState, Call, HttpResult, Json, ListId, PageQuery, PageSize, codes, conditions},
    resources::search::{checked_query, invalid},
};
use domain::{ChunkId, Code, DocumentId, JudgementId, UserId};
use messages::{JudgementRequest, JudgementView, PageOfJudgementView, Verdict};
use pg::Db;
use store::{
    Cursor,
    judgements::{self, Judgement, NewJudgement, get_place},
};

pub const JUDGEMENTS: PageSize = PageSize { default: 50, max: 200 };
const MAX_TEXT_CHARS: usize = 4000;
const MAX_PAGE: u32 = 1_000_000;

fn view(row: Judgement) -> JudgementView {
    JudgementView {
        judgement_id: row.judgement_id.0,
        query: row.question,
        document_id: row.document_id.0,
        filename: row.filename,
        page: row.page,
        text: row.text,
        verdict: if row.verdict == Verdict::Right.as_str() { Verdict::Right } else { Verdict::Wrong },
        created_at: row.created_at,
        judged_at: row.judged_at,
    }
}

/// Judge a hit.
///
/// Says whether a place in a document answers a question: the chunk of a hit, a page, or words of the text. The same place
/// judged again changes its verdict, so the request can be repeated. `app eval --stored` measures search with what was
/// judged. A judgement goes with its document, and the question with its last judgement.
#[utoipa::path(
    post,
    path = "/search/judgements",
    tag = "Search",
    request_body(content = JudgementRequest, description = "The question, the place and the verdict."),
    responses((status = 200, description = "The judgement.", body = JudgementView)),
    extensions(
        ("x-codes" = json!(codes(&[
            Code::QueryEmpty,
            Code::QueryTooLong,
            Code::DocumentNotFound,
            Code::JudgementInvalid
        ]))),
        ("x-codes-422" = json!(codes(&[Code::QueryInvalid])))
    )
)]
pub async fn post_judgement(Call { state, caller, .. }: Call, body: Json<JudgementRequest>) -> HttpResult {
    state.require_schema().await?;
    let question = checked_query(&body.query)?;
    let (page, text) = place(&state, caller.user, &body).await?;
    let new = NewJudgement {
        user: caller.user,
        question,
        document: DocumentId(body.document_id),
        page,
        text: text.as_deref(),
        verdict: body.verdict.as_str(),
    };
    let kept = judgements::put_judgement(&state.db, new).await?;
    Ok(HttpResponse::Ok().json(view(kept.ok_or_else(|| ApiError::of(Code::DocumentNotFound))?)))
}

/// The page and the words that the request names, or those of its passage.
async fn place(
    state: &ApiState,
    user: UserId,
    body: &JudgementRequest,
) -> Result<(Option<i32>, Option<String>), ApiError> {
    let refuse = |why: &str| Err(invalid(Code::JudgementInvalid, why.to_owned()));
    let text = body.text.as_deref().map(str::trim);
    match (body.chunk_id, body.page, text) {
        (None, None, None) | (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            refuse("Name the place: `page`, `text`, both, or `chunk_id` alone.")
        }
        (_, Some(page), _) if !(1..=MAX_PAGE).contains(&page) => refuse("`page` must be from 1 to 1000000."),
        (.., Some(text)) if text.is_empty() || text.contains('\0') => {
            refuse("`text` is empty or holds a NUL character. Send words of the document.")
        }
        (.., Some(text)) if text.chars().count() > MAX_TEXT_CHARS => {
            refuse("`text` is longer than 4000 characters. A sentence is enough.")
        }
        (Some(chunk), ..) => {
            let document = DocumentId(body.document_id);
            let conn = state.conn().await?;
            if let Some((page, text)) = get_place(&conn, user, document, ChunkId(chunk)).await? {
                return Ok((page, Some(text)));
            }
            match store::documents::get_document(&conn, user, document).await? {
                Some(_) => {
                    refuse("The document has no such passage now. Search again, and judge a hit of that answer.")
                }
                None => Err(ApiError::of(Code::DocumentNotFound)),
            }
        }
        (None, page, text) => Ok((page.and_then(|page| i32::try_from(page).ok()), text.map(str::to_owned))),
    }
}

/// List judgements.
///
/// The caller's, those of the latest places first.
#[utoipa::path(
    get,
    path = "/search/judgements",
    tag = "Search",
    responses((
        status = 200,
        description = "A page of judgements; without `next_cursor` it is the last.",
        body = PageOfJudgementView
    )),
    extensions(("x-pages" = json!(JUDGEMENTS)))
)]
pub async fn list_judgements(Call { state, caller, request }: Call, query: web::Query<PageQuery>) -> HttpResult {
    let list = ListId::new("judgements");
    let (limit, after) = (JUDGEMENTS.limit(query.limit)?, list.position(query.cursor.as_deref())?);
    let rows = state.read(async |db: &Db| judgements::list_judgements(db, caller.user, after, limit + 1).await).await?;
    let key = |row: &Judgement| Cursor { created_at: row.created_at, id: row.judgement_id.0 };
    conditions::json(&request, &list.page(rows, limit, key, view))
}

/// Delete a judgement.
///
/// The question goes with its last judgement.
#[utoipa::path(
    delete,
    path = "/search/judgements/{id}",
    tag = "Search",
    params(("id" = Uuid, Path, description = "The judgement's id.")),
    responses((status = 204, description = "It is deleted.")),
    extensions(("x-codes" = json!(codes(&[Code::JudgementNotFound]))))
)]
pub async fn delete_judgement(Call { state, caller, .. }: Call, id: web::Path<Uuid>) -> HttpResult {
    state.require_schema().await?;
    match judgements::delete_judgement(&state.conn().await?, caller.user, JudgementId(*id)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(ApiError::of(Code::JudgementNotFound)),
    }
}
