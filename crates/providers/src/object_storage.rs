//! [`ObjectStore`] over a local folder or an S3-compatible service.
//!
//! Bodies are streamed: a local upload keeps two pieces of 64 KiB in memory, all uploads to S3 together a few parts
//! of 5 MiB. An object appears at its key whole or not at all. A failure's text never contains keys or URLs.

mod error;
mod fetch;
mod list;
mod pump;
mod put;
mod s3;
#[cfg(test)]
mod s3_tests;
mod spool;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Range, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use object_store::{ObjectStore as Backend, ObjectStoreExt, aws::AmazonS3, local::LocalFileSystem, signer::Signer};
use url::Url;

use config::StorageLocation;
use domain::{
    Code, Failure,
    ports::{ByteStream, ListedObject, ObjectStore, OpenObject, StoredObject},
};

/// S3's limit for a key, in bytes.
const MAX_KEY_BYTES: usize = 1024;
/// The longest lifetime that AWS Signature Version 4 allows for a signed URL.
const MAX_SIGNED_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The object store that `STORAGE_URL` names.
#[derive(Clone)]
pub struct ObjectStorage {
    backend: Arc<dyn Backend>,
    kind: Kind,
    /// Stands before every key; empty, or ends with `/`.
    prefix: String,
    shown_as: String,
}

#[derive(Clone)]
enum Kind {
    Local(LocalFileSystem),
    S3(Arc<AmazonS3>),
}

/// What requests to S3 are signed with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The key's id.
    pub access_key_id: &'a str,
    /// The key's secret.
    pub secret_access_key: &'a str,
}

impl ObjectStorage {
    /// Opens the store at `location`, without talking to it yet: a folder, made (mode 0700) where it is missing, or a
    /// bucket of S3 or of a service that speaks like it, in path style. A folder needs no credentials.
    ///
    /// Call it on the main runtime, which then drives the connections to S3; a busy HTTP worker thread would stall them.
    ///
    /// # Errors
    ///
    /// `storage_misconfigured`, of class [`Configuration`](domain::ErrorClass::Configuration).
    pub fn open(location: &StorageLocation, credentials: Option<Credentials<'_>>) -> Result<Self, Failure> {
        match location {
            StorageLocation::Folder(folder) => Self::open_folder(folder),
            StorageLocation::S3(s3) => {
                let store = Arc::new(s3::connect(s3, credentials)?);
                let prefix = if s3.prefix.is_empty() { String::new() } else { format!("{}/", s3.prefix) };
                Ok(Self { backend: store.clone(), kind: Kind::S3(store), prefix, shown_as: s3.to_string() })
            }
        }
    }

    fn open_folder(folder: &Path) -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let refuse = |what: &str, kind: std::io::ErrorKind| {
            misconfigured(format!("couldn't {what} the storage folder that STORAGE_URL names: {kind}"))
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| refuse("make", error.kind()))?;
        let folder = folder.canonicalize().map_err(|error| refuse("open", error.kind()))?;
        // With fsync, an acknowledged upload survives a power cut, as it does in S3.
        let store = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|_io| refuse("open", std::io::ErrorKind::InvalidInput))?
            .with_fsync(true);
        Ok(Self {
            backend: Arc::new(store.clone()),
            kind: Kind::Local(store),
            prefix: String::new(),
            shown_as: format!("folder {}", folder.display()),
        })
    }

    /// The path of `key` in the backend. The program's own keys are always valid; other programs' rows may hold anything.
    fn locate(&self, key: &str) -> Result<object_store::path::Path, Failure> {
        let refused = || {
            Failure::new(
                Code::StorageKeyInvalid,
                "The row names a place that no stored file can have; upload the file again.",
            )
        };
        if key.is_empty() || key.starts_with('/') || key.ends_with('/') || key.len() > MAX_KEY_BYTES {
            return Err(refused());
        }
        let path = object_store::path::Path::parse(format!("{}{key}", self.prefix)).map_err(|_text| refused())?;
        if let Kind::Local(store) = &self.kind {
            store.path_to_filesystem(&path).map_err(|_text| refused())?;
        }
        Ok(path)
    }

    /// Removes the incomplete files of killed processes beside a local object.
    async fn remove_staged(store: &LocalFileSystem, path: &object_store::path::Path) -> Result<(), Failure> {
        let Ok(file) = store.path_to_filesystem(path) else { return Ok(()) };
        for n in 1.. {
            let mut staged = file.clone().into_os_string();
            staged.push(format!("#{n}"));
            match tokio::fs::remove_file(&staged).await {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
                Err(error) => return Err(error::of_file(&error, "delete")),
            }
        }
        Ok(())
    }
}

fn misconfigured(message: String) -> Failure {
    Failure::new(Code::StorageMisconfigured, message)
}

/// The name of the store for a log line, without secrets.
impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectStorage").field(&self.shown_as).finish()
    }
}

#[async_trait]
impl ObjectStore for ObjectStorage {
    async fn put(&self, key: &str, body: ByteStream, max_bytes: u64) -> Result<StoredObject, Failure> {
        let path = self.locate(key)?;
        match &self.kind {
            Kind::Local(store) => put::put(store, &path, body, max_bytes).await,
            Kind::S3(_) => spool::put(&self.backend, &path, body, max_bytes).await,
        }
    }

    async fn fetch(&self, key: &str, to: &Path) -> Result<Option<StoredObject>, Failure> {
        fetch::fetch(&*self.backend, &self.locate(key)?, to).await
    }

    async fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<OpenObject>, Failure> {
        fetch::open(&*self.backend, &self.locate(key)?, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, Failure> {
        let found = self.backend.head(&self.locate(key)?).await;
        Ok(error::unless_missing(found, "look for")?.map(|meta| meta.size))
    }

    async fn version(&self, key: &str) -> Result<Option<String>, Failure> {
        let found = self.backend.head(&self.locate(key)?).await;
        // A bucket that keeps no versions any more names all new objects `null`.
        Ok(error::unless_missing(found, "look for")?.and_then(|meta| meta.version).filter(|version| version != "null"))
    }

    async fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<ListedObject>, Failure> {
        list::list(self, prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        let path = self.locate(key)?;
        error::unless_missing(self.backend.delete(&path).await, "delete")?;
        match &self.kind {
            Kind::Local(store) => Self::remove_staged(store, &path).await,
            Kind::S3(_) => Ok(()),
        }
    }

    async fn signed_put_url(&self, key: &str, expires_in: Duration) -> Result<Option<Url>, Failure> {
        let path = self.locate(key)?;
        match &self.kind {
            Kind::Local(_) => Ok(None),
            Kind::S3(store) => store
                .signed_url(reqwest::Method::PUT, &path, expires_in.min(MAX_SIGNED_LIFETIME))
                .await
                .map(Some)
                .map_err(|error| error::of_store(&error, "sign an upload to")),
        }
    }
}
