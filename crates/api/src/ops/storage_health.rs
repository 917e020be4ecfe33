//! Whether the object store answers, for `/health`: looked at seldom and never for long, so that a slow store does not
//! make a probe slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use domain::ports::ObjectStore;

/// How long a look counts: platforms probe every few seconds.
const FRESH: Duration = Duration::from_secs(10);
/// How long a look may take: well within a probe's own patience.
const PATIENCE: Duration = Duration::from_secs(2);
/// A key that no object has: that the store says so is all there is to know.
const KEY: &str = "health/probe";

/// The last look.
#[derive(Clone, Default)]
pub struct StorageHealth(Arc<Mutex<Option<(Instant, String)>>>);

impl StorageHealth {
    /// `ok`, or why uploads fail just now.
    pub async fn look(&self, store: &dyn ObjectStore) -> String {
        // Held while looking: probes that come together share one look.
        let mut last = self.0.lock().await;
        if let Some((at, said)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return said.clone();
        }
        let said = match tokio::time::timeout(PATIENCE, store.head(KEY)).await {
            Ok(Ok(_size)) => "ok".to_owned(),
            Ok(Err(failure)) => format!("the object store fails ({}); uploads do, too", failure.code),
            Err(_elapsed) => {
                format!("no answer from the object store within {} s; uploads may fail", PATIENCE.as_secs())
            }
        };
        *last = Some((Instant::now(), said.clone()));
        said
    }
}
