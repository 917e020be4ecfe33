//! Asking.

use actix_web::http::StatusCode;
use uuid::Uuid;

use super::{Doc, Tag, samples};
use crate::api::messages::{SearchMode, SearchRequest, SearchResponse};
use crate::domain::Code;

/// `POST /search`.
pub fn post_search() -> Doc {
    let ask = |query: &str, mode, limit, document_id: Option<Uuid>| SearchRequest {
        query: query.to_owned(),
        limit,
        mode,
        document_id,
    };
    let document = Uuid::parse_str(samples::DOCUMENT).ok();
    Doc::new(
        "post_search",
        Tag::Search,
        "Search",
        "Searches the caller's complete documents by meaning, by words, or both. Best first; no hits is an empty list. A \
         POST for its body; it changes nothing, so a key with the scope `read` may do it.",
    )
    .reads()
    .takes_json::<SearchRequest>(
        "What to look for.",
        &[
            ("question", ask("What does the policy say about water damage?", SearchMode::Hybrid, None, None)),
            ("words_in_one_document", ask("excess theft", SearchMode::Text, Some(5), document)),
        ],
    )
    .answers::<SearchResponse>(StatusCode::OK, "The hits.", &[("found", samples::found())])
    .refuses(&[Code::QueryEmpty, Code::QueryTooLong, Code::QueryNotEmbeddable]).refuses_with(StatusCode::UNPROCESSABLE_ENTITY, Code::QueryInvalid).refuses_with(StatusCode::UNPROCESSABLE_ENTITY, Code::LimitInvalid)
    .refuses(&[Code::EmbedderUnavailable])
}
