//! The vocabulary of all crates: ids, statuses, states and steps of a job, leases, retries, failures and their codes.
//!
//! [`ports`] has the traits for external services; [`document`] the blocks that readers make of files; [`record`] how that went; [`markdown`] the
//! rules for parsed text, and [`layout`] where it stands on its pages; [`build_info`] the version and commit of this build; [`filter`] says which documents are meant, [`metadata`] what a client may say of one; [`money`] has prices and caps; [`callback`] creates and checks the URLs that a provider calls.
//!
//! *Must not know:* any other crate of ours, the network, the disk, the database, the clock of the process. Everything here
//! is a value or a pure function, so its tests need nothing else.

pub mod build_info;
pub mod callback;
pub mod codes;
pub mod document;
mod failure;
pub mod filter;
mod hex;
mod ids;
mod job;
pub mod layout;
mod lease;
pub mod markdown;
pub mod metadata;
pub mod money;
mod named;
mod outcome;
mod parse_memory;
pub mod ports;
mod printable;
pub mod progress;
pub mod record;
mod retry;
mod step;
mod takeover;

pub use codes::Code;
pub use failure::{ErrorClass, Failure};
pub use hex::hex;
pub use ids::{ChunkId, DocumentId, ID_NAMESPACE, JobId, JudgementId, QuestionId, UploadId, UserId, WorkerId};
pub use job::{State, Status, UnknownName};
pub use lease::{Fence, Lease};
pub use outcome::{Outcome, StepError};
pub use parse_memory::ParseMemory;
pub use printable::{printable, reorders};
pub use retry::{MISMATCHED, RetryPolicy, Verdict, retry_needs};
pub use step::Step;
pub use takeover::{ALONE_AFTER_CRASHES, Takeover};
