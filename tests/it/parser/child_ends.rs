//! Every way in which the child process can end, with small scripts in place of the child.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use domain::{Code, ErrorClass, Failure, ports::ParseLimits};
use readers::LocalParser;
use rustix::process::{Pid, getpriority_process, test_kill_process};

use super::{LIMITS, TempFile, parser_running, read};

/// An executable that runs `script` instead of parsing.
pub(super) fn script(script: &str) -> TempFile {
    let file = TempFile::new(format!("#!/bin/sh\n{script}\n").as_bytes());
    fs::set_permissions(&file.0, fs::Permissions::from_mode(0o700)).unwrap();
    file
}

async fn failure_of(child: &str, limits: ParseLimits) -> Failure {
    let (child, document) = (script(child), TempFile::new(b"text"));
    read(&parser_running(&child.0), &document.0, "", "a.txt", limits).await.unwrap_err()
}

fn is_alive(pid: &str) -> bool {
    pid.trim().parse().ok().and_then(Pid::from_raw).is_some_and(|pid| test_kill_process(pid).is_ok())
}

#[tokio::test]
async fn a_parser_that_cannot_start_is_a_transient_failure() {
    let document = TempFile::new(b"text");
    let failure = read(&parser_running("/nonexistent"), &document.0, "", "a.txt", LIMITS).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::ParserUnavailable, ErrorClass::Transient));
}

#[tokio::test]
async fn a_missing_file_is_a_transient_failure() {
    let parser = parser_running(env!("CARGO_BIN_EXE_app"));
    let failure = read(&parser, "/nonexistent/a.txt".as_ref(), "", "a.txt", LIMITS).await.unwrap_err();
    assert_eq!((failure.code, failure.class), (Code::ParserUnavailable, ErrorClass::Transient));
}

#[tokio::test]
async fn a_child_that_evades_its_limit_of_processor_time_is_killed() {
    let pid_file = TempFile::new(b"");
    let child = format!("echo $$ > {}; while :; do :; done", pid_file.0.display());
    let failure = failure_of(&child, ParseLimits { time: Duration::from_millis(500), ..LIMITS }).await;
    assert_eq!((failure.code, failure.class), (Code::ParseTimeout, ErrorClass::Document));
    let pid = fs::read_to_string(&pid_file.0).unwrap();
    assert!(!pid.is_empty() && !is_alive(&pid), "child {pid} is still running");
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_and_its_document_tried_again() {
    let pid_file = TempFile::new(b"");
    // Waits until the parent closes its stdin.
    let child = format!("echo $$ > {}; cat > /dev/null", pid_file.0.display());
    let failure = failure_of(&child, ParseLimits { time: Duration::from_millis(500), ..LIMITS }).await;
    assert_eq!((failure.code, failure.class), (Code::ParseStalled, ErrorClass::Transient));
    let pid = fs::read_to_string(&pid_file.0).unwrap();
    assert!(!pid.is_empty() && !is_alive(&pid), "child {pid} is still running");
}

#[tokio::test]
async fn a_child_that_crashes_fails_its_document() {
    for child in ["exit 3", "kill -SEGV $$", "kill -ABRT $$"] {
        let failure = failure_of(child, LIMITS).await;
        assert_eq!((failure.code, failure.class), (Code::ParseCrashed, ErrorClass::Document), "{child}");
    }
}

#[tokio::test]
async fn a_child_killed_by_the_system_is_a_transient_failure() {
    let failure = failure_of("kill -KILL $$", LIMITS).await;
    assert_eq!((failure.code, failure.class), (Code::ParseMemory, ErrorClass::Transient));
}

#[tokio::test]
async fn a_child_out_of_memory_or_cpu_time_fails_with_that_code() {
    let failure = failure_of("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", LIMITS).await;
    assert_eq!((failure.code, failure.class), (Code::ParseMemory, ErrorClass::Document));
    assert_eq!(failure_of("kill -XCPU $$", LIMITS).await.code, Code::ParseTimeout);
}

#[tokio::test]
async fn a_child_with_endless_output_is_stopped() {
    let failure = failure_of("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", LIMITS).await;
    assert_eq!(failure.code, Code::ParseCrashed);
    let long_line = "while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";
    let failure = failure_of(long_line, ParseLimits { time: Duration::from_secs(5), ..LIMITS }).await;
    assert_eq!(failure.code, Code::ParseCrashed);
}

#[tokio::test]
async fn the_stderr_of_a_child_is_never_shown() {
    let failure = failure_of("echo 'the secret of the document' >&2; exit 1", LIMITS).await;
    assert!(!failure.message.contains("secret"), "{}", failure.message);
}

#[tokio::test]
async fn dropping_a_parse_kills_its_child() {
    let (pid_file, document) = (TempFile::new(b""), TempFile::new(b"text"));
    let child = script(&format!("echo $$ > {}; while :; do :; done", pid_file.0.display()));
    let parser = parser_running(&child.0);
    let parse = read(&parser, &document.0, "", "a.txt", LIMITS);
    let started = async {
        loop {
            let pid = tokio::fs::read_to_string(&pid_file.0).await.unwrap();
            if pid.ends_with('\n') {
                return pid;
            }
        }
    };
    // Drops the parse as soon as the child runs.
    let pid = tokio::select! {
        answer = parse => panic!("answered: {answer:?}"),
        pid = started => pid,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_alive(&pid) {
        assert!(Instant::now() < deadline, "child {pid} is still running");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_child_that_has_had_its_turn_makes_room_for_another_at_a_lower_priority() {
    let pid_file = TempFile::new(b"");
    // A slow child waits until the parent closes its stdin.
    let child = script(&format!(
        r#"read request
case "$request" in
*slow*) echo $$ > {}; cat > /dev/null ;;
*) printf '{{"parsed":{{"kind":"plain_text","pages":0,"bytes":1,"notices":[]}}}}\nx' ;;
esac"#,
        pid_file.0.display()
    ));
    let cores = std::thread::available_parallelism().unwrap().get();
    let parser = LocalParser::running(child.0.clone(), Vec::new()).with_turns(Duration::from_millis(1), cores);
    let document = TempFile::new(b"text");
    let slow = || read(&parser, &document.0, "text/slow", "a.txt", LIMITS);
    let slow = futures_util::future::join_all((0..cores).map(|_| slow()));
    let quick = async {
        let answer = read(&parser, &document.0, "text/plain", "a.txt", LIMITS).await;
        assert_eq!(answer.unwrap().markdown, "x");
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_lowered = |pid: &str| {
            let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
            pid.is_some_and(|pid| getpriority_process(Some(pid)).is_ok_and(|nice| nice == 5))
        };
        while !is_lowered(&fs::read_to_string(&pid_file.0).unwrap()) {
            assert!(Instant::now() < deadline, "the slow child has its priority yet");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = slow => panic!("answered: {answer:?}"),
        () = quick => {}
    }
}
