//! The objects and API keys that `app check` creates for a moment. [`housekeeping::canaries`] removes them.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use super::{cause::Problem, context::Context, database::environment::ready_db};
use domain::{DocumentId, Failure, UploadId, ports::ObjectStore};
use housekeeping::canaries::{
    ABANDONED_AFTER, CANARY_NAME, CANARY_USER, Removed, Store, remove_document, sweep_canaries,
};
use pg::Db;
use store::{
    api_keys::{ApiKeySecret, NewApiKey, Scope, insert_api_key},
    canary::{delete_canary_keys, forget_canary_object},
    uploads::{NewUpload, announce_upload},
};

/// Bounds the sweep, since the object store may be the part that is out of order.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a worker that holds the job at the end may take to finish it; then the job is cancelled.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Removes what a killed check has left. What remains is removed by housekeeping.
pub(super) async fn sweep(context: &Context<'_>) {
    if let (Ok(db), Ok(store)) = (ready_db(context), &context.setup.store) {
        drop(timeout(SWEEP_TIMEOUT, sweep_canaries(db, &**store, Store::Unproven)).await);
    }
}

/// An object that the check stores.
pub(super) struct CanaryObject<'c> {
    pub(super) key: String,
    /// The database that has a row for the object.
    db: Option<&'c Db>,
}

impl<'c> CanaryObject<'c> {
    /// With a database, inserts a row before the first byte is stored; housekeeping removes the object when the row has
    /// expired. Without a database the key is always the same, so that the next check finds what a killed one has left.
    pub(super) async fn announce(context: &'c Context<'_>) -> Self {
        if let Ok(db) = ready_db(context)
            && let Ok(key) = Self::insert_row(db).await
        {
            return Self { key, db: Some(db) };
        }
        Self { key: key_of("check"), db: None }
    }

    async fn insert_row(db: &Db) -> Result<String, Failure> {
        let upload_id = UploadId::generate();
        let upload = NewUpload {
            upload_id,
            user: CANARY_USER,
            storage_key: key_of(&upload_id.to_string()),
            filename: CANARY_NAME.to_owned(),
            mime: "application/octet-stream".to_owned(),
            expires_at: OffsetDateTime::now_utc() + ABANDONED_AFTER,
            per_day: 0,
        };
        // `per_day: 0` sets no limit, so the upload cannot be refused.
        announce_upload(db, &upload).await?.ok();
        Ok(upload.storage_key)
    }

    /// Deletes the row after the object. If this fails, housekeeping deletes the row when it has expired.
    pub(super) async fn forget(&self) {
        let Some(db) = self.db else { return };
        if let Ok(conn) = db.get().await {
            drop(forget_canary_object(&conn, CANARY_USER, &self.key).await);
        }
    }
}

/// The key of a canary's object.
pub(super) fn key_of(name: &str) -> String {
    format!("raw/{CANARY_USER}/{name}")
}

/// An API key of [`CANARY_USER`] for one run.
pub(super) struct CanaryKey {
    id: Uuid,
    pub(super) secret: ApiKeySecret,
}

impl CanaryKey {
    pub(super) async fn create(db: &Db) -> Result<Self, Problem> {
        let secret = ApiKeySecret::generate()
            .ok_or_else(|| Problem::Skipped("the operating system gave no random bytes".to_owned()))?;
        let key = NewApiKey {
            name: CANARY_NAME,
            key_sha256: &secret.sha256(),
            user_id: Some(CANARY_USER),
            scope: Scope::Write,
            expires_at: Some(OffsetDateTime::now_utc() + ABANDONED_AFTER),
        };
        let id = insert_api_key(&db.get().await?, &key).await?;
        Ok(Self { id, secret })
    }

    /// Removes the document that was uploaded with the key, then the key, even if the first fails.
    pub(super) async fn remove_with(
        self,
        db: &Db,
        store: &dyn ObjectStore,
        document: DocumentId,
    ) -> Result<Removed, Failure> {
        let removed = remove_document(db, store, Store::Unproven, document, END_TIMEOUT).await;
        delete_canary_keys(&db.get().await?, CANARY_USER, Some(self.id), Duration::ZERO).await?;
        removed
    }
}
