//! `app keys`: manages API keys. The database holds only their hashes, so a key is shown once, when it is created.

use std::{process::ExitCode, time::Duration};

use time::OffsetDateTime;

use super::{Context, usable::refuse_wrong_environment, wiring::open_db};
use crate::cli::{KeysAction, KeysArgs};
use client::render;
use domain::{Code, Failure, UserId};
use pg::Db;
use store::api_keys::{ApiKeySecret, NewApiKey, Scope, insert_api_key, list_api_keys, revoke_api_key};

/// Creates, lists or revokes keys.
///
/// # Errors
///
/// The database cannot be reached or belongs to another environment, or the key does not exist.
pub async fn run(args: KeysArgs, ctx: Context) -> anyhow::Result<ExitCode> {
    let db = open_db(&ctx.config)?;
    refuse_wrong_environment(&db, ctx.config.environment).await?;
    match args.action {
        KeysAction::Create { name, user, scope, expires_days } => {
            if scope == Scope::Admin && user.is_some() {
                anyhow::bail!(
                    "the scope admin is for keys without --user; a key of one user may do everything with the scope write"
                );
            }
            let expires_at =
                expires_days.map(|days| OffsetDateTime::now_utc() + Duration::from_secs(u64::from(days) * 24 * 3600));
            let secret = ApiKeySecret::generate().ok_or_else(no_randomness)?;
            let key =
                NewApiKey { name: &name, key_sha256: &secret.sha256(), user_id: user.map(UserId), scope, expires_at };
            let key_id = insert_api_key(&db.get().await?, &key).await?;
            render::print(&format!("{}\n", secret.expose()))?;
            tracing::info!(key.id = %key_id, "created the API key {name:?}; it is shown only once");
        }
        KeysAction::List => render::print(&table(&db).await?)?,
        KeysAction::Revoke { key_id } => {
            if !revoke_api_key(&db.get().await?, key_id).await? {
                anyhow::bail!("there is no valid key {key_id}; `app keys list` shows all keys");
            }
            render::print(&format!("revoked {key_id}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_randomness() -> Failure {
    Failure::new(Code::RandomnessUnavailable, "The system gave no random bytes for a key.")
}

async fn table(db: &Db) -> anyhow::Result<String> {
    let keys = list_api_keys(&db.get().await?).await?;
    let moment = |at: Option<OffsetDateTime>| at.map_or_else(|| "-".to_owned(), render::moment);
    let rows = keys.into_iter().map(|key| {
        vec![
            key.key_id.to_string(),
            key.name,
            key.scope.to_string(),
            key.user_id.map_or_else(|| "any (X-User-Id)".to_owned(), |user| user.to_string()),
            moment(key.expires_at),
            moment(key.revoked_at),
            moment(key.last_used_at),
        ]
    });
    Ok(render::table(&["id", "name", "scope", "user", "expires", "revoked", "last used"], rows))
}
