//! The contract, as OpenAPI 3.1, and the page that shows it. A handler's own attribute says what it alone decides; what
//! comes with who may call, with an id in the path or with a kind of body is added here once, so that no route can lack
//! it.

pub mod docs_page;
mod docs_schemas;
mod document;
mod operation;
mod route;

pub use document::document;
pub use route::{Access, Attribute, Route};
