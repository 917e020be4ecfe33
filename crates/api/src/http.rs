//! What every route needs of HTTP: bodies, forms, lists, conditions, idempotency, problems. Knows no route, and nothing
//! of who may call.

pub mod body;
mod caller;
pub mod conditions;
pub mod contract;
pub mod filters;
pub mod form;
pub mod idempotency;
pub mod json;
pub mod paging;
pub mod problem;
mod request_ids;
mod state;
pub mod validate;

pub use caller::Caller;
pub use problem::ApiError;
pub use request_ids::RequestIds;
pub use state::ApiState;
