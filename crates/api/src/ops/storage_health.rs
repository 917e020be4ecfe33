//! Whether the object store answers, for `/health`. The answer is kept for some seconds and bounded in time, so that a
//! slow store does not make a probe slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use domain::ports::ObjectStore;

/// How long an answer is kept: platforms probe every few seconds.
const FRESH: Duration = Duration::from_secs(10);
/// How long the store may take: well within what a probe waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// A key that no object has. It is enough that the store answers.
const KEY: &str = "health/probe";

/// The last answer.
#[derive(Clone, Default)]
pub struct StorageHealth(Arc<Mutex<Option<(Instant, String)>>>);

impl StorageHealth {
    /// `ok`, or why uploads fail.
    pub async fn look(&self, store: &dyn ObjectStore) -> String {
        // Locked while the store is asked: concurrent probes share one request.
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
