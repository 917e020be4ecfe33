//! The contract, as OpenAPI 3.1, and the page that shows it. A handler's own attribute says what it alone decides; what
//! comes with who may call, with an id in the path or with a kind of body is added here once, so that no route can lack
//! it.
//!
//! docs/openapi.json is the contract. A test makes it from the table of routes, so that the two cannot differ; the server
//! only fills in its own limits.

pub mod docs_page;
mod docs_schemas;
#[cfg(test)]
mod document;
#[cfg(test)]
mod operation;
mod route;
mod served;

#[cfg(test)]
pub use document::document;
pub use route::{Access, Attribute, Route};
pub use served::document_json;
