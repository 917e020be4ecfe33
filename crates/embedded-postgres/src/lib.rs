//! The local PostgreSQL server of `app dev` and of the tests: finds the programs, starts a server or adopts a running one,
//! stops it, and erases its folder.
//!
//! The server listens on a socket in a private folder, so no port can be taken already. It outlives the process that
//! started it, and the next process that uses the folder adopts it, even after a crash. The work blocks (processes, locks,
//! files), so it runs on tokio's blocking threads; a start that has begun completes even if its caller is dropped.
//!
//! *Must not know:* SQL or our tables. Callers create databases themselves, over [`Cluster::url`].

mod account;
mod binaries;
mod error;
mod folder;
mod postmaster;
mod server;

use std::{
    fs::File,
    net::Ipv4Addr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

pub use binaries::{Binaries, find_binaries};
pub use error::EmbeddedError;
pub use folder::create_private_dir;

use account::Account;
use folder::{Folder, FolderLock};
use postmaster::PidFile;
use server::Server;

/// The role that clients connect as; a superuser.
pub const USER: &str = "app";

/// Every byte but those that RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How to start a server. An adopted server keeps the settings that it was started with.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The server's folder, which must hold nothing else. It is created if it is missing.
    pub data_dir_root: PathBuf,
    /// Whether committed data survives a power failure. A server that is not durable is faster; a crash of the server alone
    /// loses only the last commits.
    pub durable: bool,
    /// The most connections that the server accepts.
    pub max_connections: u32,
    /// Further settings, as in `postgresql.conf`. They override the built-in ones.
    pub settings: Vec<(String, String)>,
    /// The server of which new data becomes a streaming replica; `None`: new data is empty. Data that exists is used as it is.
    pub replica_of: Option<Primary>,
    /// For root only: the account that runs the server (`APP_DEV_PG_USER`). Default: `postgres`, or `nobody` if there is no
    /// `postgres`.
    pub run_as: Option<String>,
}

impl ClusterOptions {
    /// For data that is kept: durable, 100 connections.
    pub fn durable(data_dir_root: PathBuf) -> Self {
        let settings = Vec::new();
        Self { data_dir_root, durable: true, max_connections: 100, settings, replica_of: None, run_as: None }
    }

    /// For tests: not durable, 200 connections.
    pub fn throwaway(data_dir_root: PathBuf) -> Self {
        Self { durable: false, max_connections: 200, ..Self::durable(data_dir_root) }
    }
}

/// A running server that replicas follow. They have its password.
#[derive(Clone)]
pub struct Primary {
    /// For libpq, without the password.
    conninfo: String,
    password: String,
}

/// Without the password.
impl std::fmt::Debug for Primary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Primary").field(&self.conninfo).finish()
    }
}

/// The result of stopping a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The server has stopped.
    Ended,
    /// No server was running.
    WasNotRunning,
    /// The server still runs, because another process uses it. The last process that stops it ends it.
    InUse,
}

/// A server that accepts connections. Dropping this value does not stop the server.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    endpoint: PidFile,
    psql: PathBuf,
    /// The password of [`USER`], which must not leave this machine.
    pub password: String,
    /// The account that runs the server for root; `None` for an ordinary user.
    pub run_as: Option<String>,
    /// Whether the server was already running.
    pub was_adopted: bool,
    /// Counts this process among the server's users.
    users: File,
}

impl Cluster {
    /// Starts the server of `options.data_dir_root`, or adopts it if it runs. The first start creates the data. If two
    /// processes start it at once, the second one adopts.
    ///
    /// # Errors
    ///
    /// Any [`EmbeddedError`]. No file of the user has been changed, and no server is left running.
    pub async fn start_or_adopt(binaries: Binaries, options: ClusterOptions) -> Result<Self, EmbeddedError> {
        unblock(move || Self::start_or_adopt_blocking(binaries, &options)).await
    }

    fn start_or_adopt_blocking(binaries: Binaries, options: &ClusterOptions) -> Result<Self, EmbeddedError> {
        let folder = Folder::create(&options.data_dir_root)?;
        let _lock = folder.lock()?;
        let account = Account::choose(options.run_as.as_deref(), folder.cluster_owner())?;
        folder.create_cluster_dir(account.as_ref())?;
        let binaries = binaries.readable_by(account.as_ref())?;
        let server = Server { binaries: &binaries, folder: &folder, account: account.as_ref(), options };
        server.create_data()?;
        server.check_major()?;
        let password = folder.password()?;
        let users = folder.join_users()?;
        let (endpoint, was_adopted) = server.adopt_or_start()?;
        let psql = binaries.program("psql");
        let run_as = account.map(|account| account.name);
        Ok(Self { folder, endpoint, psql, password, run_as, was_adopted, users })
    }

    /// A URL for tokio-postgres, psql and other clients, with the role [`USER`] and its password.
    pub fn url(&self, dbname: &str) -> String {
        let host = match self.socket_dir() {
            Some(dir) => percent_encode(dir.as_os_str().as_bytes(), RESERVED).to_string(),
            None => Ipv4Addr::LOCALHOST.to_string(),
        };
        let dbname = percent_encode(dbname.as_bytes(), RESERVED);
        format!("postgresql://{USER}:{}@{host}:{}/{dbname}", self.password, self.port())
    }

    /// This server, for [`ClusterOptions::replica_of`].
    pub fn as_primary(&self) -> Primary {
        let host = self.socket_dir().map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), |dir| dir.display().to_string());
        let host = host.replace('\\', r"\\").replace('\'', r"\'");
        let conninfo = format!("host='{host}' port={} user={USER}", self.port());
        Primary { conninfo, password: self.password.clone() }
    }

    /// A shell command that opens psql on `dbname`. It contains the path of the password's file, not the password.
    pub fn psql_hint(&self, dbname: &str) -> String {
        let pgpass = shell_quote(&self.folder.pgpass());
        let psql = if self.psql.is_file() { shell_quote(&self.psql) } else { "psql".to_owned() };
        let host = self.socket_dir().map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), shell_quote);
        let dbname = shell_quote(Path::new(dbname));
        format!("PGPASSFILE={pgpass} {psql} -h {host} -p {} -U {USER} -d {dbname}", self.port())
    }

    /// The directory of the socket. `None` if its path is too long for a socket; TCP is used instead.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.endpoint.socket_dir.as_deref()
    }

    /// The port, which is also part of the socket's name.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// The id of the server's process.
    pub fn pid(&self) -> i32 {
        self.endpoint.pid.as_raw_pid()
    }

    /// Whether the server still runs.
    pub fn is_running(&self) -> bool {
        postmaster::running(&self.folder.data()).is_some()
    }

    /// Stops the server unless another process uses it: by a fast shutdown, and after 10 s by an immediate one.
    ///
    /// # Errors
    ///
    /// The server does not stop, or another process keeps the folder locked.
    pub async fn stop(self) -> Result<Stopped, EmbeddedError> {
        unblock(move || {
            let _lock = self.folder.lock()?;
            drop(self.users);
            if self.folder.has_users()? { Ok(Stopped::InUse) } else { stop_locked(&self.folder) }
        })
        .await
    }
}

/// Stops the server of a folder even if other processes use it.
///
/// # Errors
///
/// [`EmbeddedError::NotOurs`]; the server does not stop, or another process keeps the folder locked.
pub async fn stop_running(data_dir_root: &Path) -> Result<Stopped, EmbeddedError> {
    let stopped = with_existing(data_dir_root, |folder, _lock| stop_locked(folder)).await?;
    Ok(stopped.unwrap_or(Stopped::WasNotRunning))
}

/// Stops the server of a folder even if other processes use it, and erases the folder. Refuses a folder that is not a
/// server's. Returns whether the folder existed.
///
/// # Errors
///
/// Those of [`stop_running`].
pub async fn reset(data_dir_root: &Path) -> Result<bool, EmbeddedError> {
    let erase = |folder: &Folder, lock| stop_locked(folder).and_then(|_stopped| folder.erase(lock));
    Ok(with_existing(data_dir_root, erase).await?.is_some())
}

/// Locks the folder and does `work` on it; `None` if there is no folder.
async fn with_existing<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce(&Folder, FolderLock) -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<Option<T>, EmbeddedError> {
    let root = root.to_owned();
    unblock(move || {
        let Some(folder) = Folder::existing(&root)? else { return Ok(None) };
        let lock = folder.lock()?;
        work(&folder, lock).map(Some)
    })
    .await
}

fn stop_locked(folder: &Folder) -> Result<Stopped, EmbeddedError> {
    Ok(if postmaster::stop(&folder.data())? { Stopped::Ended } else { Stopped::WasNotRunning })
}

/// Runs `work` on a thread that may block.
async fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    // A panic is in the log; and a runtime may shut down before `work` began.
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|why| Err(EmbeddedError::Failed(format!("the work on the local PostgreSQL stopped: {why}"))))
}

/// Quotes `path` for a shell.
fn shell_quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    // A zero byte, which no path contains, is the only text that cannot be quoted.
    shlex::try_quote(&text).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_directory_becomes_one_host_of_a_url() {
        assert_eq!(percent_encode(b"/var/lib/a,b c", RESERVED).to_string(), "%2Fvar%2Flib%2Fa%2Cb%20c");
        let url = format!("postgresql://app:pw@{}:5432/db", percent_encode(b"/tmp/a,b:c@d/e", RESERVED));
        let config: tokio_postgres::Config = url.parse().unwrap();
        assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix("/tmp/a,b:c@d/e".into())]);
        assert_eq!(config.get_ports(), [5432]);
    }

    #[test]
    fn a_quoted_path_is_one_word_for_a_shell() {
        assert_eq!(shell_quote(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell_quote(Path::new("/it's here")), "\"/it's here\"");
    }
}
