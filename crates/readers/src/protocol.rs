//! The messages between parent and child: one JSON line each way, then the markdown.
//!
//! The child reads the request from stdin, answers on stdout and ends. Stdin stays open until then; if it closes, the
//! parent is gone.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use domain::ports::{FileKind, ParseLimits};

/// The longest line that either side reads, in bytes.
pub(super) const MAX_LINE_BYTES: u64 = 64 * 1024;

/// The parent's request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The absolute path of the file.
    pub(super) path: PathBuf,
    /// The declared media type. Hostile.
    pub(super) mime: String,
    /// The declared file name, or its end. Hostile; never used as a path.
    pub(super) filename: String,
    pub(super) limits: Limits,
}

/// [`ParseLimits`] as they are sent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Limits {
    pub(super) max_pages: u32,
    pub(super) memory_bytes: u64,
    pub(super) time_ms: u64,
    pub(super) output_bytes: u64,
}

impl From<ParseLimits> for Limits {
    fn from(limits: ParseLimits) -> Self {
        Self {
            max_pages: limits.max_pages,
            memory_bytes: limits.memory_bytes,
            time_ms: u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX),
            output_bytes: limits.output_bytes,
        }
    }
}

impl Limits {
    /// The CPU time limit, rounded up to the seconds that the kernel counts.
    pub(super) fn cpu_seconds(&self) -> u64 {
        Duration::from_millis(self.time_ms).as_secs().saturating_add(1)
    }

    /// Refuses more pages than allowed.
    pub(super) fn check_pages(&self, pages: usize) -> Result<u32, Fault> {
        let actual = u32::try_from(pages).unwrap_or(u32::MAX);
        if self.max_pages != 0 && actual > self.max_pages {
            return Err(Fault::PageLimit { limit: self.max_pages, actual });
        }
        Ok(actual)
    }

    /// Refuses more text than allowed.
    pub(super) fn check_output(&self, len: usize) -> Result<(), Fault> {
        if len as u64 > self.output_bytes {
            return Err(Fault::OutputLimit { limit_bytes: self.output_bytes });
        }
        Ok(())
    }
}

/// The child's answer. After [`Header::Parsed`] follow `bytes` bytes of markdown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Header {
    Parsed { kind: FileKind, pages: u32, bytes: u64 },
    Failed(Fault),
}

/// A parsed document inside the child.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) kind: FileKind,
    pub(super) pages: u32,
    pub(super) markdown: String,
}

/// `message` as one line.
pub(super) fn to_line<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The child's side: reads the one request.
pub(super) fn read_request(input: impl BufRead) -> io::Result<Request> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

/// The child's side: writes the one answer.
pub(super) fn write_answer(mut output: impl Write, answer: Result<Parsed, Fault>) -> io::Result<()> {
    let (header, markdown) = match answer {
        Ok(Parsed { kind, pages, markdown }) => {
            (Header::Parsed { kind, pages, bytes: markdown.len() as u64 }, markdown)
        }
        Err(fault) => (Header::Failed(fault), String::new()),
    };
    output.write_all(&to_line(&header)?)?;
    output.write_all(markdown.as_bytes())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_an_end_of_line_is_refused() {
        assert!(read_request(&b"{\"path\":\"/x\""[..]).is_err());
        let endless = vec![b'x'; 2 * 64 * 1024];
        assert!(read_request(&endless[..]).is_err());
    }

    #[test]
    fn a_page_limit_of_0_is_no_limit() {
        let limits = Limits { max_pages: 0, memory_bytes: 0, time_ms: 1, output_bytes: 0 };
        assert_eq!(limits.check_pages(1_000_000), Ok(1_000_000));
        let limits = Limits { max_pages: 2, ..limits };
        assert_eq!(limits.check_pages(3), Err(Fault::PageLimit { limit: 2, actual: 3 }));
    }
}
