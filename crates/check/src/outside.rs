//! What lies around the database: the object store, keys, providers, the API, and a document's way through all of it.

pub(super) mod api;
pub(super) mod e2e;
mod http;
pub(super) mod keys;
pub(super) mod llamaparse;
pub(super) mod model;
pub(super) mod own;
pub(super) mod project;
pub(super) mod storage;
pub(super) mod webhook;
