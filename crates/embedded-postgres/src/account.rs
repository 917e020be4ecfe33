//! The account that runs the server: that of this process, or for root, which PostgreSQL refuses, an ordinary one.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::EmbeddedError;

/// An ordinary account that runs the server for root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Account {
    /// Chooses the account to run the server as. `None` stands for the account of this process, if that is not root.
    ///
    /// For root it is `wanted`, else `postgres`, else `nobody`. A server with data stays with the one of them that owns the
    /// data (`owner`): a package installed later may have added `postgres`.
    pub(super) fn choose(wanted: Option<&str>, owner: Option<u32>) -> Result<Option<Self>, EmbeddedError> {
        if !is_root() {
            return Ok(None);
        }
        let names = wanted.map_or_else(|| vec!["postgres", "nobody"], |name| vec![name]);
        let mut first = None;
        // Each look-up starts two processes, so it is done only as needed.
        for account in names.iter().filter_map(|name| Self::look_up(name)).filter(|account| account.uid != 0) {
            if owner.is_none_or(|owner| owner == account.uid) {
                return Ok(Some(account));
            }
            first = first.or(Some(account));
        }
        match first {
            Some(account) => Ok(Some(account)),
            None => Err(EmbeddedError::NoAccount { tried: format!("`{}`", names.join("` or `")) }),
        }
    }

    /// Asks `id`, which also knows accounts of directory services. `--` keeps a name from being read as an option.
    fn look_up(name: &str) -> Option<Self> {
        let id = |option: &str| {
            let output = Command::new("id").args([option, "--", name]).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self { name: name.to_owned(), uid: id("-u")?, gid: id("-g")? })
    }

    /// The outermost directory, of `path` and those above it, that the account may not enter by its mode bits.
    pub(super) fn blocked_by(&self, path: &Path) -> Option<PathBuf> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        above.into_iter().find(|directory| !self.may(directory, 0o1)).map(Path::to_owned)
    }

    /// Whether the account may read and run the file `path`.
    pub(super) fn may_run(&self, path: &Path) -> bool {
        path.parent().is_some_and(|directory| self.blocked_by(directory).is_none()) && self.may(path, 0o5)
    }

    /// Whether the mode of `path` gives the account all of `bits` (4 read, 2 write, 1 enter or run).
    fn may(&self, path: &Path, bits: u32) -> bool {
        fs::metadata(path).is_ok_and(|file| {
            let shift = if file.uid() == self.uid {
                6
            } else if file.gid() == self.gid {
                3
            } else {
                0
            };
            (file.mode() >> shift) & bits == bits
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_directory_blocks_the_directories_below_it() {
        let outer = tempfile::tempdir().unwrap();
        let closed = outer.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let account = Account { name: "other".into(), uid: u32::MAX - 9, gid: u32::MAX - 9 };
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(account.blocked_by(&inner), None);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(account.blocked_by(&inner), Some(closed.clone()));
        assert!(!account.may_run(&inner.join("program")));
    }

    #[test]
    fn the_server_never_runs_as_root() {
        match Account::choose(None, None) {
            Ok(Some(account)) => assert!(is_root() && account.uid != 0),
            Ok(None) => assert!(!is_root()),
            Err(error) => panic!("{error}"),
        }
        if is_root() {
            let nobody = Account::choose(Some("nobody"), None).unwrap();
            let owner = nobody.as_ref().map(|account| account.uid);
            assert_eq!(Account::choose(None, owner).unwrap(), nobody, "the owner of a server's data keeps it");
            assert!(matches!(Account::choose(Some("root"), None), Err(EmbeddedError::NoAccount { .. })));
            assert!(matches!(Account::choose(Some("--help"), None), Err(EmbeddedError::NoAccount { .. })));
        }
    }
}
