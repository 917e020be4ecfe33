//! Finds the running server by its pid file, and stops it.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{EmbeddedError, error::During};

/// How long a fast shutdown may take before an immediate one follows.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long an immediate shutdown may take.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(10);
/// The time between two checks of a server that starts or stops.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The content of `postmaster.pid`, which the server writes line by line as it starts. PostgreSQL's
/// `src/include/utils/pidfile.h` describes the lines; they are the same in versions 10 to 18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: Pid,
    pub(super) port: u16,
    /// `None` if the server listens on TCP instead.
    pub(super) socket_dir: Option<PathBuf>,
    pub(super) ready: bool,
}

impl PidFile {
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path(data)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let line = |number: usize| lines.get(number - 1).copied().unwrap_or_default();
        Some(Self {
            // A stand-alone backend, which is not our server, writes its pid as a negative number.
            pid: line(1).parse().ok().filter(|pid| *pid > 0).and_then(Pid::from_raw)?,
            port: line(4).parse().unwrap_or_default(),
            socket_dir: Some(line(5)).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            ready: line(8) == "ready",
        })
    }

    /// Whether the server reports that it is ready, and accepts a connection.
    pub(super) fn answers(&self) -> bool {
        self.ready
            && match &self.socket_dir {
                Some(dir) => UnixStream::connect(dir.join(format!(".s.PGSQL.{}", self.port))).is_ok(),
                None => {
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
                    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
                }
            }
    }
}

/// The server that runs on `data`, ready or not. A stale pid file gives `None`.
pub(super) fn running(data: &Path) -> Option<PidFile> {
    PidFile::read(data).filter(|file| is_server_of(file.pid, data))
}

/// Removes a pid file whose pid now belongs to another process, as after a reboot or in a container. PostgreSQL would take
/// that process for a running server and refuse to start. PostgreSQL itself detects orphans of a killed server, by their
/// shared memory.
pub(super) fn remove_stale_pid_file(data: &Path) -> Result<(), EmbeddedError> {
    match PidFile::read(data) {
        Some(file) if exists(file.pid) && !is_server_of(file.pid, data) => {
            fs::remove_file(path(data)).during("remove", &path(data))
        }
        Some(_) | None => Ok(()),
    }
}

/// Stops the server on `data` by a fast shutdown, then by an immediate one. Returns whether a server was running.
pub(super) fn stop(data: &Path) -> Result<bool, EmbeddedError> {
    let Some(PidFile { pid, .. }) = running(data) else { return Ok(false) };
    for (signal, limit) in [(Signal::INT, FAST_STOP_LIMIT), (Signal::QUIT, IMMEDIATE_STOP_LIMIT)] {
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()).during("signal the server of", data),
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !is_server_of(pid, data) {
                return Ok(true);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
    let pid = pid.as_raw_pid();
    Err(EmbeddedError::Failed(format!("PostgreSQL (process {pid}) does not stop: end it with `kill -QUIT {pid}`")))
}

fn path(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

fn exists(pid: Pid) -> bool {
    // For a process of another user the call is refused, which shows that the process exists.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// Whether process `pid` was started as `postgres -D data`. A zombie has no arguments.
///
/// The arguments are checked, not the executable: root in a container may not read the executable's path of a process of
/// another account.
fn is_server_of(pid: Pid, data: &Path) -> bool {
    let arguments = arguments(pid, data);
    let is_postgres =
        arguments.first().is_some_and(|program| Path::new(program).file_name() == Some(OsStr::new("postgres")));
    is_postgres
        && arguments.get(1).is_some_and(|flag| flag == "-D")
        && arguments.get(2).is_some_and(|dir| dir == data.as_os_str())
}

#[cfg(target_os = "linux")]
fn arguments(pid: Pid, _data: &Path) -> Vec<OsString> {
    use std::os::unix::ffi::OsStringExt;
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// `ps` joins the arguments with spaces, which a path may also contain, so the text is searched for the whole of `data`.
#[cfg(not(target_os = "linux"))]
fn arguments(pid: Pid, data: &Path) -> Vec<OsString> {
    let output =
        std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p"]).arg(pid.as_raw_pid().to_string()).output();
    let line = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    match line.split_once(&format!(" -D {} ", data.display())) {
        Some((program, _)) => vec![program.into(), "-D".into(), data.into()],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "4711\n/d/data\n1700000000\n5432\n/d\n\n  5432001         3\nready   \n";

    #[test]
    fn a_pid_file_gives_the_address_and_whether_the_server_is_ready() {
        let file = PidFile::parse(COMPLETE).unwrap();
        assert_eq!(file.pid.as_raw_pid(), 4711);
        assert_eq!((file.port, file.socket_dir, file.ready), (5432, Some("/d".into()), true));
        let on_tcp = PidFile::parse("7\n/d\n1\n6000\n\n127.0.0.1\n1 2\nstarting\n").unwrap();
        assert_eq!((on_tcp.port, on_tcp.socket_dir, on_tcp.ready), (6000, None, false));
    }

    #[test]
    fn an_incomplete_pid_file_is_not_ready() {
        assert!(!PidFile::parse("4711\n/d/data\n").unwrap().ready);
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-4711\n/d\n"), None);
    }

    #[test]
    fn another_process_is_never_taken_for_the_server() {
        let own_pid = Pid::from_raw(std::process::id().try_into().unwrap()).unwrap();
        assert!(exists(own_pid) && !is_server_of(own_pid, Path::new("/d/data")));
    }
}
