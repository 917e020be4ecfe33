//! What files would bring and cost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use domain::{Failure, money::Cents, ports::Estimate};

/// What one file would bring and cost. Numbers are null where they are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEstimate {
    /// The name that the client sent.
    pub filename: String,
    /// Pages, slides or sheets; 0 where the format has none.
    #[schema(required, minimum = 0)]
    pub pages: Option<u32>,
    /// Passages; null: known once OCR or the remote parser has read it.
    #[schema(required, minimum = 0)]
    pub passages: Option<u64>,
    /// Tokens to embed; equal passages count once. What the user has already costs nothing again, and is counted here.
    #[schema(required, minimum = 0)]
    pub tokens: Option<i64>,
    /// Pages that the remote parser would read.
    #[schema(required, minimum = 0)]
    pub remote_pages: Option<u32>,
    /// What the remote parser would charge, in US cents; null: there is no price.
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub parse_cents: Option<Cents>,
    /// What the embedding service would charge, in US cents; null: there is no price, or the tokens are not known.
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub embed_cents: Option<Cents>,
    /// Both together.
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub cost_cents: Option<Cents>,
    /// Why it would fail; absent: nothing speaks against it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<ForeseenFailure>,
}

/// Why a document would fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForeseenFailure {
    /// What a job's `last_error` would have.
    pub code: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl FileEstimate {
    /// The estimate of a file, or why it would fail.
    pub fn of(filename: String, estimated: Result<Estimate, Failure>) -> Self {
        match estimated {
            Ok(found) => Self {
                filename,
                pages: Some(found.pages),
                passages: found.passages.map(|passages| passages as u64),
                tokens: found.tokens,
                remote_pages: Some(found.remote_pages),
                parse_cents: found.parse_cost,
                embed_cents: found.embed_cost,
                cost_cents: found.cost(),
                failure: None,
            },
            Err(failure) => {
                let failure = ForeseenFailure { code: failure.code.as_str().to_owned(), message: failure.message };
                Self { filename, failure: Some(failure), ..Self::default() }
            }
        }
    }
}

/// What files would bring and cost.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Estimates {
    /// One entry a file, in the order of the request.
    pub files: Vec<FileEstimate>,
    /// The cost of those that would not fail, in US cents; null: a part of it is not known.
    #[schema(required, value_type = Option<f64>, minimum = 0)]
    pub cost_cents: Option<Cents>,
}

impl Estimates {
    /// The files with their sum.
    pub fn of(files: Vec<FileEstimate>) -> Self {
        let cost_cents = files
            .iter()
            .filter(|file| file.failure.is_none())
            .try_fold(Cents::ZERO, |sum, file| file.cost_cents.map(|cost| sum.plus(cost)));
        Self { files, cost_cents }
    }
}
