//! The folder that a local PostgreSQL lives in.
//!
//! ```text
//! ROOT/              0700; root's 0711, so that the server's account can pass through
//!   postgres.lock    locked while somebody starts, stops or erases the server; marks the folder as ours
//!   users            locked, shared, by every process that uses the server
//!   pgpass           the password, 0600
//!   postgres.log
//!   cluster/         0700, the only part that belongs to the server's account
//!     data/          appears whole: initdb works in unfinished-…
//!     .s.PGSQL.5432  the socket
//! ```
//!
//! Root opens nothing for writing below `cluster/`, so that the account cannot lead it astray with links.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{
    EmbeddedError,
    account::{self, Account},
    error::During,
};

/// How long to wait for another process's start or stop: longer than both may take.
const LOCK_LIMIT: Duration = Duration::from_secs(180);
const LOCK_FILE: &str = "postgres.lock";
const UNFINISHED: &str = "unfinished-";

/// The folder for a checkout's server when none is named; the same one at each call.
///
/// Below `XDG_STATE_HOME` (`~/.local/state`) for an ordinary user. For root below /var/lib, since the server's account
/// may not enter root's home. `purpose` (`dev`, `test`) and a hash of `checkout` make the name. Nothing is created.
///
/// # Errors
/// [`EmbeddedError::NoHome`]; for root also what [`create_private_dir`] says of the directory above.
pub fn default_folder(env: &HashMap<String, String>, checkout: &Path, purpose: &str) -> Result<PathBuf, EmbeddedError> {
    let checkout = fs::canonicalize(checkout).unwrap_or_else(|_| checkout.to_owned());
    let digest = Sha256::digest(checkout.as_os_str().as_encoded_bytes());
    let hash = crate::domain::hex(&digest[..6]);
    let base = if account::is_root() {
        root_base()?
    } else {
        let named = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
        state.ok_or(EmbeddedError::NoHome)?.join("app")
    };
    Ok(base.join(format!("{purpose}-{hash}")))
}

/// Where root keeps what other accounts must reach: /var/lib, or where that is read-only, /var/tmp.
pub(super) fn root_base() -> Result<PathBuf, EmbeddedError> {
    let writable = rustix::fs::access("/var/lib", rustix::fs::Access::WRITE_OK).is_ok();
    let base = Path::new(if writable { "/var/lib" } else { "/var/tmp" }).join("app-dev");
    create_private_dir(&base)
}

/// Creates `path` and what is missing above it for this user alone (for root: to be passed through, not listed, by
/// others), or checks that an existing one is safe. Returns its canonical form.
///
/// # Errors
/// [`EmbeddedError::NotOurs`] for a link, another owner's directory or one that others may write; [`EmbeddedError::Io`].
pub fn create_private_dir(path: &Path) -> Result<PathBuf, EmbeddedError> {
    let path = std::path::absolute(path).during("find", path)?;
    let mode = if account::is_root() { 0o711 } else { 0o700 };
    let missing: Vec<&Path> = path.ancestors().take_while(|directory| !directory.exists()).collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(directory) {
            // The mode is set apart: creating is subject to the umask.
            Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(mode)).during("open up", directory)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).during("create", directory),
        }
    }
    check_owned(&path, rustix::process::geteuid().as_raw())?;
    fs::canonicalize(&path).during("find", &path)
}

/// Refuses what is not a directory of `owner` that only `owner` writes.
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
        return refuse("others may write to it (chmod go-w mends that)".to_owned());
    }
    Ok(())
}

/// A folder that is ours, with the names of what is in it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

/// Exclusive while held; other processes wait, or give up after [`LOCK_LIMIT`].
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "dropping it unlocks")] File);

impl Folder {
    /// Creates the folder, or takes an existing one that is empty or ours.
    pub(super) fn create(root: &Path) -> Result<Self, EmbeddedError> {
        let folder = Self { root: create_private_dir(root)? };
        // The lock file is the first thing in the folder, so one that has anything but no lock file is not ours.
        let empty = fs::read_dir(&folder.root).during("read", &folder.root)?.next().is_none();
        if empty || folder.is_ours() { Ok(folder) } else { Err(folder.not_ours()) }
    }

    /// An existing folder of ours; `None` when there is none.
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
        EmbeddedError::NotOurs { path: self.root.clone(), why: "it holds something else".to_owned() }
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

    /// A new name in `cluster/` for what is not data yet.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.cluster().join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()))
    }

    /// Erases what a killed start left unfinished. What resists, since its process still works on it, is left to the next.
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

    /// Who the server ran as last; `None` before the first time.
    pub(super) fn cluster_owner(&self) -> Option<u32> {
        fs::symlink_metadata(self.cluster()).ok().map(|found| found.uid())
    }

    /// Makes `cluster/` for the server's account, or checks that it is that account's.
    pub(super) fn create_cluster_dir(&self, account: Option<&Account>) -> Result<(), EmbeddedError> {
        let cluster = self.cluster();
        if !cluster.exists() {
            DirBuilder::new().mode(0o700).create(&cluster).during("create", &cluster)?;
            fs::set_permissions(&cluster, fs::Permissions::from_mode(0o700)).during("close", &cluster)?;
        }
        // New, or left so by a start that was killed between the two.
        if self.cluster_owner() == Some(rustix::process::geteuid().as_raw()) {
            give(&cluster, account)?;
        }
        check_owned(&cluster, account.map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid))?;
        match account.and_then(|account| Some((account, account.blocked_by(&self.root)?))) {
            Some((account, blocked)) => {
                Err(EmbeddedError::UnreachableFolder { account: account.name.clone(), blocked })
            }
            None => Ok(()),
        }
    }

    /// Waits until nobody else starts, stops or erases the server.
    pub(super) fn lock(&self) -> Result<FolderLock, EmbeddedError> {
        let path = self.root.join(LOCK_FILE);
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            let file = open_private(&path)?;
            match file.try_lock() {
                // Whoever erased the folder held this lock on a file that is no longer the one of that name.
                Ok(()) if same_file(&file, &path) => return Ok(FolderLock(file)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => {
                    return Err(EmbeddedError::Busy { path: self.root.clone(), seconds: LOCK_LIMIT.as_secs() });
                }
                Err(TryLockError::Error(source)) => return Err(source).during("lock", &path),
            }
        }
    }

    /// Counts this process among the users of the server for as long as the file is open. Call under [`lock`](Self::lock).
    pub(super) fn join_users(&self) -> Result<File, EmbeddedError> {
        let path = self.root.join("users");
        let file = open_private(&path)?;
        file.lock_shared().during("lock", &path)?;
        Ok(file)
    }

    /// Whether some process uses the server. Call under [`lock`](Self::lock).
    pub(super) fn has_users(&self) -> Result<bool, EmbeddedError> {
        let path = self.root.join("users");
        match open_private(&path)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(source).during("lock", &path),
        }
    }

    /// Makes a password and leaves it in the form that `psql` reads (`PGPASSFILE`).
    pub(super) fn create_password(&self) -> Result<String, EmbeddedError> {
        let path = self.pgpass();
        let password = uuid::Uuid::new_v4().simple().to_string();
        let mut file = open_private(&path)?;
        file.set_len(0).and_then(|()| writeln!(file, "*:*:*:{}:{password}", super::USER)).during("write", &path)?;
        Ok(password)
    }

    /// The password made before.
    pub(super) fn password(&self) -> Result<String, EmbeddedError> {
        let path = self.pgpass();
        let line = fs::read_to_string(&path).unwrap_or_default();
        match line.trim().rsplit_once(':') {
            Some((_, password)) if !password.is_empty() => Ok(password.to_owned()),
            Some(_) | None => Err(EmbeddedError::NoPassword { path }),
        }
    }

    /// Erases everything, the lock file last: until then the folder is ours, and a waiting process then makes a new one.
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
            // A process that waited for the lock is at home here again.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed.during("erase", &self.root),
        }
    }
}

/// Hands a file that root made over to the server's account.
pub(super) fn give(path: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)).during("hand over", path),
        None => Ok(()),
    }
}

fn open_private(path: &Path) -> Result<File, EmbeddedError> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
    options.open(path).during("open", path)
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
