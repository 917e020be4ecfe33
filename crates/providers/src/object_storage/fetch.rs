//! Copies an object to a file and hashes it.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use futures_util::{StreamExt, stream::BoxStream};
use object_store::{GetResultPayload, ObjectStore as Backend, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use super::{Meter, error};
use domain::{Failure, ports::StoredObject};

const DOING: &str = "read";
const COPY_BUFFER_BYTES: usize = 256 * 1024;

pub(super) async fn fetch(
    backend: &dyn Backend,
    from: &object_store::path::Path,
    to: &Path,
) -> Result<Option<StoredObject>, Failure> {
    let Some(found) = error::unless_missing(backend.get(from).await, DOING)? else { return Ok(None) };
    let copied = match found.payload {
        GetResultPayload::File(file, _) => copy_file(file, to.to_owned()).await,
        GetResultPayload::Stream(stream) => copy_stream(stream, to).await,
    };
    if copied.is_err() {
        // Half a file must not be taken for the document. An error means that there is no file.
        drop(tokio::fs::remove_file(to).await);
    }
    copied.map(Some)
}

/// Copies the file on one blocking thread; object_store's own stream switches threads for every 8 KiB.
async fn copy_file(file: File, to: PathBuf) -> Result<StoredObject, Failure> {
    let copied = tokio::task::spawn_blocking(move || copy_blocking(file, &to)).await;
    copied.unwrap_or_else(|join| Err(io::Error::other(join))).map_err(|error| error::of_file(&error, DOING))
}

fn copy_blocking(mut from: File, to: &Path) -> io::Result<StoredObject> {
    let mut to = File::create(to)?;
    let mut meter = Meter::default();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(meter.finish()),
            n => {
                meter.add(&buffer[..n]);
                to.write_all(&buffer[..n])?;
            }
        }
    }
}

async fn copy_stream(
    mut stream: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    to: &Path,
) -> Result<StoredObject, Failure> {
    let on_file = |error: io::Error| error::of_file(&error, DOING);
    let mut file = tokio::fs::File::create(to).await.map_err(on_file)?;
    let mut meter = Meter::default();
    while let Some(item) = stream.next().await {
        let bytes = item.map_err(|error| error::of_store(&error, DOING))?;
        meter.add(&bytes);
        file.write_all(&bytes).await.map_err(on_file)?;
    }
    file.flush().await.map_err(on_file)?;
    Ok(meter.finish())
}
