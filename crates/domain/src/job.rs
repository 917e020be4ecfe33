//! How far a document has come (`status`) and who has its job (`state`).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::named;

/// A name that is not a status or state of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no {kind}; this build knows {known}")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: String,
}

fn parse<T: Copy + ToString>(kind: &'static str, values: &[T], name: &str) -> Result<T, UnknownName> {
    let names: Vec<String> = values.iter().map(T::to_string).collect();
    let found = names.iter().position(|known| known == name).map(|at| values[at]);
    found.ok_or_else(|| UnknownName { kind, name: name.to_owned(), known: names.join(", ") })
}

impl FromStr for Status {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        parse("status", Self::ALL, name)
    }
}

impl FromStr for State {
    type Err = UnknownName;
    fn from_str(name: &str) -> Result<Self, UnknownName> {
        parse("state", Self::ALL, name)
    }
}

named! {
    /// The checkpoint: what has been done and committed for the document.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Status {
        /// The row exists; the bytes may still be arriving. A worker finds and verifies them, then parses.
        Uploaded = "uploaded",
        /// A remote parser has the document. A worker polls it, at the latest when its webhook arrives.
        ParseQueued = "parse_queued",
        /// The parser's markdown is stored. A worker normalises and checks it.
        Parsed = "parsed",
        /// The markdown is normalised, hashed and not empty. A worker cuts it.
        ParseValidated = "parse_validated",
        /// Chunks are being written; the same step as `parse_validated`, repeated after a crash.
        Chunking = "chunking",
        /// Every chunk is stored; chunks may be without a vector.
        ChunksStored = "chunks_stored",
        /// Waiting for vectors; kept for the programs that write it.
        EmbeddingQueued = "embedding_queued",
        /// Some batches of vectors are committed.
        EmbeddingInProgress = "embedding_in_progress",
        /// Every chunk has a vector. A worker counts once more.
        EmbeddingsStored = "embeddings_stored",
        /// Searchable. Terminal.
        Complete = "complete",
        /// Another job has completed this document already. Terminal.
        Duplicate = "duplicate",
        /// Verifying or parsing failed for good; `last_error.checkpoint` is where a retry resumes. Terminal.
        FailedParse = "failed_parse",
        /// Cutting into chunks failed for good. Terminal.
        FailedChunking = "failed_chunking",
        /// Embedding or the final check failed for good. Terminal.
        FailedEmbedding = "failed_embedding",
    }
}

named! {
    /// Who has the job.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    State {
        /// Waiting for a worker, from `run_at` on. Also where a job waits for bytes or a webhook, with a later `run_at`.
        Queued = "queued",
        /// A worker holds the lease and renews it; when the lease has expired, any worker may take the job over.
        Working = "working",
        /// Failed with a fault that can go away; waits for its next try at `run_at`.
        Retryable = "retryable",
        /// Ended with success: `complete` or `duplicate`. Terminal.
        Done = "done",
        /// Failed for good: a person must look at it. `last_error` has the reason. Terminal until a person retries it.
        Deadletter = "deadletter",
        /// Stopped by its owner. Terminal until a person retries it.
        Cancelled = "cancelled",
    }
}

impl Status {
    /// Whether the document has ended, with success or a failure.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Complete | Self::Duplicate | Self::FailedParse | Self::FailedChunking | Self::FailedEmbedding
        )
    }
}

impl State {
    /// Whether the job will not change again unless a person asks for it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Deadletter | Self::Cancelled)
    }
}
