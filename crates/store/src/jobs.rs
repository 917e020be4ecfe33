//! The table `upload_jobs`: the queue.
//!
//! Time is the database's clock. A test that wants another gives `now`, which every statement here that compares
//! times falls back from: `coalesce($1, now())`.

mod claim;
mod completion;
mod enqueue;
mod lease;
mod outcome;
mod owner;
mod read;
mod redrive;
mod redrive_many;
mod retype;
mod sql;

pub use claim::*;
pub use completion::*;
pub use enqueue::*;
pub use lease::*;
pub use outcome::*;
pub use owner::*;
pub use read::*;
pub use redrive::*;
pub use redrive_many::*;
pub use retype::*;
pub(crate) use sql::{ENDED, FENCED, LET_GO, LIVE, WAITING, capped};
