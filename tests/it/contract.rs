//! The contract: the document is whole, it is what the server does, and no caller gets past it.

mod conform;
mod document;
mod routes;
mod support;
mod walk;
