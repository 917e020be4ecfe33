//! Searching the caller's complete documents: by meaning, by words, or both.

use std::time::Instant;

use actix_web::{HttpResponse, http::StatusCode};

use crate::{
    http::{ApiError, Call, HttpResult, Json, codes},
    resources::documents::boxes_view,
};
use domain::{Code, DocumentId};
use messages::{Hit, SearchMode, SearchRequest, SearchResponse};
use search::{Found, Fused, MAX_HITS, Query, SearchError, search};
use store::search::FoundChunk;

const DEFAULT_LIMIT: u32 = 10;
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
    let (text, limit) = checked(&body)?;
    let query = Query {
        user: caller.user,
        document: body.document_id.map(DocumentId),
        text,
        by_meaning: body.mode != SearchMode::Text,
        by_words: body.mode != SearchMode::Vector,
        limit,
    };
    let Found { hits, model } = search(&state.db, state.model.as_ref(), query).await.map_err(|error| match error {
        SearchError::Database(error) => error.into(),
        SearchError::Embedding(failure) => ApiError::embedding(&failure),
    })?;
    Ok(HttpResponse::Ok().json(SearchResponse {
        hits: hits.into_iter().map(hit).collect(),
        mode: if model.is_none() { SearchMode::Text } else { body.mode },
        model,
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
            StatusCode::UNPROCESSABLE_ENTITY,
            Code::QueryInvalid,
            "`query` holds a NUL character. Leave it out.",
        ));
    }
    match body.limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_HITS => Ok((query, limit as usize)),
        _ => Err(ApiError::with_status(
            StatusCode::UNPROCESSABLE_ENTITY,
            Code::LimitInvalid,
            format!("`limit` must be from 1 to {MAX_HITS}."),
        )),
    }
}

fn hit((place, chunk): (Fused, FoundChunk)) -> Hit {
    Hit {
        document_id: chunk.document_id.0,
        filename: chunk.filename,
        chunk_id: chunk.chunk_id.0,
        ord: chunk.ord,
        heading: chunk.heading,
        page_first: chunk.page_first,
        page_last: chunk.page_last,
        page_label: chunk.page_label,
        boxes: boxes_view(chunk.boxes),
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
