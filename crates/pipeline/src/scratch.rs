//! Files in hand: in a private folder of this process, which ends with it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::process::{Pid, geteuid, test_kill_process};
use uuid::Uuid;

const PREFIX: &str = "app-scratch-";

/// A private folder; removed when dropped.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// A new folder below `parent`. What processes that were killed have left there goes first.
    ///
    /// # Errors
    ///
    /// `parent` cannot be written.
    pub fn create(parent: &Path) -> io::Result<Self> {
        remove_orphans(parent);
        let path = parent.join(format!("{PREFIX}{}-{}", std::process::id(), Uuid::new_v4().simple()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(error = %error, "couldn't remove the scratch folder");
        }
    }
}

/// Removes the folders of our own processes that are no more.
fn remove_orphans(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        let ours = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw());
        if ours && test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            // Another process that starts may be quicker.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// A document's file on this host; removed when dropped.
pub(super) struct ScratchFile(PathBuf);

impl ScratchFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(Uuid::new_v4().simple().to_string()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "couldn't remove a scratch file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_a_living_ones_is_not() {
        let parent = std::env::temp_dir().join(format!("scratch-test-{}", Uuid::new_v4()));
        fs::create_dir(&parent).unwrap();
        // No process has this id: Linux ends at 2^22.
        let orphan = parent.join(format!("{PREFIX}99999999-x"));
        fs::create_dir(&orphan).unwrap();
        let first = ScratchDir::create(&parent).unwrap();
        let second = ScratchDir::create(&parent).unwrap();
        assert!(!orphan.exists());
        assert!(first.path().is_dir() && second.path().is_dir());
        drop((first, second));
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        fs::remove_dir(&parent).unwrap();
    }
}
