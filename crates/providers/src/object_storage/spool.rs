//! Writes a body to a temporary file and then sends it to S3: a small object in one request, a larger one in parts.
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
use futures_util::TryStreamExt;
use object_store::{MultipartUpload, ObjectStore as Backend, ObjectStoreExt, PutPayload, path::Path};
use tokio::sync::Semaphore;

use super::{
    error,
    pump::{interrupted, pump},
    put::DOING,
};
use domain::{
    Failure,
    ports::{ByteStream, StoredObject},
};

/// S3's smallest part. R2 also requires that all parts but the last have the same length.
pub(super) const PART_BYTES: usize = 5 * 1024 * 1024;
/// The most parts in memory, of all uploads of this process. At 100 ms a part that is 800 megabits a second.
const PARTS: usize = 2;
/// One permit for each KiB in memory, so that small objects do not wait for each other.
static MEMORY: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(PARTS * kibibytes(PART_BYTES) as usize));
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
    let file = Arc::new(file);
    let of_store = |error| error::of_store(&error, DOING);
    // The semaphore is never closed.
    let memory = async |len| MEMORY.acquire_many(kibibytes(len)).await.ok();
    let len = usize::try_from(stored.bytes_len).unwrap_or(usize::MAX);
    if len <= PART_BYTES {
        let _permits = memory(len).await;
        backend.put(path, read(&file, 0, len).await?).await.map_err(of_store)?;
        return Ok(stored);
    }
    let mut upload = Begun(Some(backend.put_multipart(path).await.map_err(of_store)?));
    let sent = async {
        let Some(upload) = &mut upload.0 else { return Ok(()) };
        for offset in (0..len).step_by(PART_BYTES) {
            let part_len = PART_BYTES.min(len - offset);
            let _permits = memory(part_len).await;
            upload.put_part(read(&file, offset as u64, part_len).await?).await.map_err(of_store)?;
        }
        upload.complete().await.map(drop).map_err(of_store)
    };
    let sent = sent.await;
    if let Some(upload) = upload.0.take().filter(|_| sent.is_err()) {
        abort(upload).await;
    }
    sent.map(|()| stored)
}

/// Writes the body to a file without a name, which disappears with its last handle.
async fn spool(body: ByteStream, max_bytes: u64) -> Result<(File, StoredObject), Failure> {
    let file = blocking(tempfile::tempfile).await?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(WRITE_BYTES);
    let stored = pump(body.map_err(|error| interrupted(&error)), max_bytes, &mut file, of_spool).await?;
    Ok((file.into_std().await, stored))
}

async fn read(file: &Arc<File>, offset: u64, len: usize) -> Result<PutPayload, Failure> {
    let file = Arc::clone(file);
    blocking(move || {
        let mut part = vec![0; len];
        file.read_exact_at(&mut part, offset).map(|()| Bytes::from(part).into())
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|join| Err(io::Error::other(join))).map_err(of_spool)
}

fn of_spool(error: io::Error) -> Failure {
    error::of_spool(&error, DOING)
}

/// An upload in parts that is begun and not complete.
struct Begun(Option<Box<dyn MultipartUpload>>);

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if upload.abort().await.is_err() {
        tracing::warn!("couldn't abort a multipart upload; the bucket's lifecycle rule has to remove its parts");
    }
}

/// Aborts the upload if the put is dropped midway: S3 keeps, and bills, the parts of an upload that is not aborted.
impl Drop for Begun {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(abort(upload));
        }
    }
}
