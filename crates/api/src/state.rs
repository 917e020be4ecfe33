//! What every handler can reach.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

use domain::{
    build_info::BuildInfo,
    callback::CallbackKey,
    ports::{KeySource, ModelSource, ObjectStore},
};
use pg::{Conn, Db, DbError};
use store::{
    Notifier,
    migrations::{SchemaState, get_environment_stamp, schema_state},
};

use super::{
    ApiError, Bounds, KeyPolicy,
    auth::KeyCache,
    contract::document_json,
    metrics::MetricsCache,
    rates::Rates,
    storage_watch::StorageWatch,
    streams::{StreamLimits, Streams},
};

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

/// Whom to let in.
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

/// All that the API wants to be told.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// development, staging or production; must be the database's own.
    pub environment: String,
    /// Whom to let in.
    pub auth: AuthSettings,
    /// Bounds on uploads.
    pub uploads: UploadLimits,
    /// Signs our own upload URLs; the same in every process of a deployment.
    pub signing_secret: SecretBytes,
    /// Checks who calls a webhook, as workers have told the parser; `None`: nobody may.
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

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub db: Db,
    /// Where the bytes are kept.
    pub store: Arc<dyn ObjectStore>,
    /// For queries; while its model is missing, search goes by words only.
    pub model: Arc<dyn ModelSource>,
    /// Settings.
    pub settings: Arc<ApiSettings>,
    /// Which build this is.
    pub build: Arc<BuildInfo>,
    /// Set when the server stops: streams end then.
    pub stop: CancellationToken,
    pub(super) runtime: Handle,
    pub(super) notifier: Notifier,
    pub(super) metrics: MetricsCache,
    pub(super) streams: Streams,
    pub(super) storage: StorageWatch,
    pub(super) rates: Arc<Rates>,
    /// The public keys that users' tokens are signed with; `None`: such tokens are refused.
    pub(super) keys: Option<Arc<KeyCache>>,
    contract: Arc<OnceLock<Result<Bytes, String>>>,
    schema_is_current: Arc<AtomicBool>,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("settings", &self.settings).field("build", &self.build).finish_non_exhaustive()
    }
}

impl ApiState {
    /// The state of a server that stops with `stop`. To be called on the main runtime, which then stores what is uploaded,
    /// so that an HTTP worker's end takes no upload with it.
    pub fn new(
        db: Db,
        store: Arc<dyn ObjectStore>,
        model: Arc<dyn ModelSource>,
        settings: ApiSettings,
        build: BuildInfo,
        stop: CancellationToken,
    ) -> Self {
        Self {
            db,
            store,
            model,
            build: Arc::new(build),
            stop,
            runtime: Handle::current(),
            notifier: Notifier::default(),
            metrics: MetricsCache::default(),
            streams: Streams::default(),
            storage: StorageWatch::default(),
            rates: Arc::new(Rates::new(&settings.bounds)),
            keys: None,
            settings: Arc::new(settings),
            contract: Arc::default(),
            schema_is_current: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Takes tokens that are signed with the keys of `source`, too.
    #[must_use]
    pub fn with_keys(mut self, source: Arc<dyn KeySource>) -> Self {
        let policy = self.settings.auth.key_policy;
        self.keys = Some(Arc::new(KeyCache::new(source, policy, self.runtime.clone())));
        self
    }

    /// What `/openapi.json` answers, with this deployment's limits in it; made once.
    pub(super) fn contract(&self) -> Result<Bytes, String> {
        let make = || {
            let json = document_json(&self.settings.uploads, self.build.version);
            json.map(Bytes::from).map_err(|error| error.to_string())
        };
        self.contract.get_or_init(make).clone()
    }

    /// A connection to a schema that this build can work with. Once that was found it is not asked again: a schema
    /// only ever moves on.
    pub(super) async fn conn(&self) -> Result<Conn, ApiError> {
        self.require_schema().await?;
        Ok(self.db.get().await?)
    }

    /// Answers 503 while the schema is missing or behind.
    pub(super) async fn require_schema(&self) -> Result<(), ApiError> {
        match self.schema_problem().await? {
            None => Ok(()),
            Some(reason) => Err(ApiError::schema_behind(reason)),
        }
    }

    /// What is wrong with the database for this build and environment, in a sentence.
    pub(super) async fn schema_problem(&self) -> Result<Option<String>, DbError> {
        if self.schema_is_current.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let ours = &self.settings.environment;
        if let Some(stamped) = get_environment_stamp(&self.db).await?
            && stamped != *ours
        {
            return Ok(Some(format!(
                "This database belongs to {stamped}, this process to {ours}. Check DATABASE_URL and ENVIRONMENT."
            )));
        }
        Ok(match schema_state(&self.db).await? {
            SchemaState::Current => {
                self.schema_is_current.store(true, Ordering::Relaxed);
                None
            }
            SchemaState::Missing => Some("The database has no schema yet. Run `app migrate`.".to_owned()),
            SchemaState::Behind(pending) => Some(format!(
                "The database schema is behind this build: {} not applied. Run `app migrate`.",
                pending.join(", ")
            )),
        })
    }
}
