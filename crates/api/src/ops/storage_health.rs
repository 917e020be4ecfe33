//! Whether the object store takes what is written, for `/health`. The answer is kept for some seconds and bounded in time,
//! so that a slow store does not make a probe slow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use domain::{Code, Failure, ports::ObjectStore};

/// How long an answer is kept: platforms probe every few seconds, and a bucket bills each write.
const FRESH: Duration = Duration::from_secs(30);
/// The same after a failure, so that the end of one is soon seen.
const FRESH_FAILURE: Duration = Duration::from_secs(5);
/// How long the store may take: well within what a probe waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last answer.
#[derive(Clone, Default)]
pub struct StorageHealth(Arc<Mutex<Option<Answer>>>);

/// When the store was asked, and why it failed.
type Answer = (Instant, Option<Failure>);

impl StorageHealth {
    /// Why uploads fail, if they do.
    pub async fn look(&self, store: &dyn ObjectStore) -> Option<Failure> {
        // Locked while the store is asked: concurrent probes share one request.
        let mut last = self.0.lock().await;
        if let Some((at, said)) = last.as_ref()
            && at.elapsed() < if said.is_none() { FRESH } else { FRESH_FAILURE }
        {
            return said.clone();
        }
        let said = match tokio::time::timeout(PATIENCE, store.try_write()).await {
            Ok(written) => written.err(),
            Err(_elapsed) => Some(Failure::new(
                Code::StorageUnavailable,
                format!("The object store did not answer within {} s.", PATIENCE.as_secs()),
            )),
        };
        *last = Some((Instant::now(), said.clone()));
        said
    }
}
