//! What a handler's contract says that `utoipa::path` has no word for, as values of extensions:
//!
//! - `x-codes`: [`codes`] of its problems, each at its usual status; `x-codes-413`: codes at another one.
//! - `x-pages`: the [`PageSize`](super::paging::PageSize) of a list, which stands for its `limit` and `cursor`.
//! - `x-optional-body`: a request may come without a body.
//! - `x-links`: for each id in the answer, a JSON pointer, the operations that take it.
//!
//! The room `openapi` makes OpenAPI's own words of them.

use domain::Code;

/// The codes, by name.
pub fn codes(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().map(|code| code.as_str()).collect()
}

/// The operations on the job of an upload.
pub const JOB_OPERATIONS: [&str; 4] = ["get_job", "get_events", "cancel_job", "retry_job"];
/// The operations on its document.
pub const DOCUMENT_OPERATIONS: [&str; 4] = ["get_document", "list_chunks", "list_versions", "delete_document"];
