//! The contract as served.

pub mod docs_page;
