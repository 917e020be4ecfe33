//! Clients of external services: object storage, LlamaParse, embeddings by OpenAI's API, rerankers, and the keys that sign
//! users' tokens.
//!
//! Each module implements a trait of [`domain::ports`], gives every call a time limit, and turns each failure into a code
//! and a sentence that says what to do.
//!
//! *Must not know:* tables, jobs, or the states of a document. Only the composition roots name a concrete client.

mod body;
pub mod jwks;
pub mod llamaparse;
pub mod object_storage;
pub mod openai;
pub mod rerank;
mod wait;
