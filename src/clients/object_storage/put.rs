//! Streams a body to its key: one request for a small object, parts for a larger one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::{MultipartUpload, ObjectStore as Backend, ObjectStoreExt, path::Path};

use super::{Meter, error};
use crate::{
    domain::{ErrorClass, Failure},
    ports::{ByteStream, StoredObject},
};

const DOING: &str = "store";

pub(super) async fn put(
    backend: &Arc<dyn Backend>,
    path: Path,
    body: ByteStream,
    max_bytes: u64,
    part_bytes: usize,
) -> Result<StoredObject, Failure> {
    let mut upload = Upload { backend, path, part_bytes, buffer: BytesMut::new(), parts: Parts(None) };
    match pump(body, max_bytes, &mut upload).await {
        Ok(stored) => Ok(stored),
        Err(failure) => {
            upload.parts.abort().await;
            Err(failure)
        }
    }
}

async fn pump(mut body: ByteStream, max_bytes: u64, upload: &mut Upload<'_>) -> Result<StoredObject, Failure> {
    let mut meter = Meter::default();
    while let Some(item) = body.next().await {
        let bytes = item.map_err(|error| interrupted(&error))?;
        if max_bytes > 0 && meter.bytes_len + bytes.len() as u64 > max_bytes {
            return Err(too_large(max_bytes));
        }
        meter.add(&bytes);
        upload.push(bytes).await?;
    }
    upload.finish().await?;
    Ok(meter.finish())
}

fn interrupted(error: &std::io::Error) -> Failure {
    let message = format!("The upload broke off before its end ({}); send the file again.", error.kind());
    Failure::new("upload_interrupted", ErrorClass::Transient, message)
}

fn too_large(max_bytes: u64) -> Failure {
    let message = format!("The file is larger than the {max_bytes} bytes that may be stored for it.");
    Failure::new("file_too_large", ErrorClass::Document, message)
}

/// One object on its way.
struct Upload<'a> {
    backend: &'a Arc<dyn Backend>,
    path: Path,
    part_bytes: usize,
    /// Less than one part.
    buffer: BytesMut,
    parts: Parts,
}

impl Upload<'_> {
    /// Takes `bytes`, sending a part whenever one is full. Parts go one after the other: the sender waits meanwhile,
    /// and memory stays at one part an upload.
    async fn push(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let room = self.part_bytes - self.buffer.len();
            self.buffer.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.buffer.len() == self.part_bytes {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), Failure> {
        let part = self.buffer.split().freeze();
        let upload = match &mut self.parts.0 {
            Some(upload) => upload,
            none => {
                let upload = self.backend.put_multipart(&self.path).await.map_err(|e| error::of_store(&e, DOING))?;
                none.insert(upload)
            }
        };
        upload.put_part(part.into()).await.map_err(|e| error::of_store(&e, DOING))
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        if self.parts.0.is_none() {
            let whole = self.buffer.split().freeze();
            self.backend.put(&self.path, whole.into()).await.map_err(|e| error::of_store(&e, DOING))?;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        if let Some(upload) = &mut self.parts.0 {
            upload.complete().await.map_err(|e| error::of_store(&e, DOING))?;
            self.parts.0 = None;
        }
        Ok(())
    }
}

/// An upload in parts that has been begun and not ended.
struct Parts(Option<Box<dyn MultipartUpload>>);

impl Parts {
    async fn abort(&mut self) {
        if let Some(mut upload) = self.0.take()
            && upload.abort().await.is_err()
        {
            tracing::warn!("Couldn't abort an upload in parts; the bucket's lifecycle rule has to remove it");
        }
    }
}

/// A client that hangs up drops the request's future, and S3 keeps, and bills, the parts of an upload nobody aborts.
impl Drop for Parts {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { Parts(Some(upload)).abort().await });
        }
    }
}
