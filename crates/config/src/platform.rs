//! What the platform says about this process, and how it stops it.

use std::time::Duration;

use super::{reader::Reader, values};

/// What the platform says about this process, and how it stops it.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The commit that runs; `None`: ask the build.
    pub commit: Option<String>,
    /// The branch that it was deployed from; `None`: ask the build.
    pub branch: Option<String>,
    /// Time between SIGTERM and SIGKILL.
    pub shutdown_delay: Duration,
    /// Instances of the API that may run at once.
    pub api_instances: u32,
    /// Instances of the worker that may run at once.
    pub worker_instances: u32,
}

impl Platform {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            commit: r.optional("RENDER_GIT_COMMIT", values::name),
            branch: r.optional("RENDER_GIT_BRANCH", values::name),
            shutdown_delay: r.seconds("SHUTDOWN_DELAY", 0.0..=3600.0),
            api_instances: r.whole("API_INSTANCES", 0..=10_000),
            worker_instances: r.whole("WORKER_INSTANCES", 0..=10_000),
        }
    }
}
