//! What one caller, one address and one connection may take of an instance.

use std::time::Duration;

/// The bounds of one instance.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests a minute that one user may make; a sixth of them at once; 0 = no bound.
    pub requests_per_minute: u32,
    /// Failed log-ins a minute from one address; 0 = no bound.
    pub failures_per_minute: u32,
    /// Proxies before this server that append to `X-Forwarded-For`.
    pub trusted_proxies: usize,
    /// Connections held at once; 0 = no bound.
    pub max_connections: usize,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long the head of a request may take.
    pub head_timeout: Duration,
    /// How long a body may keep us waiting, beyond what `body_bytes_per_second` grants.
    pub body_grace: Duration,
    /// The slowest that a body may come in the long run; 0 = no bound.
    pub body_bytes_per_second: u64,
}

impl Default for Bounds {
    /// Source: ours. Keep-alive: longer than the proxies before us keep theirs (nginx and AWS: 60 s), so that they never
    /// send a request into a connection that we are closing. Bytes a second: 25 MiB take less than the hour that an
    /// announced upload has.
    fn default() -> Self {
        Self {
            requests_per_minute: 600,
            failures_per_minute: 60,
            trusted_proxies: 1,
            max_connections: 2000,
            keep_alive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            body_grace: Duration::from_secs(30),
            body_bytes_per_second: 8 * 1024,
        }
    }
}
