//! A worker that holds a job holds a [`Lease`]. Every function that advances, fails or hands back a job takes one.

use uuid::Uuid;

use super::{DocumentId, JobId, Status, UserId};

/// A worker process; each start has a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub Uuid);

impl WorkerId {
    /// The id of this process.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for WorkerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

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

/// Which transitions of a job are written to `events`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Timeline {
    /// Every transition.
    #[default]
    Whole,
    /// Only failures and actions of people; not the start, end or success of a step.
    Problems,
}

impl std::str::FromStr for Timeline {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "whole" => Ok(Self::Whole),
            "problems" => Ok(Self::Problems),
            _ => Err("must be `whole` or `problems`"),
        }
    }
}

impl Timeline {
    /// Whether every transition is written.
    pub fn is_whole(self) -> bool {
        self == Self::Whole
    }
}

/// A job that this process has claimed. It is not `Clone`, since there is one holder.
#[derive(Debug)]
pub struct Lease {
    /// Proof of the claim.
    pub fence: Fence,
    /// The document to work on.
    pub document_id: DocumentId,
    /// Its owner.
    pub user_id: UserId,
    /// The checkpoint from which to continue.
    pub status: Status,
    /// Failed tries since that checkpoint.
    pub retry_count: i32,
    /// Follows the upload through logs.
    pub correlation_id: Option<Uuid>,
    /// Which of its transitions are written to `events`.
    pub timeline: Timeline,
}
