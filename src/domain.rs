//! What the system is about, without I/O: ids, the life of a job, failures and what they deserve.

pub mod codes;
mod failure;
pub mod fusion;
mod hex;
mod ids;
mod job;
mod lease;
pub mod progress;
mod retry;
pub mod signing_keys;
mod step;

pub use codes::Code;
pub use failure::{ErrorClass, Failure};
pub use hex::hex;
pub use ids::{ChunkId, DocumentId, ID_NAMESPACE, JobId, UploadId, UserId};
pub use job::{State, Status, UnknownName};
pub use lease::{Fence, Lease, Timeline, WorkerId};
pub use retry::{RetryPolicy, Verdict};
pub use step::Step;
