//! `app api`.

use std::{process::ExitCode, sync::Arc};

use super::{
    Context,
    usable::wait_until_usable,
    wiring::{key_source, listen_address, model, open_db, open_store},
};
use api::{ApiSettings, ApiState, AuthSettings, Bounds, KeyPolicy, SecretBytes, StreamLimits, UploadLimits};
use config::Config;
use domain::{
    callback::CallbackKey,
    ports::{ModelSource, ObjectStore},
};
use pg::Db;

/// Serves until a signal. It listens at once, and answers 503 until the database can be used.
///
/// # Errors
///
/// The environment is wrong, the port is taken, or the storage URL cannot be used.
pub async fn run(ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    let store = open_store(&ctx.config.storage)?;
    let state = build_state(&ctx, db.clone(), store, model(&ctx.config))?;
    let address = listen_address(&ctx.config)?;
    let server = api::serve(state, address, |_bound| {});
    let wait = async {
        let usable = wait_until_usable(&db, ctx.config.environment, &ctx.stop).await;
        if usable.is_err() {
            ctx.stop.cancel();
        }
        usable
    };
    let (served, usable) = tokio::join!(server, wait);
    usable?;
    served?;
    Ok(ExitCode::SUCCESS)
}

/// The API's state, from the settings.
pub(super) fn build_state(
    ctx: &Context,
    db: Db,
    store: Arc<dyn ObjectStore>,
    model: Arc<dyn ModelSource>,
) -> anyhow::Result<ApiState> {
    let settings = settings(&ctx.config)?;
    let state = ApiState::new(db, store, model, settings, ctx.build.clone(), ctx.stop.clone());
    Ok(match key_source(&ctx.config)? {
        Some(source) => state.with_keys(source),
        None => state,
    })
}

fn settings(config: &Config) -> anyhow::Result<ApiSettings> {
    // 0 means no limit.
    let bytes = |count: u64| usize::try_from(if count == 0 { u64::MAX } else { count }).unwrap_or(usize::MAX);
    Ok(ApiSettings {
        environment: config.environment.to_string(),
        auth: AuthSettings {
            hs256_secret: config.auth.jwt_secret.as_ref().map(|secret| SecretBytes::new(secret.expose().as_bytes())),
            audience: config.auth.audience.clone(),
            issuer: config.auth.issuer(),
            key_policy: KeyPolicy::default(),
        },
        uploads: UploadLimits {
            max_file_bytes: config.uploads.max_bytes,
            max_files: config.uploads.max_files,
            filename_chars: config.uploads.max_filename_chars,
            uploads_per_day: config.uploads.per_day,
            upload_expiry: config.uploads.expiry,
        },
        signing_secret: SecretBytes::new(config.storage.signing_secret()?.expose().as_bytes()),
        webhooks: config.parser.webhook_secret.as_ref().map(|secret| CallbackKey::new(secret.expose())),
        public_base_url: config.http.public_url.clone(),
        cors_origins: config.http.cors_origins.clone(),
        json_body_bytes: bytes(config.http.body_limit_bytes),
        text_body_bytes: bytes(config.uploads.max_bytes),
        threads: config.http.threads,
        streams: StreamLimits {
            per_instance: config.http.event_streams,
            per_user: config.http.event_streams_per_user,
            lifetime: config.http.event_stream_lifetime,
        },
        shutdown_grace: config.http.grace,
        bounds: Bounds {
            requests_per_minute: config.http.rate_per_minute,
            retries_per_minute: config.http.retries_per_minute,
            failures_per_minute: config.http.login_failures_per_minute,
            trusted_proxies: config.http.trusted_proxies,
            max_connections: config.http.max_connections,
            head_timeout: config.http.head_timeout,
            body_grace: config.http.body_grace,
            body_bytes_per_second: config.http.body_min_rate,
            ..Bounds::default()
        },
    })
}
