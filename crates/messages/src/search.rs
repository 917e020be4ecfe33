//! Searching.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{BoxView, number};

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// By meaning.
    Vector,
    /// By words.
    Text,
    /// Both, fused.
    #[default]
    Hybrid,
}

/// The neighbours that a hit is put together with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Expand {
    /// None.
    #[default]
    None,
    /// The passage before and the passage after.
    Neighbours,
    /// The passages under the same headings.
    Section,
    /// The passages on the same page: each hit is another page. Where there are no pages, the passage alone.
    Page,
}

/// What to look for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// A question or some words. `"words in a row"` must stand so, `-word` must not stand in the passage, `filename:part`
    /// must be part of the file's name; everything else is plain words.
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
    /// Only in documents that this holds for: `{"and": [filter, …]}`, `{"or": [filter, …]}`, `{"not": filter}`, or a condition such
    /// as `{"field": "metadata.year", "gte": 2018, "lt": 2020}`. Fields are `metadata.KEY` (`eq`, `in`, `gt`, `gte`, `lt`, `lte`,
    /// `exists`), `filename` (`eq`, `in`, `contains`), `kind` and `language` (`eq`, `in`), `created_at` and `updated_at` (`gt`,
    /// `gte`, `lt`, `lte`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub filter: Option<Value>,
    /// The least `score` of a hit, 0 to 1. When absent: any, but no hits at all where even the best is most likely about
    /// something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub min_score: Option<f64>,
    /// The neighbours that a hit is put together with; hits that meet become one. None when absent.
    #[serde(default)]
    pub expand: Expand,
    /// The most characters of a hit with its neighbours, 200 to 20,000; 4,000 when absent.
    #[serde(default, deserialize_with = "number::whole_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 200, maximum = 20000)]
    pub max_chars: Option<u32>,
    /// The most hits of one document, 1 to 50; any number when absent.
    #[serde(default, deserialize_with = "number::whole_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 50)]
    pub per_document: Option<u32>,
    /// Whether to leave out hits that are nearly the same as a better one. Not when absent.
    #[serde(default)]
    pub distinct: bool,
}

impl SearchRequest {
    /// A request with nothing but a question.
    pub fn of(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            limit: None,
            mode: SearchMode::default(),
            document_id: None,
            filter: None,
            min_score: None,
            expand: Expand::None,
            max_chars: None,
            per_document: None,
            distinct: false,
        }
    }
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
    /// The reranker whose order and scores the hits have, where one is configured and has answered in time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reranker: Option<String>,
    /// Time on the server, in milliseconds.
    pub took_ms: f64,
}

/// A question for the database's own search.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TermsRequest {
    /// A question or some words; `filename:part` must be part of the file's name.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub query: String,
    /// Hybrid when absent.
    #[serde(default)]
    pub mode: SearchMode,
}

/// What the database's own search takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TermsResponse {
    /// The function that takes the terms.
    pub function: String,
    /// Its first argument. What stands in it belongs to the function, and changes with its name.
    #[schema(value_type = Object)]
    pub terms: Value,
    /// Its second argument; null where no vector takes part: by words alone, or without the model.
    #[schema(required)]
    pub vector: Option<Vec<f32>>,
    /// How it is searched.
    pub mode: SearchMode,
    /// The model of the vector.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
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
    /// With `expand`: the places of the first and last passage that `text` holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ords: Option<(i32, i32)>,
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
    /// The passage, with its neighbours where `expand` asks for them.
    pub text: String,
    /// Fragments of the passage without markup, cut between words, with `**` around the words that match; the start of the
    /// passage where none does.
    pub highlight: String,
    /// How sure it is that the passage answers, 0 to 1; the same number means the same for any question. No greater than
    /// that of the hit before.
    pub score: f64,
    /// The cosine of the question's vector and the passage's, where the ranking by meaning has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cosine: Option<f64>,
    /// The share of the question's words, by their weight, that the passage and the file's name have, where the ranking by
    /// words has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub covered: Option<f64>,
    /// With `distinct`: how many further hits are nearly the same and left out, where there are any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicates: Option<u32>,
    /// Place by meaning, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vector_rank: Option<u32>,
    /// Place by words, from 1, where it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_rank: Option<u32>,
}
