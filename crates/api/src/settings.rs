//! The API's settings: who may call, and what one caller, address and connection may use.

use std::{fmt, time::Duration};

use url::Url;

use domain::callback::CallbackKey;

/// Bytes that are never shown.
#[derive(Clone)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Wraps them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for signing and verifying only.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Signs users' tokens (HS256); `None`: such tokens are refused.
    pub hs256_secret: Option<SecretBytes>,
    /// What `aud` must name.
    pub audience: String,
    /// What `iss` must be; `None`: anything.
    pub issuer: Option<String>,
    /// When the issuer's public keys are fetched.
    pub key_policy: KeyPolicy,
}

impl AuthSettings {
    /// No user's token is taken, only API keys.
    pub fn keys_only(audience: &str) -> Self {
        Self { hs256_secret: None, audience: audience.to_owned(), issuer: None, key_policy: KeyPolicy::default() }
    }
}

/// Bounds on uploads.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Largest file, in bytes; 0 = no limit.
    pub max_file_bytes: u64,
    /// Files in one multipart request; 0 = no limit.
    pub max_files: usize,
    /// Longest file name, in characters; 0 = no limit.
    pub filename_chars: usize,
    /// Uploads a user may begin within 24 hours; 0 = no limit.
    pub uploads_per_day: u32,
    /// How long an announced upload may take.
    pub upload_expiry: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_file_bytes: 25 * 1024 * 1024,
            max_files: 20,
            filename_chars: 120,
            uploads_per_day: 30,
            upload_expiry: Duration::from_secs(3600),
        }
    }
}

/// All settings of the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// development, staging or production; must be the database's own.
    pub environment: String,
    /// Who may call.
    pub auth: AuthSettings,
    /// Bounds on uploads.
    pub uploads: UploadLimits,
    /// Signs our own upload URLs; the same in every process of a deployment.
    pub signing_secret: SecretBytes,
    /// Checks who calls a webhook, as workers have told the parser; `None`: no caller may.
    pub webhooks: Option<CallbackKey>,
    /// Where clients reach us; `None`: as the request's `Host` says.
    pub public_base_url: Option<Url>,
    /// Origins of browsers that may call; `*` for any.
    pub cors_origins: Vec<String>,
    /// Largest JSON body, in bytes.
    pub json_body_bytes: usize,
    /// Largest JSON body of a text document, in bytes; it is held in memory.
    pub text_body_bytes: usize,
    /// Threads that serve requests; 0: one a core.
    pub threads: usize,
    /// Bounds on live timelines.
    pub streams: StreamLimits,
    /// How long open requests may take to end once the server stops.
    pub shutdown_grace: Duration,
    /// What one caller, address and connection may take.
    pub bounds: Bounds,
}

/// The bounds of one instance.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests a minute that one user may make; a sixth of them at once; 0 = no bound.
    pub requests_per_minute: u32,
    /// Retries and cancellations a minute of one user; 0 = no limit.
    pub retries_per_minute: u32,
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
    /// How long the server waits for a body, beyond what `body_bytes_per_second` grants.
    pub body_grace: Duration,
    /// The slowest that a body may come in the long run; 0 = no bound.
    pub body_bytes_per_second: u64,
}

impl Default for Bounds {
    /// Keep-alive: longer than the proxies before us keep theirs (nginx and AWS: 60 s), so that they never
    /// send a request into a connection that we are closing. Bytes a second: 25 MiB take less than the hour that an
    /// announced upload has.
    fn default() -> Self {
        Self {
            requests_per_minute: 600,
            retries_per_minute: 30,
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

/// When keys are fetched.
#[derive(Debug, Clone, Copy)]
pub struct KeyPolicy {
    /// Keys of that age are renewed in the background at their next use; at twice that age, the use waits for it.
    pub refresh_after: Duration,
    /// Between two fetches because of a key that is not there.
    pub unknown_after: Duration,
    /// Between two tries while the issuer is away.
    pub retry_after: Duration,
    /// Keys of that age are used no more, even while the issuer is away.
    pub keep_for: Duration,
}

impl Default for KeyPolicy {
    /// Ten minutes: Supabase's own cache keeps the key set that long, and it asks for that wait between making a key and
    /// signing with it. Six hours outlast an outage, and six lifetimes of a token.
    fn default() -> Self {
        Self {
            refresh_after: Duration::from_secs(600),
            unknown_after: Duration::from_secs(30),
            retry_after: Duration::from_secs(5),
            keep_for: Duration::from_secs(6 * 3600),
        }
    }
}

/// Bounds on live timelines, of one process.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// At a time; 0 = no limit.
    pub per_instance: usize,
    /// Of one user at a time; 0 = no limit.
    pub per_user: usize,
    /// How long one lasts; its reader then connects again and goes on behind the last event. Zero: to the job's end.
    pub lifetime: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { per_instance: 200, per_user: 20, lifetime: Duration::from_secs(900) }
    }
}
