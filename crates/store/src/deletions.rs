//! The table `storage_deletions`: objects to delete, and the receipt that says when they are gone.

use time::OffsetDateTime;
use uuid::Uuid;

use domain::{DocumentId, UserId};
use pg::{DbError, FromRow, Session};

/// A deletion, over all its objects.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Deletion {
    /// The receipt.
    pub deletion_id: Uuid,
    /// The deleted document.
    pub document_id: DocumentId,
    /// Objects not yet known to be gone.
    pub objects_pending: i64,
    /// When the owner deleted it.
    pub requested_at: OffsetDateTime,
}

/// Hands objects to housekeeping, which deletes each twice, a lease apart. Empty keys are left out.
pub async fn insert_deletions(
    tx: &impl Session,
    deletion_id: Uuid,
    user: UserId,
    document: DocumentId,
    keys: &[String],
) -> Result<u64, DbError> {
    tx.run(
        "-- insert_deletions
INSERT INTO upload_pipeline.storage_deletions (deletion_id, user_id, document_id, storage_key)
SELECT DISTINCT $1::uuid, $2::uuid, $3::uuid, k.storage_key
FROM unnest($4::text[]) AS k (storage_key)
WHERE k.storage_key <> ''",
        &[&deletion_id, &user.0, &document.0, &keys],
    )
    .await
}

/// `user`'s receipt with this id.
pub async fn get_deletion(db: &impl Session, user: UserId, deletion_id: Uuid) -> Result<Option<Deletion>, DbError> {
    db.find(
        "-- get_deletion
SELECT s.deletion_id, s.document_id, min(s.requested_at) AS requested_at, count(*) FILTER (WHERE s.deleted_at IS NULL) AS objects_pending
FROM upload_pipeline.storage_deletions AS s
WHERE s.user_id = $1 AND s.deletion_id = $2
GROUP BY s.deletion_id, s.document_id",
            &[&user.0, &deletion_id],
        )
    .await
}
