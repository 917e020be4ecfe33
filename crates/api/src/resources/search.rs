//! Searching the caller's complete documents: by meaning, by words, or both.

use std::{collections::HashMap, sync::Arc, time::Instant};

use actix_web::HttpResponse;

use crate::http::{ApiError, ApiState, Call, HttpResult, Json, codes};
use domain::{
    ChunkId, Code, DocumentId, Failure,
    fusion::{Fused, fuse},
    ports::{EmbedPriority, Embedder, ModelSource},
};
use messages::{Hit, SearchMode, SearchRequest, SearchResponse};
use store::search::{FoundChunk, SearchIn, get_extent, list_found_chunks, search_text, search_vectors};

/// Hits of each ranking that are fused: the most that a page may hold.
const CANDIDATES: i64 = 50;
const DEFAULT_LIMIT: u32 = 10;
const MAX_LIMIT: u32 = 50;
const MAX_QUERY_CHARS: usize = 1000;

/// Search.
///
/// Searches the caller's complete documents by meaning, by words, or both. Best first; no hits is an empty list. A POST
/// for its body; it changes nothing, so a key with the scope `read` may do it.
#[utoipa::path(
    post,
    path = "/search",
    tag = "Search",
    request_body(content = SearchRequest, description = "What to look for."),
    responses((status = 200, description = "The hits.", body = SearchResponse)),
    extensions(
        ("x-codes" = json!(codes(&[
            Code::QueryEmpty,
            Code::QueryTooLong,
            Code::QueryNotEmbeddable,
            Code::EmbedderUnavailable
        ]))),
        ("x-codes-422" = json!(codes(&[Code::QueryInvalid, Code::LimitInvalid])))
    )
)]
pub async fn post_search(Call { state, caller, .. }: Call, body: Json<SearchRequest>) -> HttpResult {
    let began = Instant::now();
    let (query, limit) = checked(&body)?;
    let within = SearchIn { user: caller.user, document: body.document_id.map(DocumentId), limit: CANDIDATES };
    let (mode, vector) = query_vector(&state, query, body.mode).await?;
    let conn = state.conn().await?;
    let extent = get_extent(&conn, within).await?;
    drop(conn);
    let by_vector = match &vector {
        Some((embedder, vector)) => search_vectors(&state.db, embedder.model(), vector, within, extent).await?,
        None => Vec::new(),
    };
    let conn = state.conn().await?;
    let by_text = match mode {
        SearchMode::Vector => Vec::new(),
        SearchMode::Text | SearchMode::Hybrid => search_text(&conn, query, within, extent).await?,
    };
    let fused = fuse(&by_vector, &by_text, limit);
    let ids: Vec<ChunkId> = fused.iter().map(|hit| hit.chunk_id).collect();
    let found = list_found_chunks(&conn, caller.user, query, &ids).await?;
    Ok(HttpResponse::Ok().json(SearchResponse {
        hits: hits(&fused, found),
        mode,
        model: vector.map(|(embedder, _)| embedder.model().name.clone()),
        took_ms: (began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
    }))
}

fn checked(body: &SearchRequest) -> Result<(&str, usize), ApiError> {
    let query = body.query.trim();
    if query.is_empty() {
        return Err(ApiError::of(Code::QueryEmpty));
    }
    if query.chars().count() > MAX_QUERY_CHARS {
        return Err(ApiError::new(
            Code::QueryTooLong,
            format!("`query` is longer than {MAX_QUERY_CHARS} characters. Shorten it."),
        ));
    }
    if query.contains('\0') {
        return Err(ApiError::with_status(
            actix_web::http::StatusCode::UNPROCESSABLE_ENTITY,
            Code::QueryInvalid,
            "`query` holds a NUL character. Leave it out.",
        ));
    }
    match body.limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok((query, limit as usize)),
        _ => Err(ApiError::with_status(
            actix_web::http::StatusCode::UNPROCESSABLE_ENTITY,
            Code::LimitInvalid,
            format!("`limit` must be from 1 to {MAX_LIMIT}."),
        )),
    }
}

type QueryVector = Option<(Arc<dyn Embedder>, Vec<f32>)>;

/// The query's vector, and how it will be searched: where both were asked for and the model is away, words must do.
async fn query_vector(state: &ApiState, query: &str, asked: SearchMode) -> Result<(SearchMode, QueryVector), ApiError> {
    if asked == SearchMode::Text {
        return Ok((asked, None));
    }
    match embed(state.model.as_ref(), query).await {
        Ok(found) => Ok((asked, Some(found))),
        Err(failure) if asked == SearchMode::Hybrid => {
            tracing::warn!(
                error.code = failure.code.as_str(),
                "the query has no vector, so words alone are searched: {failure}"
            );
            Ok((SearchMode::Text, None))
        }
        Err(failure) => Err(ApiError::embedding(&failure)),
    }
}

async fn embed(model: &dyn ModelSource, query: &str) -> Result<(Arc<dyn Embedder>, Vec<f32>), Failure> {
    let embedder = model.embedder().await?;
    let mut vectors = embedder.embed(vec![query.to_owned()], EmbedPriority::Query).await?;
    let vector = vectors.pop().filter(|vector| vector.len() == embedder.model().dim);
    let vector =
        vector.ok_or_else(|| Failure::new(Code::EmbedderAnswerInvalid, "the model gave no vector of its dimension"))?;
    Ok((embedder, vector))
}

/// The chunks in the order of the ranking; one deleted since is left out.
fn hits(fused: &[Fused], found: Vec<FoundChunk>) -> Vec<Hit> {
    let mut found: HashMap<ChunkId, FoundChunk> = found.into_iter().map(|chunk| (chunk.chunk_id, chunk)).collect();
    fused.iter().filter_map(|place| found.remove(&place.chunk_id).map(|chunk| hit(place, chunk))).collect()
}

fn hit(place: &Fused, chunk: FoundChunk) -> Hit {
    Hit {
        document_id: chunk.document_id.0,
        filename: chunk.filename,
        chunk_id: chunk.chunk_id.0,
        ord: chunk.ord,
        heading: chunk.heading,
        page_first: chunk.page_first,
        page_last: chunk.page_last,
        text: chunk.text,
        highlight: chunk.highlight,
        score: place.score,
        vector_rank: place.vector_rank,
        text_rank: place.text_rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str, limit: Option<u32>) -> SearchRequest {
        SearchRequest { query: query.to_owned(), limit, mode: SearchMode::Hybrid, document_id: None }
    }

    #[test]
    fn a_query_is_bounded_and_each_refusal_has_its_code() {
        assert_eq!(checked(&request(" what is covered? ", None)).unwrap(), ("what is covered?", 10));
        assert!(checked(&request(&"ü".repeat(1000), Some(50))).is_ok());
        let cases = [
            (request(" ", None), Code::QueryEmpty),
            (request(&"ü".repeat(1001), None), Code::QueryTooLong),
            (request("a\0b", None), Code::QueryInvalid),
            (request("a", Some(0)), Code::LimitInvalid),
            (request("a", Some(51)), Code::LimitInvalid),
        ];
        for (request, code) in cases {
            assert_eq!(checked(&request).unwrap_err().code(), code);
        }
    }
}
