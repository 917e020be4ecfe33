//! Copies an object to a file and hashes it, or opens it.

use std::{io, ops::Range, path::Path};

use futures_util::TryStreamExt;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore as Backend, ObjectStoreExt};

use super::{error, pump::pump};
use domain::{
    Failure,
    ports::{OpenObject, StoredObject},
};

const DOING: &str = "read";

pub(super) async fn open(
    backend: &dyn Backend,
    from: &object_store::path::Path,
    range: Option<Range<u64>>,
) -> Result<Option<OpenObject>, Failure> {
    let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
    let found = error::unless_missing(backend.get_opts(from, options).await, DOING)?;
    Ok(found.map(|found| OpenObject {
        bytes_len: found.meta.size,
        version: version(&found.meta),
        // The text of the backend's error names the object.
        body: Box::pin(found.into_stream().map_err(|error| io::Error::other(error::of_store(&error, DOING)))),
    }))
}

/// The store's own tag; some have none.
fn version(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{}-{}", meta.last_modified.timestamp_micros(), meta.size));
    tag.trim_start_matches("W/").chars().filter(|c| c.is_ascii_graphic() && *c != '"').collect()
}

pub(super) async fn fetch(
    backend: &dyn Backend,
    from: &object_store::path::Path,
    to: &Path,
) -> Result<Option<StoredObject>, Failure> {
    let Some(found) = error::unless_missing(backend.get(from).await, DOING)? else { return Ok(None) };
    let copied = copy(found, to).await;
    if copied.is_err() {
        // Half a file must not be taken for the document. An error means that there is no file.
        drop(tokio::fs::remove_file(to).await);
    }
    copied.map(Some)
}

async fn copy(from: GetResult, to: &Path) -> Result<StoredObject, Failure> {
    let of_file = |error| error::of_file(&error, DOING);
    let mut file = tokio::fs::File::create(to).await.map_err(of_file)?;
    let from = from.into_stream().map_err(|error| error::of_store(&error, DOING));
    pump(from, 0, &mut file, of_file).await
}
