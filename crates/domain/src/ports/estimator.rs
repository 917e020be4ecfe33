//! What a file would bring and cost, before it is sent.

use std::path::Path;

use async_trait::async_trait;

use crate::{Failure, money::Cents};

/// A file to estimate.
#[derive(Debug, Clone, Copy)]
pub struct EstimateJob<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// The media type that is declared; empty: none.
    pub mime: &'a str,
    /// Its name.
    pub filename: &'a str,
    /// Whether every page is to be read by OCR.
    pub ocr: bool,
}

/// What a file would bring and cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Pages, slides or sheets; 0 if the format has none.
    pub pages: u32,
    /// Passages; `None`: that is known once the remote parser has read it.
    pub passages: Option<usize>,
    /// Tokens of the passages with different texts; `None` in the same way.
    pub tokens: Option<i64>,
    /// Pages that the remote parser reads and charges for.
    pub remote_pages: u32,
    /// What the remote parser charges; `None`: it has no price.
    pub parse_cost: Option<Cents>,
    /// What the embedding service charges; `None`: it has no price, or the tokens are not known.
    pub embed_cost: Option<Cents>,
}

impl Estimate {
    /// What it costs in all; `None`: a part of it is not known.
    pub fn cost(&self) -> Option<Cents> {
        self.parse_cost.zip(self.embed_cost).map(|(parse, embed)| parse.plus(embed))
    }
}

/// Says what files would cost. It reads and cuts them as a worker does, and stores nothing.
#[async_trait]
pub trait Estimator: Send + Sync {
    /// The estimate; or the failure with which the document would end.
    async fn estimate(&self, job: EstimateJob<'_>) -> Result<Estimate, Failure>;
}
