//! Searching.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{BoxView, number};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By meaning.
    Vector,
    /// By words.
    Text,
    /// Both, fused by reciprocal rank.
    #[default]
    Hybrid,
}

/// What to look for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// A question or some words.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub query: String,
    /// Hits wanted, 1 to 50; 10 when absent.
    #[serde(default, deserialize_with = "number::whole_or_none")]
    #[schema(minimum = 1, maximum = 50)]
    pub limit: Option<u32>,
    /// Hybrid when absent.
    #[serde(default)]
    pub mode: SearchMode,
    /// Only in this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<Uuid>,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// How it was searched.
    pub mode: SearchMode,
    /// The model of the vectors, where they took part.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    /// Time on the server, in milliseconds.
    pub took_ms: f64,
}

/// One hit.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// The document.
    pub document_id: Uuid,
    /// Its file name.
    pub filename: String,
    /// The chunk.
    pub chunk_id: Uuid,
    /// Its place in the document.
    pub ord: i32,
    /// Headings above it.
    pub heading: String,
    /// First page, where there are pages.
    #[schema(required)]
    pub page_first: Option<i32>,
    /// Last page.
    #[schema(required)]
    pub page_last: Option<i32>,
    /// What is printed on the first page as its number, where that is known and not the number itself, for example `iv`.
    #[schema(required)]
    pub page_label: Option<String>,
    /// Where the passage stands on its pages; null for a format without pages, and for what was read before places were kept.
    #[schema(required)]
    pub boxes: Option<Vec<BoxView>>,
    /// The passage.
    pub text: String,
    /// Fragments of the passage, with `**` around the words that match.
    pub highlight: String,
    /// For ordering within this answer; not comparable across answers.
    pub score: f64,
    /// Place by meaning, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vector_rank: Option<u32>,
    /// Place by words, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_rank: Option<u32>,
}
