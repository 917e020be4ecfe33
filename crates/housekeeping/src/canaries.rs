//! What an `app check` that was killed has left.

use domain::ports::ObjectStore;
use pg::Db;

/// A canary that cannot be removed holds no other sweep up.
pub(super) async fn sweep(db: &Db, store: &dyn ObjectStore) {
    match canary::sweep_canaries(db, store, canary::Store::Theirs).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed what an app check that was killed had left"),
        Err(failure) => {
            tracing::warn!(error.code = failure.code.as_str(), "what an app check has left stays for now: {failure}")
        }
    }
}
