//! Other people's services: object storage, LlamaParse, and the keys that sign users' tokens.
//!
//! Each module implements a trait of [`domain::ports`], bounds every call in time, and turns each way of failing into a
//! code and a sentence that says what to do.
//!
//! *Must not know:* a table, a job, or the life of a document. Concrete clients are named only where the program is put
//! together.

pub mod jwks;
pub mod llamaparse;
pub mod object_storage;
