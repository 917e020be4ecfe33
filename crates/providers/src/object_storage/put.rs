//! Streams a body to a file of the folder.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt as _, sync::Arc};

use futures_util::TryStreamExt;
use object_store::{buffered::BufWriter, local::LocalFileSystem, path::Path};
use tokio::io::AsyncWriteExt;

use super::{
    error,
    pump::{interrupted, pump},
};
use domain::{
    Failure,
    ports::{ByteStream, StoredObject},
};

pub(super) const DOING: &str = "store";
/// One write to a file. Every upload keeps two in memory; larger ones were not faster.
const PART_BYTES: usize = 32 * 1024;

/// Writes a body as it arrives. The file appears at its place when it is complete.
pub(super) async fn put(
    store: &LocalFileSystem,
    path: &Path,
    body: ByteStream,
    max_bytes: u64,
) -> Result<StoredObject, Failure> {
    let backend = Arc::new(store.clone());
    let mut writer = BufWriter::with_capacity(backend, path.clone(), PART_BYTES).with_max_concurrency(1);
    match pump(body.map_err(|error| interrupted(&error)), max_bytes, &mut writer, of_write).await {
        Ok(stored) => {
            writer.shutdown().await.map_err(of_write)?;
            make_private(store, path).await.map_err(|error| error::of_file(&error, DOING))?;
            Ok(stored)
        }
        Err(failure) => {
            // The first failure is the one to report.
            drop(writer.abort().await);
            Err(failure)
        }
    }
}

/// Lets only the owner read the file; the folder is private too.
async fn make_private(store: &LocalFileSystem, path: &Path) -> io::Result<()> {
    let file = store.path_to_filesystem(path)?;
    tokio::fs::set_permissions(file, Permissions::from_mode(0o600)).await
}

fn of_write(error: io::Error) -> Failure {
    match error.downcast::<object_store::Error>() {
        Ok(error) => error::of_store(&error, DOING),
        Err(error) => error::of_file(&error, DOING),
    }
}
