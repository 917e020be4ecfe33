//! What users say of hits.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::number;

/// Whether a place answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Right,
    /// It does not.
    Wrong,
}

impl Verdict {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
        }
    }
}

/// A judgement of a hit, or of any place in a document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgementRequest {
    /// The question, as it was searched for.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub query: String,
    /// The document.
    pub document_id: Uuid,
    /// A page of it, from 1.
    #[serde(default, deserialize_with = "number::whole_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub page: Option<u32>,
    /// Words of it, as they stand there: enough to tell the place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4000, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$")]
    pub text: Option<String>,
    /// The chunk of a hit, in place of `page` and `text`: its page and its words are kept, so that the judgement holds when the
    /// document is cut into other passages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_id: Option<Uuid>,
    /// Whether the place answers the question.
    pub verdict: Verdict,
}

/// A judgement.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JudgementView {
    /// Its id; the same for the same question and place.
    pub judgement_id: Uuid,
    /// The question.
    pub query: String,
    /// The document.
    pub document_id: Uuid,
    /// Its file name.
    pub filename: String,
    /// The page; null: the text alone names the place.
    #[schema(required)]
    pub page: Option<i32>,
    /// The words; null: the page alone names the place.
    #[schema(required)]
    pub text: Option<String>,
    /// Whether the place answers the question.
    pub verdict: Verdict,
    /// When the place was first judged.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was last judged.
    #[serde(with = "time::serde::rfc3339")]
    pub judged_at: OffsetDateTime,
}
