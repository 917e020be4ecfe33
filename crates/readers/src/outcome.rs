//! Why a child ended without an answer.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::Signal;

use domain::ports::ParseLimits;
use reading::fault::Fault;

/// What the child writes to stderr before PDFium gets a document.
pub(super) const PDF_MARK: &[u8] = b"pdf\n";

/// The fault that `status` means. `stderr` is only searched for what the Rust runtime writes when it aborts. It is never
/// shown, because it may quote the document.
pub(super) fn of(status: ExitStatus, stderr: &[u8], limits: &ParseLimits) -> Fault {
    let says = |words: &str| stderr.windows(words.len()).any(|window| window == words.as_bytes());
    let signal = status.signal().and_then(Signal::from_named_raw);
    match signal {
        Some(Signal::XCPU) => Fault::timeout(limits.time),
        Some(Signal::KILL) => Fault::Killed,
        // PDFium aborts without a word where it gets no memory, and only there.
        Some(Signal::ABORT) if stderr == PDF_MARK => Fault::Memory { limit_bytes: limits.memory_bytes },
        // The exception that tells of it ends in Rust's thread, since PDFium is built without any of its own.
        Some(Signal::ABORT) if stderr.starts_with(PDF_MARK) && says("cannot catch foreign exceptions") => {
            Fault::Memory { limit_bytes: limits.memory_bytes }
        }
        _ if says("memory allocation of") || says("bad_alloc") => Fault::Memory { limit_bytes: limits.memory_bytes },
        _ if says("has overflowed its stack") => Fault::crashed("nested too deeply"),
        _ => Fault::crashed(&status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ParseLimits =
        ParseLimits { max_pages: 0, memory_bytes: 7, time: std::time::Duration::from_millis(9), output_bytes: 0 };
    const ABORT: i32 = 6;

    #[test]
    fn the_exit_status_and_stderr_tell_the_reason() {
        let fault = |raw, words: &str| of(ExitStatus::from_raw(raw), words.as_bytes(), &LIMITS);
        let oom = "memory allocation of 4096 bytes failed\n";
        assert_eq!(fault(ABORT, oom), Fault::Memory { limit_bytes: 7 });
        assert_eq!(fault(ABORT, "pdf\n"), Fault::Memory { limit_bytes: 7 });
        let foreign = "fatal runtime error: Rust cannot catch foreign exceptions, aborting\n";
        assert_eq!(fault(ABORT, &format!("pdf\n{foreign}")), Fault::Memory { limit_bytes: 7 });
        assert!(matches!(fault(ABORT, foreign), Fault::Crashed { .. }));
        assert!(matches!(fault(ABORT, "pdf\nfree(): invalid pointer\n"), Fault::Crashed { .. }));
        assert_eq!(fault(ABORT, "thread 'x' has overflowed its stack\n"), Fault::crashed("nested too deeply"));
        assert_eq!(fault(Signal::XCPU.as_raw(), ""), Fault::Timeout { limit_ms: 9 });
        assert_eq!(fault(Signal::KILL.as_raw(), ""), Fault::Killed);
        assert!(matches!(fault(Signal::SEGV.as_raw(), "secret"), Fault::Crashed { .. }));
        assert!(!fault(1 << 8, "secret").to_string().contains("secret"));
    }
}
