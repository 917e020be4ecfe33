//! Searching the caller's complete documents: by meaning, by words, or both.

use std::time::Instant;

use actix_web::{HttpResponse, http::StatusCode};

use crate::{
    http::{ApiError, Call, HttpResult, Json, codes},
    resources::documents::boxes_view,
};
use domain::{Code, DocumentId, filter::Filter};
use messages::{Expand, Hit, SearchMode, SearchRequest, SearchResponse, TermsRequest, TermsResponse};
use pg::Db;
use search::{Around, FUNCTION, Found, MAX_HITS, Query, SearchError, Without, search, terms};

const DEFAULT_LIMIT: u32 = 10;
const MAX_QUERY_CHARS: usize = 1000;
const DEFAULT_MAX_CHARS: u32 = 4000;

/// Search.
///
/// Searches the caller's complete documents by meaning, by words, or both. Best first. An empty list: nothing was found,
/// or nothing that is likely about the question; `min_score: 0` shows that too. A POST for its body; it changes nothing,
/// so a key with the scope `read` may do it.
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
        ("x-codes-422" = json!(codes(&[Code::QueryInvalid, Code::LimitInvalid, Code::FilterInvalid])))
    )
)]
pub async fn post_search(Call { state, caller, .. }: Call, body: Json<SearchRequest>) -> HttpResult {
    let began = Instant::now();
    let Checked { text, limit, max_chars, filter } = checked(&body)?;
    let query = Query {
        user: caller.user,
        document: body.document_id.map(DocumentId),
        filter: filter.as_ref(),
        text,
        by_meaning: body.mode != SearchMode::Text,
        by_words: body.mode != SearchMode::Vector,
        limit,
        min_score: body.min_score,
        around: match body.expand {
            Expand::None => None,
            Expand::Neighbours => Some(Around::Next),
            Expand::Section => Some(Around::Section),
            Expand::Page => Some(Around::Page),
        },
        max_chars,
        per_document: body.per_document.map(|most| most as usize),
        distinct: body.distinct,
        tally: Some(&state.questions),
        without: Without::default(),
    };
    let reranker = state.reranker.as_deref();
    let run = async |db: &Db| match search(db, state.model.as_ref(), &state.vectors, reranker, query).await {
        Err(SearchError::Database(error)) => Err(error),
        found => Ok(found),
    };
    let Found { hits, model, reranker } = state.read(run).await?.map_err(refusal)?;
    Ok(HttpResponse::Ok().json(SearchResponse {
        hits: hits.into_iter().map(|found| hit(found, body.expand)).collect(),
        mode: if model.is_none() { SearchMode::Text } else { body.mode },
        model,
        reranker,
        took_ms: (began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0,
    }))
}

fn refusal(error: SearchError) -> ApiError {
    let refused = |why: &str| invalid(Code::QueryInvalid, why.to_owned());
    match error {
        SearchError::Database(error) => error.into(),
        SearchError::Embedding(failure) => ApiError::embedding(&failure),
        SearchError::OnlyNegative => refused("`query` only says what is not wanted. Add words to look for."),
        SearchError::Strict => refused(
            "`query` has words in quotation marks or with `-`, which a search in SQL cannot keep. Leave the marks out, or use POST /search.",
        ),
    }
}

/// Make a question ready for SQL.
///
/// Gives the terms and the vector of a question, for the function `upload_pipeline.search` of the database: a view, an RPC of Supabase
/// or a BI tool that calls it gets the hits of `POST /search` in the same order. They are the caller's: what languages the caller's documents are in
/// counts. Phrases and exclusions are refused (`query_invalid`). A POST for its body; it changes nothing, so a key with the
/// scope `read` may do it.
#[utoipa::path(
    post,
    path = "/search/terms",
    tag = "Search",
    request_body(content = TermsRequest, description = "The question."),
    responses((status = 200, description = "The arguments of the function.", body = TermsResponse)),
    extensions(
        ("x-codes" = json!(codes(&[
            Code::QueryEmpty,
            Code::QueryTooLong,
            Code::QueryNotEmbeddable,
            Code::EmbedderUnavailable
        ]))),
        ("x-codes-422" = json!(codes(&[Code::QueryInvalid])))
    )
)]
pub async fn post_terms(Call { state, caller, .. }: Call, body: Json<TermsRequest>) -> HttpResult {
    state.require_schema().await?;
    let text = checked_query(&body.query)?;
    let (by_meaning, by_words) = (body.mode != SearchMode::Text, body.mode != SearchMode::Vector);
    let query = Query { tally: Some(&state.questions), ..Query::of(caller.user, text, by_meaning, by_words) };
    let (terms, vector) = terms(&state.db, state.model.as_ref(), &state.vectors, query).await.map_err(refusal)?;
    let model = terms.model().map(str::to_owned);
    Ok(HttpResponse::Ok().json(TermsResponse {
        function: FUNCTION.to_owned(),
        terms: serde_json::to_value(&terms).map_err(ApiError::internal)?,
        mode: if vector.is_none() { SearchMode::Text } else { body.mode },
        vector,
        model,
    }))
}

#[derive(Debug)]
struct Checked<'a> {
    text: &'a str,
    limit: usize,
    max_chars: usize,
    filter: Option<Filter>,
}

pub fn invalid(code: Code, message: String) -> ApiError {
    ApiError::with_status(StatusCode::UNPROCESSABLE_ENTITY, code, message)
}

/// A question without blanks around it, within its bounds.
pub fn checked_query(query: &str) -> Result<&str, ApiError> {
    let query = query.trim();
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
        return Err(invalid(Code::QueryInvalid, "`query` holds a NUL character. Leave it out.".to_owned()));
    }
    Ok(query)
}

fn checked(body: &SearchRequest) -> Result<Checked<'_>, ApiError> {
    let query = checked_query(&body.query)?;
    if body.min_score.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
        return Err(invalid(Code::LimitInvalid, "`min_score` must be from 0 to 1.".to_owned()));
    }
    let within = |name: &str, value: u32, range: std::ops::RangeInclusive<u32>| match range.contains(&value) {
        true => Ok(value as usize),
        false => {
            Err(invalid(Code::LimitInvalid, format!("`{name}` must be from {} to {}.", range.start(), range.end())))
        }
    };
    within("per_document", body.per_document.unwrap_or(1), 1..=MAX_HITS)?;
    let filter = body.filter.as_ref().map(Filter::parse).transpose();
    Ok(Checked {
        text: query,
        filter: filter.map_err(|why| invalid(Code::FilterInvalid, why))?,
        limit: within("limit", body.limit.unwrap_or(DEFAULT_LIMIT), 1..=MAX_HITS)?,
        max_chars: within("max_chars", body.max_chars.unwrap_or(DEFAULT_MAX_CHARS), 200..=20_000)?,
    })
}

fn hit(found: search::Hit, expand: Expand) -> Hit {
    let search::Hit { place, passage, score, highlight } = found;
    let chunk = passage.chunk;
    Hit {
        document_id: chunk.document_id.0,
        filename: chunk.filename,
        chunk_id: chunk.chunk_id.0,
        ord: chunk.ord,
        ords: (expand != Expand::None).then_some((passage.ord_first, passage.ord_last)),
        heading: chunk.heading,
        page_first: chunk.page_first,
        page_last: chunk.page_last,
        page_label: chunk.page_label,
        boxes: boxes_view(chunk.boxes),
        text: chunk.text,
        highlight,
        score,
        cosine: place.cosine,
        covered: place.covered,
        duplicates: Some(passage.duplicates).filter(|duplicates| *duplicates > 0),
        vector_rank: place.vector_rank,
        text_rank: place.text_rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(query: &str, limit: Option<u32>) -> SearchRequest {
        SearchRequest { limit, ..SearchRequest::of(query) }
    }

    #[test]
    fn a_query_is_bounded_and_each_refusal_has_its_code() {
        let request_of = request(" what is covered? ", None);
        let Checked { text, limit, max_chars, .. } = checked(&request_of).unwrap();
        assert_eq!((text, limit, max_chars), ("what is covered?", 10, 4000));
        assert!(checked(&request(&"ü".repeat(1000), Some(50))).is_ok());
        let cases = [
            (request(" ", None), Code::QueryEmpty),
            (request(&"ü".repeat(1001), None), Code::QueryTooLong),
            (request("a\0b", None), Code::QueryInvalid),
            (request("a", Some(0)), Code::LimitInvalid),
            (request("a", Some(51)), Code::LimitInvalid),
            (SearchRequest { per_document: Some(0), ..SearchRequest::of("a") }, Code::LimitInvalid),
            (SearchRequest { max_chars: Some(199), ..SearchRequest::of("a") }, Code::LimitInvalid),
            (SearchRequest { filter: Some(json!({"field": "size"})), ..SearchRequest::of("a") }, Code::FilterInvalid),
            (SearchRequest { min_score: Some(1.1), ..SearchRequest::of("a") }, Code::LimitInvalid),
            (SearchRequest { min_score: Some(f64::NAN), ..SearchRequest::of("a") }, Code::LimitInvalid),
        ];
        for (request, code) in cases {
            assert_eq!(checked(&request).unwrap_err().code(), code);
        }
    }
}
