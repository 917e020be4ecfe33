//! A PostgreSQL server for one test that accepts only TLS connections.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::support::certificates;

/// The password of every role; it needs no escaping in a URL.
pub const PASSWORD: &str = "correcthorsebattery";

/// A running server; stops when dropped.
pub struct Server {
    postgres: Child,
    folder: TempDir,
    bin: PathBuf,
    /// The port on `127.0.0.1`.
    pub port: u16,
}

/// The account of the server when the test runs as root, as which PostgreSQL refuses to run.
#[derive(Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

impl Server {
    /// Makes certificates, starts the server, and creates the database `app` and the roles `app` and `single` (one connection).
    pub fn start() -> Self {
        Self::with_certificate_of(certificates::DAYS)
    }

    /// The same with a certificate of so many days.
    pub fn with_certificate_of(days: &str) -> Self {
        let bin = PathBuf::from(std::env::var("APP_PG15_BIN").unwrap_or("/usr/lib/postgresql/15/bin".to_owned()));
        assert!(
            bin.join("postgres").exists(),
            "PostgreSQL 15 is missing in {}: install it (scripts/test does), or set APP_PG15_BIN to its bin folder",
            bin.display()
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let owner = rustix::process::geteuid().is_root().then(server_owner);
        certificates::make(folder.path(), days);
        set_owner(folder.path(), owner);
        make_cluster(&bin, folder.path(), owner);
        let (postgres, port) = start_on_free_port(&bin, folder.path(), owner);
        let server = Self { postgres, folder, bin, port };
        server.psql(&format!(
            "CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'; CREATE DATABASE app OWNER app; \
             CREATE ROLE single LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1"
        ));
        server
    }

    /// The path of a file in the server's folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs statements as the superuser, through the socket, each in its own transaction.
    pub fn psql(&self, statements: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let port = self.port.to_string();
        let mut command = Command::new(self.bin.join("psql"));
        command.args([
            "-X",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-h",
            &folder,
            "-p",
            &port,
            "postgres",
        ]);
        for statement in statements.split("; ") {
            command.args(["-c", statement]);
        }
        run(&mut command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown, which frees its shared memory.
        let pid = rustix::process::Pid::from_child(&self.postgres);
        let _ended = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _status = self.postgres.wait();
    }
}

fn server_owner() -> Owner {
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Owner { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    of("postgres").or_else(|| of("nobody")).expect("a user `postgres` or `nobody` to run the server as")
}

fn set_owner(folder: &Path, owner: Option<Owner>) {
    let Some(owner) = owner else { return };
    let files = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    for path in files.chain([folder.to_owned()]) {
        chown(&path, Some(owner.uid), Some(owner.gid)).expect("a new owner");
    }
    // Other accounts must be able to read the certificates.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("new permissions");
}

fn as_owner(program: PathBuf, owner: Option<Owner>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("couldn't start {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn make_cluster(bin: &Path, folder: &Path, owner: Option<Owner>) {
    let data = folder.join("data");
    let mut initdb = as_owner(bin.join("initdb"), owner);
    run(initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale", "-D"]).arg(&data));
    let rules = "local all postgres trust\n\
                 hostssl app,missing app 127.0.0.1/32 scram-sha-256\n\
                 hostssl app single,nobody 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).expect("pg_hba.conf");
    let mut settings = std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).expect("settings");
    let path = folder.display();
    write!(
        settings,
        "ssl = on\nssl_cert_file = '{path}/server.pem'\nssl_key_file = '{path}/server.key'\n\
         unix_socket_directories = '{path}'\nlisten_addresses = '127.0.0.1'\nfsync = off\nshared_buffers = 16MB\n\
         max_connections = 20\n"
    )
    .expect("settings written");
}

/// Starts the server and waits until it accepts connections. It tries another port if the first one is taken.
fn start_on_free_port(bin: &Path, folder: &Path, owner: Option<Owner>) -> (Child, u16) {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut command = as_owner(bin.join("postgres"), owner);
        command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
        let mut postgres = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("postgres starts");
        let mut log = BufReader::new(postgres.stderr.take().expect("its log")).lines();
        let mut lines = Vec::new();
        let ready = log.by_ref().map_while(Result::ok).any(|line| {
            let ready = line.contains("ready to accept connections");
            lines.push(line);
            ready
        });
        if ready {
            // Keeps reading the log, since a full pipe would block the server.
            std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
            return (postgres, port);
        }
        let _status = postgres.wait();
        assert!(lines.iter().any(|line| line.contains("could not bind")), "postgres failed:\n{}", lines.join("\n"));
    }
    panic!("no free port in five tries");
}
