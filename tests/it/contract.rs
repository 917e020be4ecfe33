//! The contract: the document is whole, it is what the server does, and no caller gets past it.

mod document;
mod routes;
mod support;
