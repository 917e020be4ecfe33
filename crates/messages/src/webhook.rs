//! The answer to a provider's webhook.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to a webhook, a repeated one included.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookTaken {
    /// Always true: it need not be sent again.
    pub taken: bool,
}
