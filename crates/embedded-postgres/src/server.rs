//! Creates the data and starts the server.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Pid;

use super::{
    Binaries, ClusterOptions, EmbeddedError, Primary, USER,
    account::Account,
    error::During,
    folder::{self, Folder},
    postmaster::{self, POLL_INTERVAL, PidFile},
};

/// How long a start may take, including the recovery after a crash.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How many lines of the log an error shows.
const TAIL_LINES: usize = 20;
/// A start empties a log that is longer than this.
const LOG_LIMIT_BYTES: u64 = 10 * 1024 * 1024;
/// The longest path of a socket, in bytes: `sun_path` has 108 on Linux and 104 on macOS, with the final zero.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// The port in the socket's name. The server does not listen on it: without a socket, it listens on a free port.
const SOCKET_PORT: u16 = 5432;

/// Everything that a start needs.
pub(super) struct Server<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) folder: &'a Folder,
    pub(super) account: Option<&'a Account>,
    pub(super) options: &'a ClusterOptions,
}

/// What the log has if a later start may succeed: the orphans of a killed server still run, or another process took the port
/// first.
const TEMPORARY: [&str; 2] = ["pre-existing shared memory block", "Address already in use"];

impl Server<'_> {
    /// Creates `data/` if it is missing. If the process is killed, no incomplete `data/` is left.
    pub(super) fn create_data(&self) -> Result<(), EmbeddedError> {
        let data = self.folder.data();
        if data.exists() {
            return Ok(());
        }
        self.folder.remove_unfinished();
        // The paths are unique: an initdb that outlived the process that started it may still remove its own files.
        let new = self.folder.unfinished();
        if let Some(primary) = &self.options.replica_of {
            self.folder.write_password(&primary.password)?;
            self.run_basebackup(&new, primary)?;
            return fs::rename(&new, &data).during("rename", &new);
        }
        let password_file = self.folder.unfinished();
        let password = uuid::Uuid::new_v4().simple().to_string();
        self.folder.write_password(&password)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&password_file)
            .during("create", &password_file)?;
        folder::give(&password_file, self.account)?;
        let initialised = writeln!(file, "{password}")
            .during("write", &password_file)
            .and_then(|()| self.run_initdb(&new, &password_file));
        fs::remove_file(&password_file).during("remove", &password_file)?;
        initialised?;
        fs::rename(&new, &data).during("rename", &new)
    }

    fn run_initdb(&self, data: &Path, password_file: &Path) -> Result<(), EmbeddedError> {
        let mut command = self.command("initdb");
        command.arg("-D").arg(data).args(["-U", USER, "-A", "scram-sha-256", "--encoding=UTF8", "--no-instructions"]);
        command.arg("--pwfile").arg(password_file);
        // The built-in locale depends on nothing. The host must have `C.UTF-8`, which older versions of macOS lack.
        if self.binaries.major >= 17 {
            command.args(["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        } else {
            command.arg(if cfg!(target_os = "macos") { "--locale=en_US.UTF-8" } else { "--locale=C.UTF-8" });
        }
        if !self.options.durable {
            command.arg("--no-sync");
        } else if cfg!(target_os = "linux") && self.binaries.major >= 17 {
            // One call for the whole file system, not one for each of a thousand files: 1.0 s instead of 4.8 s.
            command.arg("--sync-method=syncfs");
        }
        self.finish(command, "initdb")
    }

    /// Copies the data of `primary`, and leaves what makes the copy follow it.
    fn run_basebackup(&self, data: &Path, primary: &Primary) -> Result<(), EmbeddedError> {
        let mut command = self.command("pg_basebackup");
        command.arg("-D").arg(data).args(["--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf"]);
        command.args(["-d", &primary.conninfo]).env("PGPASSWORD", &primary.password);
        if !self.options.durable {
            command.arg("--no-sync");
        }
        self.finish(command, "pg_basebackup")
    }

    fn finish(&self, mut command: Command, program: &str) -> Result<(), EmbeddedError> {
        let output = command.output().during("run", &self.binaries.program(program))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(EmbeddedError::Failed(format!(
            "PostgreSQL could not create its data ({program}): correct the cause below, then try again\n{}",
            last_lines(&String::from_utf8_lossy(&text))
        )))
    }

    /// Refuses data of another major version.
    pub(super) fn check_major(&self) -> Result<(), EmbeddedError> {
        let path = self.folder.data().join("PG_VERSION");
        let found = fs::read_to_string(&path).during("read", &path)?.trim().to_owned();
        let wanted = self.binaries.major;
        if found == wanted.to_string() {
            return Ok(());
        }
        Err(EmbeddedError::OtherMajor { path: self.folder.root().to_owned(), found, wanted })
    }

    /// Adopts the running server or starts one, and waits until it accepts connections. Returns whether it was adopted.
    pub(super) fn adopt_or_start(&self) -> Result<(PidFile, bool), EmbeddedError> {
        let data = self.folder.data();
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(file) = self.adopt(deadline)? {
                return Ok((file, true));
            }
            postmaster::remove_stale_pid_file(&data)?;
            match self.start_once(deadline) {
                Ok(file) => return Ok((file, false)),
                Err(error) if is_temporary(&error) && Instant::now() < deadline => thread::sleep(POLL_INTERVAL * 10),
                // A process was killed just after it had started a server, whose pid file was not written yet.
                Err(error) if !is_temporary(&error) && postmaster::running(&data).is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the running server accepts connections. `None` if no server runs, or it ends during the wait.
    fn adopt(&self, deadline: Instant) -> Result<Option<PidFile>, EmbeddedError> {
        while let Some(file) = postmaster::running(&self.folder.data()) {
            if file.answers() {
                return Ok(Some(file));
            }
            if Instant::now() > deadline {
                let what = format!("runs but was not ready after {} s (`app dev stop` ends it)", START_LIMIT.as_secs());
                return Err(self.start_error(&what, 0));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(None)
    }

    fn start_once(&self, deadline: Instant) -> Result<PidFile, EmbeddedError> {
        let (log, log_start) = self.open_log()?;
        let mut child = self.spawn(log)?;
        let data = self.folder.data();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let what = format!("ended while it started ({status})");
                return Err(self.start_error(&what, log_start));
            }
            let is_ready = |file: &PidFile| file.pid == Pid::from_child(&child) && file.answers();
            if let Some(file) = PidFile::read(&data).filter(is_ready) {
                reap_when_it_ends(child);
                return Ok(file);
            }
            if Instant::now() > deadline {
                reap_when_it_ends(child);
                // The error of the start is more important than one of the stop.
                let _ = postmaster::stop(&data);
                let what = format!("was not ready after {} s", START_LIMIT.as_secs());
                return Err(self.start_error(&what, log_start));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn spawn(&self, log: File) -> Result<Child, EmbeddedError> {
        let program = self.binaries.program("postgres");
        let mut command = self.command("postgres");
        // `is_server_of` finds the server by these arguments.
        command.arg("-D").arg(self.folder.data());
        self.configure(&mut command)?;
        let errors = log.try_clone().during("write", &self.folder.log())?;
        command.stdout(log).stderr(errors);
        command.spawn().during("run", &program)
    }

    fn configure(&self, command: &mut Command) -> Result<(), EmbeddedError> {
        let cluster = self.folder.cluster();
        let socket_fits = cluster.as_os_str().len() + ".s.PGSQL.65535".len() < SOCKET_PATH_LIMIT;
        let mut sockets = OsString::from("unix_socket_directories=");
        sockets.push(if socket_fits { quoted_list_item(&cluster) } else { OsString::new() });
        command.arg("-c").arg(sockets);
        let mut set = |name: &str, value: &str| _ = command.arg("-c").arg(format!("{name}={value}"));
        set("port", &if socket_fits { SOCKET_PORT } else { free_port()? }.to_string());
        set("listen_addresses", if socket_fits { "" } else { "127.0.0.1" });
        set("max_connections", &self.options.max_connections.to_string());
        set("timezone", "UTC");
        set("log_timezone", "UTC");
        if self.binaries.major >= 18 {
            // A server that is mostly idle needs no I/O processes.
            set("io_method", "sync");
        }
        if !self.options.durable {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                set(name, "off");
            }
        }
        for (name, value) in &self.options.settings {
            set(name, value);
        }
        Ok(())
    }

    /// A command that runs as the server's account. It has its own process group, so that Ctrl-C reaches only `app`, and an
    /// environment without the caller's `PG…` variables and locales.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // The account must be able to enter the working directory.
        command.current_dir(self.folder.cluster());
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Opens the log for appending, and returns its length too.
    fn open_log(&self) -> Result<(File, u64), EmbeddedError> {
        let path = self.folder.log();
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).during("open", &path)?;
        let length = file.metadata().during("read", &path)?.len();
        if length <= LOG_LIMIT_BYTES {
            return Ok((file, length));
        }
        file.set_len(0).during("shorten", &path)?;
        Ok((file, 0))
    }

    /// The error of a start whose part of the log begins at `log_start`.
    fn start_error(&self, what: &str, log_start: u64) -> EmbeddedError {
        let path = self.folder.log();
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&path) {
            // The error does without the log if it cannot be read.
            let _ = file.seek(SeekFrom::Start(log_start)).and_then(|_| file.read_to_end(&mut text));
        }
        let text = last_lines(&String::from_utf8_lossy(&text));
        EmbeddedError::Failed(format!("PostgreSQL {what}; the last lines of its log, {}:\n{text}", path.display()))
    }
}

fn is_temporary(error: &EmbeddedError) -> bool {
    let text = error.to_string();
    TEMPORARY.iter().any(|temporary| text.contains(temporary))
}

/// Waits for the server on a thread. Without that it would become a zombie, which PostgreSQL takes for a running server.
fn reap_when_it_ends(mut child: Child) {
    thread::spawn(move || child.wait());
}

/// A free port. If another process takes it before the server does, the start is attempted again.
fn free_port() -> Result<u16, EmbeddedError> {
    let address = (Ipv4Addr::LOCALHOST, 0);
    let port = TcpListener::bind(address).and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.during("find a free port on", &PathBuf::from("127.0.0.1"))
}

/// Quotes `path` as one item of a setting that is a list, so that a comma in the path does not end the item.
fn quoted_list_item(path: &Path) -> OsString {
    let mut bytes = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        bytes.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    bytes.push(b'"');
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_only_the_last_lines() {
        let log: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let tail = last_lines(&log);
        assert!(tail.starts_with("line 11\n") && tail.ends_with("line 30"));
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn a_comma_or_a_quote_in_a_path_does_not_end_the_list_item() {
        assert_eq!(quoted_list_item(Path::new("/a,b\"c")), "\"/a,b\"\"c\"");
    }

    #[test]
    fn a_free_port_is_free() {
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).is_ok());
    }
}
