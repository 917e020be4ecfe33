//! The table `api_keys`: keys as hashes, for programs that act for one user or for many.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use domain::UserId;
use domain::hex;
use pg::{DbError, FromRow, Session, read_as_text};

/// What every key begins with, so that people and secret scanners recognise it.
pub const API_KEY_PREFIX: &str = "apk_";

/// A new key. Shown once; only its hash is kept.
#[derive(Clone)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// From 32 random bytes. `None`: the system gave no randomness.
    pub fn generate() -> Option<Self> {
        let mut bytes = [0; 32];
        rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes).ok()?;
        Some(Self(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// For `api_keys.key_sha256`.
    pub fn sha256(&self) -> String {
        sha256_of_key(&self.0)
    }
}

impl std::fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The hash that the table holds of a key.
pub fn sha256_of_key(key: &str) -> String {
    hex(Sha256::digest(key))
}

/// What a key may do; each includes the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read and search.
    Read,
    /// Also upload, retry and cancel; delete, if the key has a user.
    Write,
    /// Delete documents of any user that the request names: only for keys without a user.
    Admin,
}

impl Scope {
    /// The name in the table and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|scope| scope.as_str() == name)
            .ok_or_else(|| format!("`{name}` is no scope; there are read, write and admin"))
    }
}

/// A key, without what is secret about it.
#[derive(Debug, Clone, FromRow)]
pub struct ApiKey {
    /// Its id; not secret.
    pub key_id: Uuid,
    /// What a person calls it.
    pub name: String,
    /// The user it acts for; `None`: the caller names one.
    pub user_id: Option<UserId>,
    /// What it may do.
    pub scope: Scope,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Refused from then on; `None`: never.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked; `None`: valid.
    pub revoked_at: Option<OffsetDateTime>,
    /// Last use, to the hour.
    pub last_used_at: Option<OffsetDateTime>,
}

read_as_text!(Scope);

const COLUMNS: &str =
    "k.key_id, k.name, k.user_id, k.scopes AS scope, k.created_at, k.expires_at, k.revoked_at, k.last_used_at
FROM upload_pipeline.api_keys AS k";

/// The key with this SHA-256 (64 lower-case hex digits). Writes that it was used, once an hour, so that a busy key does
/// not cost a write for each request. The caller checks expiry and revocation.
pub async fn get_api_key(db: &impl Session, key_sha256: &str) -> Result<Option<ApiKey>, DbError> {
    db.find(
        &format!(
            "-- get_api_key
WITH used AS (
  UPDATE upload_pipeline.api_keys AS k
  SET last_used_at = date_trunc('hour', now())
  WHERE k.key_sha256 = $1 AND k.revoked_at IS NULL
    AND k.last_used_at IS DISTINCT FROM date_trunc('hour', now())
)
SELECT {COLUMNS}
WHERE k.key_sha256 = $1"
        ),
        &[&key_sha256],
    )
    .await
}

/// A new key, before it is inserted.
#[derive(Debug, Clone)]
pub struct NewApiKey<'a> {
    /// What a person calls it.
    pub name: &'a str,
    /// SHA-256 of the whole key, 64 lower-case hex digits.
    pub key_sha256: &'a str,
    /// The user it acts for; `None`: the caller names one.
    pub user_id: Option<UserId>,
    /// What it may do.
    pub scope: Scope,
    /// Refused from then on; `None`: never.
    pub expires_at: Option<OffsetDateTime>,
}

/// Adds a key; its id.
pub async fn insert_api_key(db: &impl Session, key: &NewApiKey<'_>) -> Result<Uuid, DbError> {
    let key_id = Uuid::now_v7();
    db.run(
        "-- insert_api_key
INSERT INTO upload_pipeline.api_keys (key_id, name, key_sha256, user_id, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)",
        &[&key_id, &key.name, &key.key_sha256, &key.user_id.map(|user| user.0), &key.scope.as_str(), &key.expires_at],
    )
    .await?;
    Ok(key_id)
}

/// All keys, newest first, revoked ones included.
pub async fn list_api_keys(db: &impl Session) -> Result<Vec<ApiKey>, DbError> {
    db.list(
        &format!(
            "-- list_api_keys
SELECT {COLUMNS}
ORDER BY k.created_at DESC, k.key_id DESC"
        ),
        &[],
    )
    .await
}

/// Whether a key that was accepted earlier has since been revoked or deleted.
pub async fn is_api_key_revoked(db: &impl Session, key_id: Uuid) -> Result<bool, DbError> {
    let valid = db
        .run_any(
            "-- is_api_key_revoked
SELECT FROM upload_pipeline.api_keys AS k
WHERE k.key_id = $1 AND k.revoked_at IS NULL",
            &[&key_id],
        )
        .await?;
    Ok(!valid)
}

/// Revokes a key at once; `false`: there is no valid key with this id.
pub async fn revoke_api_key(db: &impl Session, key_id: Uuid) -> Result<bool, DbError> {
    db.run_any(
        "-- revoke_api_key
UPDATE upload_pipeline.api_keys AS k
SET revoked_at = now()
WHERE k.key_id = $1 AND k.revoked_at IS NULL",
        &[&key_id],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_different_and_never_shown_by_debug() {
        let (one, two) = (ApiKeySecret::generate().unwrap(), ApiKeySecret::generate().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 4 + 43);
        assert!(one.expose().starts_with(API_KEY_PREFIX));
        assert_eq!(one.sha256().len(), 64);
        assert_eq!(format!("{one:?}"), "***");
    }
}
