//! Setting up the data and starting the server on it.

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
    Binaries, ClusterOptions, EmbeddedError, USER,
    account::Account,
    error::During,
    folder::{self, Folder},
    postmaster::{self, LOOK_AGAIN, PidFile},
};

/// How long a start may take, the recovery after a crash included.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Lines of the log that an error shows.
const TAIL_LINES: usize = 20;
/// The log is begun anew at a start when it is longer than this many bytes.
const LOG_LIMIT_BYTES: u64 = 10 * 1024 * 1024;
/// The longest path of a socket, in bytes, with room for its final zero.
///
/// Source: `sun_path` is 108 bytes long on Linux, 104 on macOS.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// Names the socket in its private folder; nothing listens on this port unless TCP is asked for, and then it is a free one.
const SOCKET_PORT: u16 = 5432;

/// A server to be: its programs, its folder and whom it runs as.
pub(super) struct Server<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) folder: &'a Folder,
    pub(super) account: Option<&'a Account>,
    pub(super) options: &'a ClusterOptions,
}

/// Why one attempt to start did not succeed.
enum Attempt {
    /// Something that passes: a port taken between our look and the server's, the orphans of a killed server.
    Again(EmbeddedError),
    Failed(EmbeddedError),
}

impl Server<'_> {
    /// Sets up `data/` if there is none. Killed half-way, it leaves nothing that looks like data.
    pub(super) fn create_data(&self) -> Result<(), EmbeddedError> {
        let data = self.folder.data();
        if data.exists() {
            return Ok(());
        }
        self.folder.remove_unfinished();
        // Names of their own: an initdb that outlived its killed starter tidies up after itself, by name.
        let (new, password_file) = (self.folder.unfinished(), self.folder.unfinished());
        let password = self.folder.create_password()?;
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
        // The built-in locale needs none of the host; `C.UTF-8` must be installed, and older macOS has none.
        if self.binaries.major() >= 17 {
            command.args(["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
        } else {
            command.arg(if cfg!(target_os = "macos") { "--locale=en_US.UTF-8" } else { "--locale=C.UTF-8" });
        }
        if !self.options.durable {
            command.arg("--no-sync");
        } else if cfg!(target_os = "linux") && self.binaries.major() >= 17 {
            // One call for the whole file system instead of one for each of a thousand files: 1.0 s against 4.8 s.
            command.arg("--sync-method=syncfs");
        }
        let output = command.output().during("run", &self.binaries.program("initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(EmbeddedError::Initdb { output: last_lines(&String::from_utf8_lossy(&said)) })
    }

    /// Refuses data of another major version.
    pub(super) fn check_major(&self) -> Result<(), EmbeddedError> {
        let path = self.folder.data().join("PG_VERSION");
        let found = fs::read_to_string(&path).during("read", &path)?.trim().to_owned();
        let wanted = self.binaries.major();
        if found == wanted.to_string() {
            return Ok(());
        }
        Err(EmbeddedError::OtherMajor { path: self.folder.root().to_owned(), found, wanted })
    }

    /// Adopts the server that runs, or starts one, and waits until it takes connections. Returns whether it was adopted.
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
                Err(Attempt::Again(_)) if Instant::now() < deadline => thread::sleep(LOOK_AGAIN * 10),
                // Somebody was killed just after starting a server that had not written its pid file when we looked.
                Err(Attempt::Failed(_)) if postmaster::running(&data).is_some() => {}
                Err(Attempt::Again(error) | Attempt::Failed(error)) => return Err(error),
            }
        }
    }

    /// The server that runs, once it takes connections; `None` when there is none, or it ends meanwhile.
    fn adopt(&self, deadline: Instant) -> Result<Option<PidFile>, EmbeddedError> {
        while let Some(file) = postmaster::running(&self.folder.data()) {
            if file.answers() {
                return Ok(Some(file));
            }
            if Instant::now() > deadline {
                let what =
                    format!("runs but has not been ready for {} s (`app dev stop` ends it)", START_LIMIT.as_secs());
                return Err(self.start_error(what, &self.log_since(0)));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(None)
    }

    fn start_once(&self, deadline: Instant) -> Result<PidFile, Attempt> {
        let (log, log_start) = self.open_log().map_err(Attempt::Failed)?;
        let mut child = self.spawn(log).map_err(Attempt::Failed)?;
        let data = self.folder.data();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let tail = self.log_since(log_start);
                let passes = ["pre-existing shared memory block", "Address already in use"];
                let error = self.start_error(format!("ended at its start ({status})"), &tail);
                return Err(if passes.iter().any(|text| tail.contains(text)) {
                    Attempt::Again(error)
                } else {
                    Attempt::Failed(error)
                });
            }
            let ours = |file: &PidFile| file.pid == Pid::from_child(&child) && file.answers();
            if let Some(file) = PidFile::read(&data).filter(ours) {
                reap_when_it_ends(child);
                return Ok(file);
            }
            if Instant::now() > deadline {
                reap_when_it_ends(child);
                // The error that matters is the one about the start.
                let _ = postmaster::stop(&data);
                let what = format!("was not ready after {} s", START_LIMIT.as_secs());
                return Err(Attempt::Failed(self.start_error(what, &self.log_since(log_start))));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn spawn(&self, log: File) -> Result<Child, EmbeddedError> {
        let program = self.binaries.program("postgres");
        let mut command = self.command("postgres");
        // `is_server_of` recognises the server by these arguments.
        command.arg("-D").arg(self.folder.data());
        for (name, value) in self.settings()? {
            let mut setting = OsString::from(name);
            setting.push("=");
            setting.push(value);
            command.arg("-c").arg(setting);
        }
        let errors = log.try_clone().during("write", &self.folder.log())?;
        command.stdout(log).stderr(errors);
        command.spawn().during("run", &program)
    }

    fn settings(&self) -> Result<Vec<(String, OsString)>, EmbeddedError> {
        let mut settings: Vec<(String, OsString)> = Vec::new();
        let mut set = |name: &str, value: OsString| settings.push((name.to_owned(), value));
        let cluster = self.folder.cluster();
        let socket_fits = cluster.as_os_str().len() + ".s.PGSQL.65535".len() < SOCKET_PATH_LIMIT;
        let tcp = self.options.tcp || !socket_fits;
        set("port", if tcp { free_port()? } else { SOCKET_PORT }.to_string().into());
        set("listen_addresses", if tcp { "127.0.0.1" } else { "" }.into());
        set("unix_socket_directories", if socket_fits { quoted_list_item(&cluster) } else { OsString::new() });
        set("max_connections", self.options.max_connections.to_string().into());
        set("timezone", "UTC".into());
        set("log_timezone", "UTC".into());
        if self.binaries.major() >= 18 {
            // No I/O processes for a server that mostly sits idle.
            set("io_method", "sync".into());
        }
        if !self.options.durable {
            for name in ["fsync", "synchronous_commit", "full_page_writes"] {
                set(name, "off".into());
            }
        }
        for (name, value) in &self.options.settings {
            set(name, value.into());
        }
        Ok(settings)
    }

    /// A command as the server's account, in a process group of its own, so that Ctrl-C reaches `app` alone, with
    /// an environment that does not depend on the caller's (`PG…`, locales).
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

    /// The log, to be written at its end, and where that is.
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

    fn log_since(&self, start: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.folder.log()) {
            // What cannot be read is left out of the error that this is for.
            let _ = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut text));
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn start_error(&self, what: String, log: &str) -> EmbeddedError {
        EmbeddedError::Start { what, log: self.folder.log(), tail: last_lines(log) }
    }
}

/// A server that ends without being waited for stays as a zombie, which PostgreSQL takes for a server that runs.
fn reap_when_it_ends(mut child: Child) {
    thread::spawn(move || child.wait());
}

/// A port that is free now; another process may take it before the server does, which then starts again.
fn free_port() -> Result<u16, EmbeddedError> {
    let address = (Ipv4Addr::LOCALHOST, 0);
    let port = TcpListener::bind(address).and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.during("find a free port on", &PathBuf::from("127.0.0.1"))
}

/// The setting is a list: quotes keep a comma in a path from ending the item.
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
    fn errors_show_the_last_lines_only() {
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
