//! `app check` outside the database: each fault of the store, the keys, the providers and the API is made for real and has
//! exactly its cause; the document of `--e2e` leaves nothing, however the check ends.

mod api;
mod auth;
mod e2e;
mod interrupted;
mod own;
mod providers;
mod storage;
