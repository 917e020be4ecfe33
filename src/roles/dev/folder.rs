//! The data folder of `app dev`. It is private, and the same at every start in this checkout.

use std::{fs, io, io::Write, os::unix::fs::DirBuilderExt, path::PathBuf};

use anyhow::Context as _;
use uuid::Uuid;

use client::dev_dir::{API_URL_FILE, DATABASE_URL_FILE, SECRET_FILE, STORAGE_FOLDER, TOKEN_FILE, read_dev_file};
use embedded_postgres::create_private_dir;

/// The files that exist only while `app dev` runs.
const CLIENT_FILES: [&str; 3] = [API_URL_FILE, TOKEN_FILE, DATABASE_URL_FILE];

/// The data folder.
pub(super) struct DevFolder(pub(super) PathBuf);

impl DevFolder {
    pub(super) fn postgres(&self) -> PathBuf {
        self.0.join("postgres")
    }

    pub(super) fn storage(&self) -> PathBuf {
        self.0.join(STORAGE_FOLDER)
    }

    /// The folder of the documents that are processed with fakes of the providers: their database is another, and housekeeping
    /// deletes objects that its database does not know.
    pub(super) fn storage_of_fakes(&self) -> PathBuf {
        self.0.join("storage-of-fakes")
    }

    /// The folder of the sample documents.
    pub(super) fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// Creates the folder, or checks that it belongs to this user alone.
    pub(super) fn create(&self) -> anyhow::Result<()> {
        create_private_dir(&self.0)?;
        for storage in [self.storage(), self.storage_of_fakes()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(storage)?;
        }
        Ok(())
    }

    /// Writes a file that only the owner can read, whole or not at all.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.0.join(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
            file.write_all(text.as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        write().with_context(|| format!("couldn't write {}", path.display()))
    }

    /// The secret that signs tokens, created at the first start.
    pub(super) fn secret(&self) -> anyhow::Result<String> {
        if let Some(secret) = read_dev_file(&self.0, SECRET_FILE).context("couldn't read the secret of app dev")? {
            return Ok(secret);
        }
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.write(SECRET_FILE, &secret)?;
        Ok(secret)
    }

    /// Whether the files are there that exist only while `app dev` runs.
    pub(super) fn has_client_files(&self) -> bool {
        self.0.join(DATABASE_URL_FILE).exists()
    }

    /// Removes the files that would lead clients to a stopped server.
    pub(super) fn remove_client_files(&self) {
        for name in CLIENT_FILES {
            // An error means that the file does not exist.
            drop(fs::remove_file(self.0.join(name)));
        }
    }

    /// Removes what `app dev` created, and the folder itself if it is empty then.
    pub(super) fn erase(&self) -> anyhow::Result<()> {
        self.remove_client_files();
        for folder in [self.storage(), self.samples()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("couldn't erase {}", folder.display()));
                }
                _ => {}
            }
        }
        drop(fs::remove_file(self.0.join(SECRET_FILE)));
        drop(fs::remove_dir(&self.0));
        Ok(())
    }
}
