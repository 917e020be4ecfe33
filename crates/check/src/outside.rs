//! The checks of everything around the database: the object store, keys, services, the API, and the end-to-end check.

pub(super) mod api;
pub(super) mod bucket;
pub(super) mod e2e;
pub(super) mod embeddings;
mod http;
pub(super) mod keys;
pub(super) mod llamaparse;
pub(super) mod model;
pub(super) mod objects;
pub(super) mod ocr;
pub(super) mod own;
pub(super) mod pdf;
pub(super) mod project;
pub(super) mod recall;
pub(super) mod rerank;
pub(super) mod storage;
pub(super) mod webhook;
