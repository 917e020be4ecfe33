//! Writes a body to a temporary file and then sends it to S3.
//!
//! S3 must know the length of each part, and a part has at least 5 MiB. Fifty slow uploads would keep that much each in
//! memory. With the file, all uploads together keep a few parts, and one that breaks off has sent nothing to S3.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use object_store::{ObjectStore as Backend, PutPayload, path::Path};
use tokio::{io::AsyncWriteExt, sync::Semaphore};

use super::{
    S3_PART_BYTES, error,
    put::{DOING, Parts, Sink, pump},
};
use domain::{
    Failure,
    ports::{ByteStream, StoredObject},
};

/// The most parts in memory, of all uploads of this process. At 100 ms a part that is 800 megabits a second.
const PARTS: usize = 2;
/// One permit for each KiB in memory, so that small objects do not wait for each other.
static MEMORY: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(PARTS * kibibytes(S3_PART_BYTES) as usize));
/// The size of one write to the file.
const WRITE_BYTES: usize = 64 * 1024;

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

pub(super) async fn put(
    backend: &Arc<dyn Backend>,
    path: &Path,
    body: ByteStream,
    max_bytes: u64,
) -> Result<StoredObject, Failure> {
    let (file, stored) = spool(body, max_bytes).await?;
    let mut parts = Parts::new(backend, path);
    let sent = send(&Arc::new(file), stored.bytes_len, &mut parts).await;
    if sent.is_err() {
        parts.abort().await;
    }
    sent.map(|()| stored)
}

/// Writes the body to a file without a name, which disappears with its last handle.
async fn spool(body: ByteStream, max_bytes: u64) -> Result<(File, StoredObject), Failure> {
    let file = blocking(tempfile::tempfile).await?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(WRITE_BYTES);
    let stored = pump(body, max_bytes, &mut file).await?;
    file.flush().await.map_err(of_spool)?;
    Ok((file.into_std().await, stored))
}

impl Sink for tokio::fs::File {
    async fn push(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.write_all(&bytes).await.map_err(of_spool)
    }
}

async fn send(file: &Arc<File>, bytes_len: u64, parts: &mut Parts<'_>) -> Result<(), Failure> {
    let mut offset = 0;
    loop {
        let left = bytes_len - offset;
        let len = usize::try_from(left).map_or(S3_PART_BYTES, |left| left.min(S3_PART_BYTES));
        // The semaphore is never closed.
        let _permits = MEMORY.acquire_many(kibibytes(len)).await.ok();
        let from = Arc::clone(file);
        let part: PutPayload = blocking(move || {
            let mut part = vec![0; len];
            from.read_exact_at(&mut part, offset).map(|()| Bytes::from(part).into())
        })
        .await?;
        offset += len as u64;
        if offset == bytes_len {
            return parts.finish(part).await;
        }
        parts.send(part).await?;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|join| Err(io::Error::other(join))).map_err(of_spool)
}

fn of_spool(error: io::Error) -> Failure {
    error::of_spool(&error, DOING)
}
