//! Streams a body to its key: a small object in one request, a larger one in parts.

use std::{mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::{MultipartUpload, ObjectStore as Backend, ObjectStoreExt, PutPayload, path::Path};

use super::{Meter, error};
use domain::{
    Code, Failure,
    ports::{ByteStream, StoredObject},
};

pub(super) const DOING: &str = "store";

/// Receives the pieces of a body in their order.
pub(super) trait Sink {
    async fn push(&mut self, bytes: Bytes) -> Result<(), Failure>;
}

/// Moves the whole body to `sink` and returns its size and hash.
pub(super) async fn pump(mut body: ByteStream, max_bytes: u64, sink: &mut impl Sink) -> Result<StoredObject, Failure> {
    let mut meter = Meter::default();
    while let Some(item) = body.next().await {
        let bytes = item.map_err(|error| interrupted(&error))?;
        if max_bytes > 0 && meter.bytes_len + bytes.len() as u64 > max_bytes {
            return Err(too_large(max_bytes));
        }
        meter.add(&bytes);
        sink.push(bytes).await?;
    }
    Ok(meter.finish())
}

fn interrupted(error: &std::io::Error) -> Failure {
    let message = format!("The upload broke off before its end ({}); send the file again.", error.kind());
    Failure::new(Code::UploadInterrupted, message)
}

fn too_large(max_bytes: u64) -> Failure {
    let message = format!("The file is larger than the {max_bytes} bytes that may be stored for it.");
    Failure::new(Code::FileTooLarge, message)
}

/// Writes a body to its key as it arrives, with less than one part of `part_bytes` in memory.
pub(super) async fn put(
    backend: &Arc<dyn Backend>,
    path: &Path,
    body: ByteStream,
    max_bytes: u64,
    part_bytes: usize,
) -> Result<StoredObject, Failure> {
    let mut writing = Writing { parts: Parts::new(backend, path), part_bytes, buffer: BytesMut::new() };
    let written = match pump(body, max_bytes, &mut writing).await {
        Ok(stored) => writing.finish().await.map(|()| stored),
        Err(failure) => Err(failure),
    };
    if written.is_err() {
        writing.parts.abort().await;
    }
    written
}

/// An object that is being written.
struct Writing<'a> {
    parts: Parts<'a>,
    part_bytes: usize,
    /// Less than one part. A copy, because a piece keeps the whole read buffer alive that it is a part of.
    buffer: BytesMut,
}

/// Sends one part after the other; the sender of the body waits meanwhile.
impl Sink for Writing<'_> {
    async fn push(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            if self.buffer.is_empty() {
                // In full: growing would leave smaller allocations behind.
                self.buffer = BytesMut::with_capacity(self.part_bytes);
            }
            let room = self.part_bytes - self.buffer.len();
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() == self.part_bytes {
                let part = self.take();
                self.parts.send(part).await?;
            }
        }
        Ok(())
    }
}

impl Writing<'_> {
    fn take(&mut self) -> PutPayload {
        mem::take(&mut self.buffer).freeze().into()
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let last = self.take();
        self.parts.finish(last).await
    }
}

/// Sends an object in parts, or whole if there is only one.
pub(super) struct Parts<'a> {
    backend: &'a Arc<dyn Backend>,
    path: &'a Path,
    /// The upload that is begun and not completed.
    begun: Option<Box<dyn MultipartUpload>>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(backend: &'a Arc<dyn Backend>, path: &'a Path) -> Self {
        Self { backend, path, begun: None }
    }

    /// Sends a part. All but the last must have the same length.
    pub(super) async fn send(&mut self, part: PutPayload) -> Result<(), Failure> {
        let upload = match &mut self.begun {
            Some(upload) => upload,
            none => {
                let upload = self.backend.put_multipart(self.path).await.map_err(|e| error::of_store(&e, DOING))?;
                none.insert(upload)
            }
        };
        upload.put_part(part).await.map_err(|e| error::of_store(&e, DOING))
    }

    /// Sends the last part, or the whole object, and completes the object.
    pub(super) async fn finish(&mut self, last: PutPayload) -> Result<(), Failure> {
        if self.begun.is_none() {
            self.backend.put(self.path, last).await.map_err(|e| error::of_store(&e, DOING))?;
            return Ok(());
        }
        if last.content_length() > 0 {
            self.send(last).await?;
        }
        if let Some(upload) = &mut self.begun {
            upload.complete().await.map_err(|e| error::of_store(&e, DOING))?;
            self.begun = None;
        }
        Ok(())
    }

    pub(super) async fn abort(&mut self) {
        if let Some(upload) = self.begun.take() {
            abort(upload).await;
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if upload.abort().await.is_err() {
        tracing::warn!("couldn't abort a multipart upload; the bucket's lifecycle rule has to remove its parts");
    }
}

/// Aborts the upload if the put is dropped midway: S3 keeps, and bills, the parts of an upload that is not aborted.
impl Drop for Parts<'_> {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.begun.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(abort(upload));
        }
    }
}
