//! The parent's side of one child process: start it, ask, take its answer or make sense of its end.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{
    CHILD_COMMAND,
    fault::Fault,
    outcome,
    protocol::{self, Header, Limits, MAX_LINE_BYTES, Request},
};
use domain::ports::ParsedDocument;

/// What of a child's stderr is read, in bytes: enough for the sentence in which the runtime says why it aborts.
const LAST_WORDS_BYTES: u64 = 4096;

/// mimalloc takes address space a gigabyte at a time, before the child's limit on it can be set: in steps this small,
/// a limit of 256 MB is enough for a document of 200 pages (measured), and the limit means what it says.
const RESERVE: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "64MiB");
/// Huge pages, which the other roles do without: they spare long documents up to a third of their time (measured).
const HUGE_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "1");

/// A child process and its pipes. Dropped, the process is killed, and reaped by the runtime.
pub(super) struct Running {
    process: Child,
    /// Open as long as the child shall live.
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Running {
    /// Starts a child that waits for its request, with nothing of ours but three pipes.
    pub(super) fn start(executable: &Path) -> Result<Self, Fault> {
        let mut process = Command::new(executable)
            .arg0("app")
            .arg(CHILD_COMMAND)
            .env_clear()
            .envs([RESERVE, HUGE_PAGES])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        match (process.stdin.take(), process.stdout.take(), process.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                Ok(Self { process, stdin, stdout: BufReader::new(stdout), stderr })
            }
            _ => Err(Fault::unavailable("no pipe")),
        }
    }

    /// Asks, and waits for the answer or the end of the child. Either way the child is gone afterwards.
    pub(super) async fn converse(&mut self, request: &Request) -> Result<ParsedDocument, Fault> {
        let line = protocol::to_line(request).map_err(|_encoding| Fault::unavailable("a path that is no text"))?;
        // Where the child ended already, how it ended says more than that it didn't listen.
        let _ = self.stdin.write_all(&line).await;
        let answer = match read_answer(&mut self.stdout, &request.limits).await {
            Ok(Some(document)) => Ok(document),
            Ok(None) => return Err(self.end(&request.limits).await),
            Err(fault) => Err(fault),
        };
        self.kill().await;
        answer
    }

    /// Kills the process, if it still runs, and reaps it.
    pub(super) async fn kill(&mut self) {
        // The one failure is that it is gone already.
        let _ = self.process.kill().await;
    }

    /// Why a child ended that closed its stdout without an answer.
    async fn end(&mut self, limits: &Limits) -> Fault {
        let mut last_words = Vec::new();
        let _ = (&mut self.stderr).take(LAST_WORDS_BYTES).read_to_end(&mut last_words).await;
        match self.process.wait().await {
            Ok(status) => outcome::of(status, &last_words, limits),
            Err(error) => Fault::unavailable(&error.kind().to_string()),
        }
    }
}

/// The child's answer; `None` where its output ends before the answer does.
async fn read_answer(mut output: impl AsyncBufRead + Unpin, limits: &Limits) -> Result<Option<ParsedDocument>, Fault> {
    let mut line = Vec::new();
    let read = (&mut output).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await;
    match (read, line.last()) {
        (Ok(_), Some(b'\n')) => {}
        (Ok(read), _) if read as u64 == MAX_LINE_BYTES => return Err(nonsense()),
        _ => return Ok(None),
    }
    let (kind, pages, bytes) = match serde_json::from_slice(&line) {
        Ok(Header::Parsed { kind, pages, bytes }) => (kind, pages, bytes),
        Ok(Header::Failed(fault)) => return Err(fault),
        Err(_) => return Err(nonsense()),
    };
    // The child has checked this; it may have been taken over since.
    if bytes > limits.output_bytes {
        return Err(Fault::OutputLimit { limit_bytes: limits.output_bytes });
    }
    let mut markdown = Vec::new();
    match output.take(bytes).read_to_end(&mut markdown).await {
        Ok(read) if read as u64 == bytes => {}
        _ => return Ok(None),
    }
    let markdown = String::from_utf8(markdown).map_err(|_encoding| Fault::crashed("an answer that is no text"))?;
    Ok(Some(ParsedDocument { markdown, pages, kind }))
}

fn nonsense() -> Fault {
    Fault::crashed("an answer that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ports::FileKind;

    const LIMITS: Limits = Limits { max_pages: 0, memory_bytes: 1 << 30, time_ms: 1000, output_bytes: 10 };

    async fn answer(output: &[u8]) -> Result<Option<ParsedDocument>, Fault> {
        read_answer(output, &LIMITS).await
    }

    #[tokio::test]
    async fn an_answer_is_a_header_and_the_text() {
        let document = answer(b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":3}}\nabc").await.unwrap().unwrap();
        assert_eq!(document, ParsedDocument { markdown: "abc".into(), pages: 2, kind: FileKind::Pdf });
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        assert_eq!(answer(b"").await, Ok(None));
        assert_eq!(answer(b"{\"parsed\"").await, Ok(None));
        assert_eq!(answer(b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":9}}\nabc").await, Ok(None));
    }

    #[tokio::test]
    async fn a_child_cannot_send_more_than_the_limit() {
        let fault = answer(b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":11}}\nabcdefghijk").await.unwrap_err();
        assert_eq!(fault, Fault::OutputLimit { limit_bytes: 10 });
    }

    #[tokio::test]
    async fn nonsense_is_a_crash() {
        assert!(matches!(answer(b"hello\n").await, Err(Fault::Crashed { .. })));
        let latin1 = b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":1}}\n\xff";
        assert!(matches!(answer(latin1).await, Err(Fault::Crashed { .. })));
    }
}
