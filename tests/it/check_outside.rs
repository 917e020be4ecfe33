//! `app check` at what lies outside: each fault of the store, the keys, the providers and the API, made for real, is told
//! by exactly its cause; and the document that it sends through leaves nothing behind, however it ends.

mod api;
mod auth;
mod e2e;
mod interrupted;
mod own;
mod providers;
mod storage;
