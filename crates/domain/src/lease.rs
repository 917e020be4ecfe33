//! A worker that holds a job holds a [`Lease`]. Every function that advances, fails or hands back a job takes one.

use uuid::Uuid;

use super::{DocumentId, JobId, Status, UserId, WorkerId};

/// Guards every write of a worker: the write changes nothing after another claim or a cancel has raised the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The job.
    pub job_id: JobId,
    /// The worker that claimed it.
    pub worker: WorkerId,
    /// The claim's number.
    pub epoch: i64,
}

/// A job that this process has claimed. It is not `Clone`, since there is one holder.
#[derive(Debug)]
pub struct Lease {
    /// Proof of the claim.
    pub fence: Fence,
    /// The document to work on; [`Lease::NO_DOCUMENT`]: a job of a change of model, which is for all.
    pub document_id: DocumentId,
    /// Its owner.
    pub user_id: UserId,
    /// The checkpoint from which to continue.
    pub status: Status,
    /// Failed tries since that checkpoint.
    pub retry_count: i32,
    /// Follows the upload through logs.
    pub correlation_id: Option<Uuid>,
}

impl Lease {
    /// What stands for the document of a job that has none.
    pub const NO_DOCUMENT: DocumentId = DocumentId(Uuid::nil());

    /// Whether the job is one of a change of model.
    pub fn is_reembedding(&self) -> bool {
        self.document_id == Self::NO_DOCUMENT
    }
}
