//! Who may call, and how much: tokens and keys, signed URLs, rates.

pub mod auth;
pub mod client_address;
pub mod rates;
pub mod signing;

use std::sync::Arc;

use crate::{
    guard::{auth::KeyCache, rates::Rates},
    http::{ApiState, Quota},
};

/// The counts and keys with which one process guards its routes.
pub struct Guard {
    /// How often users send requests and addresses fail to log in.
    pub rates: Rates,
    /// The live timelines that are open.
    pub streams: Quota,
    /// The public keys that users' tokens are signed with; `None`: tokens signed with such keys are refused.
    keys: Option<Arc<KeyCache>>,
}

impl Guard {
    /// The guard of the server that `state` is of.
    pub fn new(state: &ApiState) -> Self {
        let policy = state.settings.key_policy;
        let keys = state.key_source.clone().map(|source| KeyCache::new(source, policy, state.runtime.clone()));
        Self { rates: Rates::new(&state.settings.http), streams: Quota::default(), keys: keys.map(Arc::new) }
    }
}
