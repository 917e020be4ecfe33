//! What every route needs of HTTP: bodies, forms, lists, conditions, idempotency, problems. Knows no route, and nothing
//! of who may call.

mod body;
mod caller;
pub mod conditions;
pub mod contract;
mod download;
mod filters;
mod form;
mod idempotency;
pub mod json;
mod page_file;
mod paging;
mod picture_cache;
mod problem;
mod quota;
mod request_ids;
mod state;
mod text_body;
pub mod validate;

pub use body::{Expected, begin_stream, declared_length, read_whole, refuse_too_large, store_body, too_large};
pub use caller::{Call, Caller};
pub use conditions::IfMatch;
pub use contract::codes;
pub use download::Download;
pub use filters::{ChunksQuery, DocumentsQuery, JobsQuery, MarksQuery, PageQuery, UsageQuery};
pub use form::{Asked, Form, Part};
pub use idempotency::{BodyPrint, KeyInHand, Replay, overtaken, remember};
pub use json::{Json, is_json};
pub use page_file::page_file;
pub use paging::{ListId, PageSize};
pub use picture_cache::PictureCache;
pub use problem::{ApiError, HttpResult, MiddlewareResult, from_path_error, from_query_error};
pub use quota::{Full, Most, Quota, Share};
pub use request_ids::RequestIds;
pub use state::ApiState;
pub use text_body::TextBody;
