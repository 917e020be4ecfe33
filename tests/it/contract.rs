//! The OpenAPI document is complete, the server behaves as it says, and no caller gets more access than it allows.

mod access;
mod conform;
mod document;
mod routes;
mod support;
