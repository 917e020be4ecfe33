//! Streams a body to a file of the folder.

use std::{io, sync::Arc};

use futures_util::TryStreamExt;
use object_store::{ObjectStore as Backend, buffered::BufWriter, path::Path};
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
const PART_BYTES: usize = 64 * 1024;

/// Writes a body as it arrives. The file appears at its place when it is complete.
pub(super) async fn put(
    backend: &Arc<dyn Backend>,
    path: &Path,
    body: ByteStream,
    max_bytes: u64,
) -> Result<StoredObject, Failure> {
    let mut writer = BufWriter::with_capacity(Arc::clone(backend), path.clone(), PART_BYTES).with_max_concurrency(1);
    match pump(body.map_err(|error| interrupted(&error)), max_bytes, &mut writer, of_write).await {
        Ok(stored) => writer.shutdown().await.map_err(of_write).map(|()| stored),
        Err(failure) => {
            // The first failure is the one to report.
            drop(writer.abort().await);
            Err(failure)
        }
    }
}

fn of_write(error: io::Error) -> Failure {
    match error.downcast::<object_store::Error>() {
        Ok(error) => error::of_store(&error, DOING),
        Err(error) => error::of_file(&error, DOING),
    }
}
