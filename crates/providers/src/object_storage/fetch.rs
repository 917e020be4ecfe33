//! Copies an object to a file and hashes it.

use std::path::Path;

use futures_util::TryStreamExt;
use object_store::{GetResult, ObjectStore as Backend, ObjectStoreExt};

use super::{error, pump::pump};
use domain::{Failure, ports::StoredObject};

const DOING: &str = "read";

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
