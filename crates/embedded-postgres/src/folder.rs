//! The folder of a local PostgreSQL server.
//!
//! ```text
//! ROOT/              0700; if root owns it 0711, so that the server's account can enter
//!   postgres.lock    locked while a process starts, stops or erases the server; marks the folder as ours
//!   users            every process that uses the server holds a shared lock on it
//!   pgpass           the password, 0600
//!   postgres.log
//!   cluster/         0700, the only part that belongs to the server's account
//!     data/          renamed from unfinished-… when initdb has completed
//!     .s.PGSQL.5432  the socket
//! ```
//!
//! Root opens no file for writing below `cluster/`, since the account could redirect it to another file by a link.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    EmbeddedError,
    account::{self, Account},
    error::During,
};

/// How long to wait while another process starts or stops the server: longer than both may take.
const LOCK_LIMIT: Duration = Duration::from_secs(180);
const LOCK_FILE: &str = "postgres.lock";
const UNFINISHED: &str = "unfinished-";

/// Where root keeps files that other accounts must reach: below /var/lib, or below /var/tmp if /var/lib is read-only.
pub(super) fn root_base() -> Result<PathBuf, EmbeddedError> {
    let writable = rustix::fs::access("/var/lib", rustix::fs::Access::WRITE_OK).is_ok();
    let base = Path::new(if writable { "/var/lib" } else { "/var/tmp" }).join("app-dev");
    create_private_dir(&base)
}

/// Creates the directory `path`, and missing ones above it, for this user only; other accounts may enter root's directories
/// but not list them. Checks that an existing `path` is safe. Returns the canonical path.
///
/// # Errors
///
/// [`EmbeddedError::NotOurs`] for a link and for a directory of another owner or that others may write to;
/// [`EmbeddedError::Io`].
pub fn create_private_dir(path: &Path) -> Result<PathBuf, EmbeddedError> {
    let path = std::path::absolute(path).during("find", path)?;
    let mode = if account::is_root() { 0o711 } else { 0o700 };
    let missing: Vec<&Path> = path.ancestors().take_while(|directory| !directory.exists()).collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(directory) {
            // Set in a second call, since the umask restricts the mode of a new directory.
            Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(mode)).during("open up", directory)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).during("create", directory),
        }
    }
    check_owned(&path, rustix::process::geteuid().as_raw())?;
    fs::canonicalize(&path).during("find", &path)
}

/// Checks that `path` is a directory of `owner` that only `owner` may write to.
fn check_owned(path: &Path, owner: u32) -> Result<(), EmbeddedError> {
    let refuse = |why: String| Err(EmbeddedError::NotOurs { path: path.to_owned(), why });
    let found = fs::symlink_metadata(path).during("read", path)?;
    if !found.is_dir() {
        return refuse("it is a link or a file".to_owned());
    }
    if found.uid() != owner {
        return refuse(format!("it belongs to user {} instead of {owner}", found.uid()));
    }
    if found.mode() & 0o022 != 0 {
        return refuse("others may write to it (chmod go-w corrects that)".to_owned());
    }
    Ok(())
}

/// A server's folder, which gives the paths of the files in it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

/// The lock on a folder. Other processes wait until it is dropped, or give up after [`LOCK_LIMIT`].
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "dropping it unlocks")] File);

impl Folder {
    /// Creates the folder, or uses an existing one that is empty or ours.
    pub(super) fn create(root: &Path) -> Result<Self, EmbeddedError> {
        let folder = Self { root: create_private_dir(root)? };
        // The lock file is created first, so a folder with other files but no lock file is not ours.
        let empty = fs::read_dir(&folder.root).during("read", &folder.root)?.next().is_none();
        if empty || folder.is_ours() { Ok(folder) } else { Err(folder.not_ours()) }
    }

    /// Opens an existing folder of ours; `None` if there is none.
    pub(super) fn existing(root: &Path) -> Result<Option<Self>, EmbeddedError> {
        if fs::symlink_metadata(root).is_err() {
            return Ok(None);
        }
        check_owned(root, rustix::process::geteuid().as_raw())?;
        let folder = Self { root: fs::canonicalize(root).during("find", root)? };
        if folder.is_ours() { Ok(Some(folder)) } else { Err(folder.not_ours()) }
    }

    fn is_ours(&self) -> bool {
        self.root.join(LOCK_FILE).is_file()
    }

    fn not_ours(&self) -> EmbeddedError {
        EmbeddedError::NotOurs { path: self.root.clone(), why: "it holds other files".to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.cluster().join("data")
    }

    /// A new path in `cluster/` for data that is not complete yet.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.cluster().join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()))
    }

    /// Removes what a killed start left unfinished. What a surviving process still writes to is left for the next start.
    pub(super) fn remove_unfinished(&self) {
        for entry in fs::read_dir(self.cluster()).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                let path = entry.path();
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
        }
    }

    pub(super) fn pgpass(&self) -> PathBuf {
        self.root.join("pgpass")
    }

    /// The account that the server last ran as; `None` before the first start.
    pub(super) fn cluster_owner(&self) -> Option<u32> {
        fs::symlink_metadata(self.cluster()).ok().map(|found| found.uid())
    }

    /// Creates `cluster/` for the server's account, or checks that it belongs to that account.
    pub(super) fn create_cluster_dir(&self, account: Option<&Account>) -> Result<(), EmbeddedError> {
        let cluster = self.cluster();
        if !cluster.exists() {
            DirBuilder::new().mode(0o700).create(&cluster).during("create", &cluster)?;
            fs::set_permissions(&cluster, fs::Permissions::from_mode(0o700)).during("close", &cluster)?;
        }
        // It is new, or an earlier start was killed before this call.
        if self.cluster_owner() == Some(rustix::process::geteuid().as_raw()) {
            give(&cluster, account)?;
        }
        check_owned(&cluster, account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid))?;
        match account.and_then(|account| Some((account, account.blocked_by(&self.root)?))) {
            Some((account, blocked)) => Err(EmbeddedError::Failed(format!(
                "root cannot run PostgreSQL, and the account `{}` may not enter {}: choose a folder outside that directory \
                 (APP_DEV_DIR)",
                account.name,
                blocked.display()
            ))),
            None => Ok(()),
        }
    }

    /// Waits until no other process starts, stops or erases the server, and locks the folder.
    pub(super) fn lock(&self) -> Result<FolderLock, EmbeddedError> {
        let path = self.root.join(LOCK_FILE);
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            let file = open_private(&path)?;
            match file.try_lock() {
                // The process that held the lock may have erased the folder, and then this file with it.
                Ok(()) if same_file(&file, &path) => return Ok(FolderLock(file)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => {
                    return Err(EmbeddedError::Failed(format!(
                        "another process has been busy with the PostgreSQL in {} for {} s: end that process, then try again",
                        self.root.display(),
                        LOCK_LIMIT.as_secs()
                    )));
                }
                Err(TryLockError::Error(source)) => return Err(source).during("lock", &path),
            }
        }
    }

    /// Marks this process as a user of the server until the file is dropped. Call it while holding [`lock`](Self::lock).
    pub(super) fn join_users(&self) -> Result<File, EmbeddedError> {
        let path = self.root.join("users");
        let file = open_private(&path)?;
        file.lock_shared().during("lock", &path)?;
        Ok(file)
    }

    /// Whether any process uses the server. Call it while holding [`lock`](Self::lock).
    pub(super) fn has_users(&self) -> Result<bool, EmbeddedError> {
        let path = self.root.join("users");
        match open_private(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(source).during("lock", &path),
        }
    }

    /// Writes the password to the file that `psql` reads (`PGPASSFILE`).
    pub(super) fn write_password(&self, password: &str) -> Result<(), EmbeddedError> {
        let path = self.pgpass();
        let mut file = open_private(&path)?;
        file.set_len(0).and_then(|()| writeln!(file, "*:*:*:{}:{password}", super::USER)).during("write", &path)?;
        Ok(())
    }

    /// Reads the password.
    pub(super) fn password(&self) -> Result<String, EmbeddedError> {
        let path = self.pgpass();
        let line = fs::read_to_string(&path).unwrap_or_default();
        match line.trim().rsplit_once(':') {
            Some((_, password)) if !password.is_empty() => Ok(password.to_owned()),
            Some(_) | None => Err(EmbeddedError::Failed(format!(
                "{}, which holds the password of the local PostgreSQL, is missing or damaged: erase the data with `app dev \
                 reset`",
                path.display()
            ))),
        }
    }

    /// Erases everything. The lock file goes last, so that the folder stays ours until then; a process that waits for the
    /// lock then makes a new one.
    pub(super) fn erase(&self, lock: FolderLock) -> Result<(), EmbeddedError> {
        for entry in fs::read_dir(&self.root).during("read", &self.root)? {
            let path = entry.during("read", &self.root)?.path();
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path).during("erase", &path)?;
            } else if !path.ends_with(LOCK_FILE) {
                fs::remove_file(&path).during("erase", &path)?;
            }
        }
        let path = self.root.join(LOCK_FILE);
        fs::remove_file(&path).during("erase", &path)?;
        drop(lock);
        match fs::remove_dir(&self.root) {
            // A process that waited for the lock already uses the folder.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.during("erase", &self.root),
        }
    }
}

/// Makes the server's account the owner of a file that root created.
pub(super) fn give(path: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)).during("hand over", path),
        None => Ok(()),
    }
}

fn open_private(path: &Path) -> Result<File, EmbeddedError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).during("open", path)
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
