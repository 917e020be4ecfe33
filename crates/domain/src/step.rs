//! The worker's next step for a document, by its status: DESIGN §3, "Life of a job", as one function each.

use super::Status;
use crate::named;

named! {
    /// One step of the pipeline, in the order in which a document meets them. Each can be repeated without harm; its module
    /// explains why.
    Step {
        /// Find the bytes, verify them, parse them (or hand them to a remote parser).
        Parse = "parse",
        /// Poll the remote parser that has the document, and fetch its markdown.
        Collect = "collect",
        /// Normalise the markdown, hash it, refuse empty text.
        Validate = "validate",
        /// Cut it into chunks.
        Chunk = "chunk",
        /// Give every chunk a vector.
        Embed = "embed",
        /// Count once more and finish.
        Finish = "finish",
    }
}

impl Step {
    /// The step that continues a document at `status`; `None` if there is none.
    pub fn after(status: Status) -> Option<Self> {
        match status {
            Status::Uploaded => Some(Self::Parse),
            Status::ParseQueued => Some(Self::Collect),
            Status::Parsed => Some(Self::Validate),
            Status::ParseValidated | Status::Chunking => Some(Self::Chunk),
            Status::ChunksStored | Status::EmbeddingQueued | Status::EmbeddingInProgress => Some(Self::Embed),
            Status::EmbeddingsStored => Some(Self::Finish),
            Status::Complete
            | Status::Duplicate
            | Status::FailedParse
            | Status::FailedChunking
            | Status::FailedEmbedding => None,
        }
    }

    /// The status of a document that failed here for good.
    pub fn failed_status(self) -> Status {
        match self {
            Self::Parse | Self::Collect | Self::Validate => Status::FailedParse,
            Self::Chunk => Status::FailedChunking,
            Self::Embed | Self::Finish => Status::FailedEmbedding,
        }
    }

    /// The checkpoints at which this step may end; empty for the step that ends the job.
    pub fn checkpoints(self) -> &'static [Status] {
        match self {
            Self::Parse => &[Status::Parsed, Status::ParseQueued],
            // Sent again if the provider has forgotten it.
            Self::Collect => &[Status::Parsed, Status::ParseQueued],
            Self::Validate => &[Status::ParseValidated],
            Self::Chunk => &[Status::ChunksStored],
            Self::Embed => &[Status::EmbeddingsStored],
            Self::Finish => &[],
        }
    }

    /// The statuses at which this step continues a document.
    pub fn statuses(self) -> Vec<&'static str> {
        let mine = Status::ALL.iter().filter(|status| Self::after(**status) == Some(self));
        mine.map(|status| status.as_str()).collect()
    }
}

impl Status {
    /// The statuses at which this build's worker continues; a job at another status is left to a build that knows it.
    pub fn claimable() -> Vec<&'static str> {
        Self::ALL.iter().filter(|status| Step::after(**status).is_some()).map(|status| status.as_str()).collect()
    }

    /// The status that a document failed for good at `self` ends in.
    pub fn failed(self) -> Self {
        Step::after(self).map_or(Self::FailedParse, Step::failed_status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_either_terminal_or_has_a_step() {
        for status in Status::ALL {
            assert_eq!(status.is_terminal(), Step::after(*status).is_none(), "{status}");
        }
    }

    #[test]
    fn behind_each_checkpoint_lies_a_step_that_is_no_earlier_one() {
        let place = |step| Step::ALL.iter().position(|other| *other == step).unwrap();
        for &step in Step::ALL {
            for checkpoint in step.checkpoints() {
                assert!(place(Step::after(*checkpoint).unwrap()) >= place(step), "{step:?} ends at {checkpoint}");
            }
        }
    }
}
