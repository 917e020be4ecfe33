//! The local PostgreSQL of `app dev` and of the tests: finds its programs, starts it or adopts a running one, stops it,
//! erases it.
//!
//! It listens on a socket in a private folder, so there is no port to collide on. It outlives the process that started it;
//! the next process in the same folder adopts it, also after a crash. Everything here blocks (processes, locks, files), so
//! the functions run it on tokio's blocking threads, and a start goes on to its end even when its caller has gone.
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
    net::{Ipv4Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

pub use binaries::{Binaries, find_binaries};
pub use error::EmbeddedError;
pub use folder::{create_private_dir, default_folder};

use account::Account;
use folder::Folder;
use postmaster::PidFile;
use server::Server;

/// The role that owns the server; a superuser.
const USER: &str = "app";

/// How to start a server. An adopted one keeps the settings that it was started with.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The folder that the server lives in, and nothing else; created where it is missing. See [`default_folder`].
    pub data_dir_root: PathBuf,
    /// Whether committed data survives a power cut. Without it everything is quicker, and a crash of the server alone
    /// still loses nothing but the last moments' commits.
    pub durable: bool,
    /// Listen on 127.0.0.1 as well, on a free port: for clients that cannot use the socket.
    pub tcp: bool,
    /// Connections that the server takes.
    pub max_connections: u32,
    /// More settings, as in `postgresql.conf`; they win over ours.
    pub settings: Vec<(String, String)>,
    /// For root only: whom to run the server as (`APP_DEV_PG_USER`). Default: `postgres`, where there is none `nobody`.
    pub run_as: Option<String>,
}

impl ClusterOptions {
    /// For data that is to stay: durable, 100 connections.
    pub fn durable(data_dir_root: PathBuf) -> Self {
        Self { data_dir_root, durable: true, tcp: false, max_connections: 100, settings: Vec::new(), run_as: None }
    }

    /// For tests: not durable, 200 connections.
    pub fn throwaway(data_dir_root: PathBuf) -> Self {
        Self { durable: false, max_connections: 200, ..Self::durable(data_dir_root) }
    }
}

/// What became of a server that was to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It has ended.
    Ended,
    /// There was none.
    WasNotRunning,
    /// It goes on, since another process uses it too; the last one to stop it ends it.
    InUse,
}

/// A server that takes connections. Dropping this leaves it running.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    endpoint: PidFile,
    password: String,
    psql: PathBuf,
    run_as: Option<String>,
    adopted: bool,
    /// Counts this process among the server's users.
    users: File,
}

impl Cluster {
    /// Starts the server of `options.data_dir_root`, setting up its data the first time, or adopts the one that runs
    /// there. Of two that start at once, the second adopts.
    ///
    /// # Errors
    /// [`EmbeddedError`]: no file of the user's has been touched, and no server is left behind.
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
        let (endpoint, adopted) = server.adopt_or_start()?;
        let (psql, run_as) = (binaries.program("psql"), account.map(|account| account.name));
        Ok(Self { folder, endpoint, password, psql, run_as, adopted, users })
    }

    /// A connection string for tokio-postgres, psql and the like, for the role `app`, a superuser. Holds the password.
    pub fn url(&self, dbname: &str) -> String {
        let host = match self.socket_dir() {
            Some(dir) => percent_encode(dir.as_os_str().as_bytes()),
            None => Ipv4Addr::LOCALHOST.to_string(),
        };
        let (port, dbname) = (self.port(), percent_encode(dbname.as_bytes()));
        format!("postgresql://{USER}:{}@{host}:{port}/{dbname}", self.password)
    }

    /// A shell command that opens psql on `dbname`; it names the file with the password, not the password.
    pub fn psql_hint(&self, dbname: &str) -> String {
        let psql = if self.psql.is_file() { shell_quote(&self.psql) } else { "psql".to_owned() };
        let host = self.socket_dir().map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), shell_quote);
        let (pgpass, port, dbname) = (shell_quote(&self.folder.pgpass()), self.port(), shell_quote(Path::new(dbname)));
        format!("PGPASSFILE={pgpass} {psql} -h {host} -p {port} -U {USER} -d {dbname}")
    }

    /// Whether the server ran already.
    pub fn was_adopted(&self) -> bool {
        self.adopted
    }

    /// The role to connect as; a superuser.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The password of [`user`](Self::user): a secret of this machine.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The directory of the socket; `None` where its path would be too long for one, and TCP is used instead.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.endpoint.socket_dir.as_deref()
    }

    /// The port: of TCP where the server listens there, and in the socket's name.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The TCP address; `None` where the server listens on its socket alone.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.endpoint.on_tcp.then(|| (Ipv4Addr::LOCALHOST, self.port()).into())
    }

    /// The account that root has handed the server to; `None` for an ordinary user.
    pub fn run_as(&self) -> Option<&str> {
        self.run_as.as_deref()
    }

    /// The folder that the server lives in.
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.endpoint.pid.as_raw_pid()
    }

    /// Stops the server unless another process uses it: by a fast shutdown, and after 10 s by an immediate one.
    ///
    /// # Errors
    /// [`EmbeddedError::Stop`] and whatever locking may end in.
    pub async fn stop(self) -> Result<Stopped, EmbeddedError> {
        unblock(move || {
            let _lock = self.folder.lock()?;
            drop(self.users);
            if self.folder.has_users()? { Ok(Stopped::InUse) } else { stop_locked(&self.folder) }
        })
        .await
    }
}

/// Stops the server of a folder whoever uses it: `app dev stop`.
///
/// # Errors
/// [`EmbeddedError::NotOurs`], [`EmbeddedError::Stop`] and whatever locking may end in.
pub async fn stop_running(data_dir_root: &Path) -> Result<Stopped, EmbeddedError> {
    let root = data_dir_root.to_owned();
    unblock(move || match Folder::existing(&root)? {
        Some(folder) => {
            let _lock = folder.lock()?;
            stop_locked(&folder)
        }
        None => Ok(Stopped::WasNotRunning),
    })
    .await
}

/// Stops the server of a folder, whoever uses it, and erases the folder: `app dev reset`. Refuses a folder that is not
/// such a server's. Returns whether there was one.
///
/// # Errors
/// Those of [`stop_running`], and [`EmbeddedError::Io`].
pub async fn reset(data_dir_root: &Path) -> Result<bool, EmbeddedError> {
    let root = data_dir_root.to_owned();
    unblock(move || match Folder::existing(&root)? {
        Some(folder) => {
            let lock = folder.lock()?;
            stop_locked(&folder)?;
            folder.erase(lock)?;
            Ok(true)
        }
        None => Ok(false),
    })
    .await
}

fn stop_locked(folder: &Folder) -> Result<Stopped, EmbeddedError> {
    Ok(if postmaster::stop(&folder.data())? { Stopped::Ended } else { Stopped::WasNotRunning })
}

/// Runs `work` where blocking is fine.
async fn unblock<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled before it began: the runtime shuts down.
            Err(cancelled) => Err(EmbeddedError::Io {
                doing: "run",
                path: PathBuf::from("the local PostgreSQL"),
                source: std::io::Error::other(cancelled),
            }),
        },
    }
}

/// Escapes every byte that could mean something in a URL.
fn percent_encode(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `path` as one word of a shell.
fn shell_quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_directory_becomes_one_host_of_a_url() {
        assert_eq!(percent_encode(b"/var/lib/a,b c"), "%2Fvar%2Flib%2Fa%2Cb%20c");
        let url = format!("postgresql://app:pw@{}:5432/db", percent_encode(b"/tmp/a,b:c@d/e"));
        let config: tokio_postgres::Config = url.parse().unwrap();
        assert_eq!(config.get_hosts(), [tokio_postgres::config::Host::Unix("/tmp/a,b:c@d/e".into())]);
        assert_eq!(config.get_ports(), [5432]);
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        assert_eq!(shell_quote(Path::new("/a/b-c.d")), "/a/b-c.d");
        assert_eq!(shell_quote(Path::new("/it's here")), r"'/it'\''s here'");
    }
}
