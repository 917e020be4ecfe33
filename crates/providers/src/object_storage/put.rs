//! Streams a body to a file of the folder.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt as _};

use futures_util::TryStreamExt;
use object_store::{MultipartUpload, ObjectStoreExt, local::LocalFileSystem, path::Path};

use super::{
    error,
    pump::{Sums, interrupted},
};
use domain::{
    Failure,
    ports::{ByteStream, StoredObject},
};

pub(super) const DOING: &str = "store";

/// Writes each piece of a body as it arrives. The file appears at its place when it is complete.
pub(super) async fn put(
    store: &LocalFileSystem,
    path: &Path,
    body: ByteStream,
    max_bytes: u64,
) -> Result<StoredObject, Failure> {
    let mut upload = store.put_multipart(path).await.map_err(of_write)?;
    match write(body, max_bytes, upload.as_mut()).await {
        Ok(stored) => {
            make_private(store, path).await.map_err(|error| error::of_file(&error, DOING))?;
            Ok(stored)
        }
        Err(failure) => {
            // The first failure is the one to report.
            drop(upload.abort().await);
            Err(failure)
        }
    }
}

/// A piece is written as it came, so that an upload holds no buffer here.
async fn write(body: ByteStream, max_bytes: u64, upload: &mut dyn MultipartUpload) -> Result<StoredObject, Failure> {
    let mut body = body.map_err(|error| interrupted(&error));
    let mut sums = Sums::new(max_bytes);
    while let Some(piece) = body.try_next().await? {
        sums.add(&piece)?;
        upload.put_part(piece.into()).await.map_err(of_write)?;
    }
    upload.complete().await.map_err(of_write)?;
    Ok(sums.finish())
}

/// Lets only the owner read the file; the folder is private too.
async fn make_private(store: &LocalFileSystem, path: &Path) -> io::Result<()> {
    let file = store.path_to_filesystem(path)?;
    tokio::fs::set_permissions(file, Permissions::from_mode(0o600)).await
}

fn of_write(error: object_store::Error) -> Failure {
    error::of_store(&error, DOING)
}
