//! The API's settings: its sections of the configuration, and what has no variable.

use std::time::Duration;

use config::{Auth, Config, ConfigError, Http, Secret, Uploads};
use domain::{
    callback::CallbackKey,
    money::{Caps, PriceList},
};

/// All settings of the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// development, staging or production; must be the database's own.
    pub environment: String,
    /// The listener, and what one caller, address and connection may take.
    pub http: Http,
    /// Bounds on uploads.
    pub uploads: Uploads,
    /// What may be spent.
    pub caps: Caps,
    /// Of a million tokens, by embedding model.
    pub embed_prices: PriceList,
    /// Who may call.
    pub auth: Auth,
    /// When the issuer's public keys are fetched.
    pub key_policy: KeyPolicy,
    /// Signs our own upload URLs; the same in every process of a deployment.
    pub signing_secret: Secret<String>,
    /// Checks who calls a webhook, as workers have told the parser; `None`: no caller may.
    pub webhooks: Option<CallbackKey>,
    /// How long an idle connection is kept: longer than the proxies before us keep theirs (nginx and AWS: 60 s), so
    /// that they never send a request into a connection that we are closing.
    pub keep_alive: Duration,
}

impl ApiSettings {
    /// The settings in `config`.
    ///
    /// # Errors
    ///
    /// The secret for upload URLs is not set. The configuration's own rules exclude this.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self {
            environment: config.environment.to_string(),
            http: config.http.clone(),
            uploads: config.uploads.clone(),
            caps: config.money.caps(),
            embed_prices: config.money.embed_prices.clone().unwrap_or_default(),
            auth: config.auth.clone(),
            key_policy: KeyPolicy::default(),
            signing_secret: config.storage.signing_secret()?.clone(),
            webhooks: config.parser.webhook_secret.as_ref().map(|secret| CallbackKey::new(secret.expose())),
            keep_alive: Duration::from_secs(75),
        })
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

/// The configuration of an empty environment, for tests of parts.
#[cfg(test)]
pub fn default_config() -> Config {
    let (config, _what_a_process_would_lack) = Config::load_lenient(config::Role::Api, &config::Sources::default());
    config
}
