//! A real PgBouncer in transaction mode, in front of a server.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use embedded_postgres::Cluster;

use super::scratch::Scratch;

/// Server connections for each database and user; few, so that clients share them.
pub const POOL_SIZE: usize = 3;
/// Only names the socket; each test has its own folder.
const PORT: u16 = 6432;

/// A running pooler; stops when dropped.
pub struct PgBouncer {
    folder: Scratch,
    run_as: Option<String>,
    process: Child,
    url: String,
}

impl PgBouncer {
    /// Starts a pooler for the database `dbname` of `cluster`, and waits until it accepts connections.
    pub fn start(cluster: &Cluster, dbname: &str) -> Self {
        Self::start_at(cluster, dbname, "", PORT)
    }

    /// The same, but the pooler also listens on a TCP address.
    pub fn start_on_tcp(cluster: &Cluster, dbname: &str, address: &str, port: u16) -> Self {
        Self::start_at(cluster, dbname, address, port)
    }

    fn start_at(cluster: &Cluster, dbname: &str, address: &str, port: u16) -> Self {
        let folder = Scratch::new("pooler");
        let run_as = cluster.run_as.clone();
        configure(folder.path(), cluster, address, port);
        let url = cluster.url(dbname);
        let (credentials, _) = url.split_once('@').unwrap();
        let host = folder.path().to_str().unwrap().replace('/', "%2F");
        let process = spawn(folder.path(), run_as.as_deref());
        Self { url: format!("{credentials}@{host}:{port}/{dbname}"), process, run_as, folder }
    }

    /// The URL of the database through the pooler.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(format!(".s.PGSQL.{PORT}"))
    }

    /// Kills the pooler and starts it again at the same address. Every connection through it is lost.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.folder.path(), self.run_as.as_deref());
    }

    /// Leads to another server with the same password from now on. Connections to the old one end with it.
    pub fn re_point(&self, cluster: &Cluster) {
        write_settings(self.folder.path(), cluster, "", PORT);
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes the configuration into `folder`. The pooler retries a lost server after 1 s instead of 15. The files belong to the
/// cluster's account, as which root runs the pooler.
fn configure(folder: &Path, cluster: &Cluster, address: &str, port: u16) {
    fs::create_dir(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
    write_settings(folder, cluster, address, port);
    // The password is in plain text, since the pooler also needs it to log in to the server.
    fs::write(folder.join("users.txt"), format!("\"{}\" \"{}\"\n", embedded_postgres::USER, cluster.password)).unwrap();
    let owner = fs::metadata(cluster.folder().join("cluster")).unwrap();
    for path in [folder.to_owned(), folder.join("pgbouncer.ini"), folder.join("users.txt")] {
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

fn write_settings(folder: &Path, cluster: &Cluster, address: &str, port: u16) {
    let server = match cluster.socket_dir() {
        Some(dir) => dir.to_str().unwrap().to_owned(),
        None => "127.0.0.1".to_owned(),
    };
    let settings = format!(
        "[databases]\n* = host='{server}' port={}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\n\
         max_client_conn = 500\nlisten_addr = {address}\nlisten_port = {port}\nunix_socket_dir = {}\nauth_type = scram-sha-256\n\
         auth_file = {}\nadmin_users = {}\n\
         server_login_retry = 1\n",
        cluster.port(),
        folder.display(),
        folder.join("users.txt").display(),
        embedded_postgres::USER,
    );
    fs::write(folder.join("pgbouncer.ini"), settings).unwrap();
}

/// Starts the program and reads its log until it says that it is up.
fn spawn(folder: &Path, run_as: Option<&str>) -> Child {
    let mut command = Command::new(program());
    command.arg(folder.join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(account) = run_as {
        command.args(["-u", account]);
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut log = Vec::new();
    let is_up = lines.by_ref().inspect(|line| log.push(line.clone())).any(|line| line.contains("process up"));
    assert!(is_up, "PgBouncer did not start:\n{}", log.join("\n"));
    // Keeps reading the log, since a full pipe would block the pooler.
    thread::spawn(move || lines.for_each(drop));
    child
}

/// The path of PgBouncer: from APP_PGBOUNCER, from PATH, or as unpacked by scripts/fetch.
fn program() -> PathBuf {
    let named = std::env::var_os("APP_PGBOUNCER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/test-tools/bin");
    let dirs =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), fetched, "/var/lib/app-dev/test-tools/bin".into()]);
    let found = named.into_iter().chain(dirs.map(|dir| dir.join("pgbouncer"))).find(|program| program.is_file());
    found.expect("the tests need PgBouncer: run scripts/fetch test-tools")
}
