//! What the system is about, without I/O: ids, the life of a job, failures and what they deserve.

mod failure;
pub mod fusion;
mod ids;
mod job;
mod lease;
mod outcome;
pub mod progress;
mod retry;
pub mod signing_keys;
mod step;
mod takeover;

pub use failure::{ErrorClass, Failure};
pub use ids::{ChunkId, DocumentId, ID_NAMESPACE, JobId, UploadId, UserId};
pub use job::{State, Status, UnknownName};
pub use lease::{Fence, Lease, WorkerId};
pub use outcome::{Outcome, StepError};
pub use retry::{RetryPolicy, Verdict};
pub use step::Step;
pub use takeover::{ALONE_AFTER_CRASHES, Takeover};
