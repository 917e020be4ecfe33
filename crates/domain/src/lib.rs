//! What the system is about: ids, statuses, states and steps of a job, leases, retries, failures and their codes; the
//! blocks that every other crate speaks in.
//!
//! [`ports`] holds the traits that stand for other people's services and for what a test cannot own; [`markdown`] holds
//! the rules for parsed text; [`build_info`] says which build runs; [`callback`] makes and checks the addresses at which a
//! provider calls back.
//!
//! *Must not know:* any other crate of ours, the network, the disk, the database, the clock of the process. Everything here
//! is a value or a pure function, so its tests need nothing but themselves.

pub mod build_info;
pub mod callback;
pub mod codes;
mod failure;
mod hex;
mod ids;
mod job;
mod lease;
pub mod markdown;
mod outcome;
pub mod ports;
mod printable;
pub mod progress;
mod retry;
pub mod signing_keys;
mod step;
mod takeover;

pub use codes::Code;
pub use failure::{ErrorClass, Failure};
pub use hex::hex;
pub use ids::{ChunkId, DocumentId, ID_NAMESPACE, JobId, UploadId, UserId};
pub use job::{State, Status, UnknownName};
pub use lease::{Fence, Lease, WorkerId};
pub use outcome::{Outcome, StepError};
pub use printable::{printable, reorders};
pub use retry::{RetryPolicy, Verdict};
pub use step::Step;
pub use takeover::{ALONE_AFTER_CRASHES, Takeover};
