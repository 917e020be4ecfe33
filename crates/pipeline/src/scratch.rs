//! A private folder for the documents that this process works on.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::process::{Pid, geteuid, test_kill_process};
use tempfile::{TempDir, TempPath};
use uuid::Uuid;

use domain::{Code, Failure};

const PREFIX: &str = "app-scratch-";

/// A private folder, removed when dropped.
#[derive(Debug)]
pub struct ScratchDir(TempDir);

impl ScratchDir {
    /// Creates a folder below `parent`, after removing those that killed processes left there.
    ///
    /// # Errors
    ///
    /// `parent` cannot be written.
    pub fn create(parent: &Path) -> io::Result<Self> {
        remove_orphans(parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent).map(Self)
    }

    /// The path of a new file in the folder. Dropping the path removes the file.
    pub(super) fn new_file(&self) -> Result<TempPath, Failure> {
        let path = self.0.path().join(Uuid::new_v4().simple().to_string());
        TempPath::try_from_path(path).map_err(|error| failure(&error))
    }
}

pub(super) fn failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Failure::new(Code::StorageFull, "The folder for temporary files (TMPDIR) is full. Free some space.")
        }
        _ => Failure::new(Code::ScratchUnavailable, format!("A temporary file could not be read back: {error}.")),
    }
}

/// Removes the folders of this program's processes that no longer run.
fn remove_orphans(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        let is_own = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw());
        if is_own && test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            // Another starting process may have removed it already.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_killed_process_is_removed_and_that_of_a_running_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        // No process has this id: Linux ends at 2^22.
        let orphan = parent.path().join(format!("{PREFIX}99999999-x"));
        fs::create_dir(&orphan).unwrap();
        let first = ScratchDir::create(parent.path()).unwrap();
        let second = ScratchDir::create(parent.path()).unwrap();
        assert!(!orphan.exists());
        assert!(first.0.path().is_dir() && second.0.path().is_dir());
        assert_eq!(first.0.path().metadata().unwrap().mode() & 0o777, 0o700);
        let file = first.new_file().unwrap();
        fs::write(&file, b"x").unwrap();
        let path = file.to_path_buf();
        drop(file);
        assert!(!path.exists());
        drop((first, second));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
