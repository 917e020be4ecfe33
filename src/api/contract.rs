//! The contract, as OpenAPI 3.1: made from the table of routes, from the types of the messages and from typed examples.
//!
//! Each route brings a [`Doc`], which says what its handler alone decides. What comes with who may call, with a path's id or
//! with a kind of body is added here and there, once, so that it cannot be forgotten.

pub mod codes;
mod doc;
pub mod documents;
pub mod jobs;
pub mod search;
pub mod service;
pub mod uploads;
pub mod webhook;
mod whole;

pub use doc::Doc;
pub use whole::{document, document_json};

use crate::api::{
    messages::{StateName, StatusName},
    resources::samples,
};

/// Under which heading a route stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Sending documents.
    Uploads,
    /// What has been taken in.
    Documents,
    /// Watching and steering.
    Jobs,
    /// Asking.
    Search,
    /// Health, figures, this contract.
    Service,
    /// For people.
    Pages,
}

impl Tag {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Uploads, "Sending documents: in one step, or announced and then PUT to a signed URL."),
        (Self::Documents, "What has been taken in, its passages, and its deletion."),
        (Self::Jobs, "How far each document has come; stopping and trying again."),
        (Self::Search, "Asking the documents that are complete."),
        (Self::Service, "Health, build and figures of this process, and this contract. Open to everybody."),
        (Self::Pages, "What people look at in a browser. At the root only."),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Uploads => "Uploads",
            Self::Documents => "Documents",
            Self::Jobs => "Jobs",
            Self::Search => "Search",
            Self::Service => "Service",
            Self::Pages => "Pages",
        }
    }
}
