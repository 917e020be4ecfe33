//! Listings in the order of the keys.

use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, path::Path};
use time::OffsetDateTime;

use super::{Kind, ObjectStorage, error};
use domain::{Failure, ports::ListedObject};

pub(super) async fn list(
    storage: &ObjectStorage,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<ListedObject>, Failure> {
    let folder = storage.locate(prefix)?;
    let behind = Path::from(format!("{}{after}", storage.prefix));
    let found = storage.backend.list_with_offset(Some(&folder), &behind);
    // S3 lists in the order of the keys, a folder in none.
    let found = match storage.kind {
        Kind::S3(_) => found.take(limit).boxed(),
        Kind::Local(_) => found,
    };
    let mut found: Vec<ObjectMeta> = found.try_collect().await.map_err(|error| error::of_store(&error, "list"))?;
    found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    found.truncate(limit);
    Ok(found.into_iter().map(|meta| listed(&storage.prefix, &meta)).collect())
}

fn listed(prefix: &str, meta: &ObjectMeta) -> ListedObject {
    let key = meta.location.as_ref();
    let written_at = OffsetDateTime::from_unix_timestamp(meta.last_modified.timestamp());
    ListedObject {
        key: key.strip_prefix(prefix).unwrap_or(key).to_owned(),
        written_at: written_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
    }
}
