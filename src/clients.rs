//! Implementations of the [ports](crate::ports), and of what `app dev` brings with it.
//!
//! Concrete clients are named only in [`roles`](crate::roles), which wires them.

pub mod embedded_postgres;
pub mod jwks;
pub mod llamaparse;
pub mod local_embedder;
pub mod local_model;
pub mod local_parser;
pub mod markdown_chunker;
pub mod object_storage;
