//! An object for each deleted document, which outlives a restore of the database: its key says which document was deleted,
//! and when. It holds nothing else, and goes when the receipt goes.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use time::OffsetDateTime;

use domain::{DocumentId, Failure, ports::ObjectStore};

const FOLDER: &str = "deleted";
/// Tombstones removed in one sweep.
const BATCH: usize = 200;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A document that its owner deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The document. The same content uploaded later has the same id.
    pub document: DocumentId,
    /// When it was deleted.
    pub deleted_at: OffsetDateTime,
}

impl Tombstone {
    /// `deleted/{microseconds since 1970}/{document_id}`: in the order of time.
    fn key(&self) -> String {
        format!("{FOLDER}/{}/{}", moment(self.deleted_at), self.document)
    }

    fn parse(key: &str) -> Option<Self> {
        let (moment, document) = key.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
        let deleted_at = OffsetDateTime::from_unix_timestamp_nanos(moment.parse::<i128>().ok()? * 1000).ok()?;
        Some(Self { document: document.parse().ok()?, deleted_at })
    }

    pub(super) async fn write(&self, store: &dyn ObjectStore) -> Result<(), Failure> {
        let body = stream::iter([std::io::Result::Ok(Bytes::from_static(b"deleted\n"))]);
        store.put(&self.key(), Box::pin(body), 0).await.map(drop)
    }
}

fn moment(at: OffsetDateTime) -> String {
    format!("{:016}", at.unix_timestamp_nanos() / 1000)
}

/// The first `limit` deletions since `since`, oldest first.
///
/// # Errors
///
/// The store does not list.
pub async fn list_tombstones(
    store: &dyn ObjectStore,
    since: OffsetDateTime,
    limit: usize,
) -> Result<Vec<Tombstone>, Failure> {
    let listed = store.list(FOLDER, &format!("{FOLDER}/{}", moment(since)), limit).await?;
    Ok(listed.iter().filter_map(|object| Tombstone::parse(&object.key)).collect())
}

/// Removes those that are older than `keep_days` (0: for ever).
pub(super) async fn sweep(store: &dyn ObjectStore, keep_days: u32) -> Result<(), Failure> {
    if keep_days == 0 {
        return Ok(());
    }
    let oldest = OffsetDateTime::now_utc() - DAY * keep_days;
    for tombstone in list_tombstones(store, OffsetDateTime::UNIX_EPOCH, BATCH).await? {
        if tombstone.deleted_at < oldest {
            store.delete(&tombstone.key()).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_which_document_was_deleted_when_and_keys_are_in_order() {
        let document = DocumentId(uuid::Uuid::new_v4());
        let at = OffsetDateTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        let tombstone = Tombstone { document, deleted_at: at };
        assert_eq!(Tombstone::parse(&tombstone.key()), Some(tombstone));
        assert!(tombstone.key() < Tombstone { document, deleted_at: at + Duration::from_micros(1) }.key());
        assert_eq!(Tombstone::parse("deleted/x/y"), None);
    }
}
