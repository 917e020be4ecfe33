//! The data folder of `app dev`: its place, and the files that a running `app dev` keeps there for the clients.

use std::{
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Name of the file that holds the API's address.
pub const API_URL_FILE: &str = "api.url";
/// Name of the file that holds a token for it.
pub const TOKEN_FILE: &str = "token";
/// Name of the file that holds the database's URL.
pub const DATABASE_URL_FILE: &str = "database.url";
/// Name of the file that holds the secret that signs its tokens.
pub const SECRET_FILE: &str = "secret";
/// Name of the folder that is the object store.
pub const STORAGE_FOLDER: &str = "storage";

/// The data folder: the one `named` by `APP_DEV_DIR`, else one of this checkout's own, the same from any folder inside it.
///
/// For root it is below `/var/tmp`, because the database then runs as another user, who cannot read root's home.
/// Otherwise it is below `XDG_STATE_HOME` or `~/.local/state`.
pub fn dev_dir(named: Option<&Path>) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match named {
        Some(named) => here.join(named),
        None => checkout_folder(&|name| std::env::var(name).ok(), &here, "dev", rustix::process::geteuid().is_root()),
    }
}

/// The folder that belongs to the checkout around `here`, for `purpose`: `dev`, or `test` for the tests' database.
///
/// Its place is that of [`dev_dir`], but `APP_DEV_DIR` is not used. Nothing is created.
pub fn checkout_folder(env: &dyn Fn(&str) -> Option<String>, here: &Path, purpose: &str, is_root: bool) -> PathBuf {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = || {
        set("XDG_STATE_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".local/state")))
    };
    let base = if is_root { None } else { state() }.unwrap_or_else(|| PathBuf::from("/var/tmp"));
    base.join(format!("app-{purpose}-{}", short_hash(&checkout_root(here))))
}

/// The nearest ancestor that contains `.git` (a file, in a worktree), else `here`.
fn checkout_root(here: &Path) -> PathBuf {
    let here = here.canonicalize().unwrap_or_else(|_missing| here.to_owned());
    let root = here.ancestors().find(|folder| folder.join(".git").exists());
    root.map_or_else(|| here.clone(), Path::to_owned)
}

fn short_hash(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    domain::hex(&Sha256::digest(path.as_os_str().as_bytes())[..6])
}

/// The text of the file `name` in `folder`; `None` if it is missing or empty.
///
/// # Errors
///
/// The file cannot be read, or belongs to another user: every user can write to `/var/tmp`, and a token must not be
/// sent to an address that another user chose.
pub fn read_dev_file(folder: &Path, name: &str) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;
    let path = folder.join(name);
    let owner = match std::fs::symlink_metadata(&path) {
        Ok(metadata) => metadata.uid(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if owner != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    let text = std::fs::read_to_string(&path)?.trim().to_owned();
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Checkout(PathBuf);

    impl Checkout {
        fn new() -> Self {
            let root = std::env::temp_dir().join(format!("app-dev-dir-{}", uuid::Uuid::new_v4()));
            std::fs::create_dir_all(root.join("src/deep")).unwrap();
            std::fs::write(root.join(".git"), "gitdir: elsewhere").unwrap();
            Self(root)
        }
    }

    impl Drop for Checkout {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn home(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/ada".to_owned())
    }

    #[test]
    fn every_folder_of_a_checkout_has_the_same_data_folder() {
        let checkout = Checkout::new();
        let at_root = checkout_folder(&home, &checkout.0, "dev", false);
        assert!(at_root.starts_with("/home/ada/.local/state"), "{}", at_root.display());
        assert_eq!(at_root, checkout_folder(&home, &checkout.0.join("src/deep"), "dev", false));
        assert_ne!(at_root, checkout_folder(&home, &Checkout::new().0, "dev", false));
    }

    #[test]
    fn root_and_users_without_a_home_get_a_folder_that_other_users_can_reach() {
        let checkout = Checkout::new();
        for folder in
            [checkout_folder(&home, &checkout.0, "dev", true), checkout_folder(&|_| None, &checkout.0, "dev", false)]
        {
            assert_eq!(folder.parent(), Some(Path::new("/var/tmp")));
        }
    }

    #[test]
    fn app_dev_dir_wins_and_may_be_relative() {
        assert_eq!(dev_dir(Some(Path::new("/srv/x"))), Path::new("/srv/x"));
        assert_eq!(dev_dir(Some(Path::new("data"))), std::env::current_dir().unwrap().join("data"));
    }

    #[test]
    fn the_text_of_a_file_is_trimmed_and_a_missing_or_empty_file_has_none() {
        let checkout = Checkout::new();
        assert_eq!(read_dev_file(&checkout.0, API_URL_FILE).unwrap(), None);
        assert_eq!(read_dev_file(&checkout.0.join(".git"), API_URL_FILE).unwrap(), None);
        std::fs::write(checkout.0.join(API_URL_FILE), "http://127.0.0.1:8000\n").unwrap();
        std::fs::write(checkout.0.join(TOKEN_FILE), "\n").unwrap();
        assert_eq!(read_dev_file(&checkout.0, API_URL_FILE).unwrap().as_deref(), Some("http://127.0.0.1:8000"));
        assert_eq!(read_dev_file(&checkout.0, TOKEN_FILE).unwrap(), None);
    }
}
