//! The parent's side of one child process: starts it, sends the request, and reads the answer or finds out why there is
//! none.

use std::{ops::ControlFlow, path::Path, process::Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};

use super::{
    outcome,
    protocol::{MAX_LAYOUT_BYTES, MAX_LINE_BYTES, MAX_PAGE_BYTES, Request},
};
use domain::{
    layout::Layout,
    ports::{OcrPage, ParseLimits, ParseWatch, ParsedDocument},
};
use reading::{
    fault::Fault,
    progress::{Header, to_line},
};

/// How much of a child's stderr is read, in bytes: enough for the runtime's sentence about why it aborts.
const MAX_STDERR_BYTES: u64 = 4096;

/// mimalloc reserves address space by the gigabyte before the child can limit it. With steps of this size a limit of
/// 256 MB is enough for a document of 200 pages (measured).
const RESERVE: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "64MiB");
/// Turns on huge pages, which the other roles do without. They save up to a third of the time of long documents
/// (measured).
const HUGE_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "1");

/// A child process and its pipes. Dropping it kills the process and those that it started; the runtime reaps it.
pub(super) struct Running {
    process: Child,
    /// The child leads a group of its own, in which its OCR runs.
    group: Option<Pid>,
    /// The child exits when this closes.
    pub(super) stdin: ChildStdin,
    pub(super) stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Running {
    /// Starts a child by the hidden subcommand `command`, which waits for its request. It inherits nothing but three pipes.
    pub(super) fn start(executable: &Path, command: &str) -> Result<Self, Fault> {
        let mut process = Command::new(executable)
            .arg0("app")
            .arg(command)
            .env_clear()
            .envs([RESERVE, HUGE_PAGES])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        match (process.stdin.take(), process.stdout.take(), process.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => {
                let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
                Ok(Self { process, group, stdin, stdout: BufReader::new(stdout), stderr })
            }
            _ => Err(Fault::unavailable("no pipe")),
        }
    }

    /// The process's id, while it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Sends the request and the `known` pages, and waits for the answer or the child's end. Afterwards the child is gone.
    /// `None` if `watch` has stopped it.
    pub(super) async fn parse(
        &mut self,
        request: &Request,
        known: &[u8],
        watch: &dyn ParseWatch,
    ) -> Result<Option<ParsedDocument>, Fault> {
        let line = to_line(request).map_err(|_encoding| Fault::unavailable("a path that is not text"))?;
        // If the child ended already, its exit status says more than this error.
        let _ = self.stdin.write_all(&line).await;
        let _ = self.stdin.write_all(known).await;
        let answer = match read_answer(&mut self.stdout, &request.limits, watch).await {
            Ok(Answer::Document(document)) => Ok(Some(document)),
            Ok(Answer::Stopped) => Ok(None),
            Ok(Answer::None) => return Err(self.exit_fault(&request.limits).await),
            Err(fault) => Err(fault),
        };
        self.kill().await;
        answer
    }

    /// Kills the process and its group, and reaps it.
    pub(super) async fn kill(&mut self) {
        self.kill_group();
        // The only error is that the process is gone already.
        let _ = self.process.kill().await;
    }

    /// Kills what runs in the group. While one of its processes is there, no other group gets its id.
    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // The only error is that all are gone.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Why the child closed its stdout without an answer.
    pub(super) async fn exit_fault(&mut self, limits: &ParseLimits) -> Fault {
        let mut stderr = Vec::new();
        let _ = (&mut self.stderr).take(MAX_STDERR_BYTES).read_to_end(&mut stderr).await;
        let ended = self.process.wait().await;
        self.kill_group();
        match ended {
            Ok(status) => outcome::of(status, &stderr, limits),
            Err(error) => Fault::unavailable(&error.kind().to_string()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// What came of a child's output.
#[derive(Debug, PartialEq)]
enum Answer {
    Document(ParsedDocument),
    /// The watch has stopped it.
    Stopped,
    /// The output ends too early.
    None,
}

/// The child's answer, after the pages of which it tells.
async fn read_answer(
    mut output: impl AsyncBufRead + Unpin,
    limits: &ParseLimits,
    watch: &dyn ParseWatch,
) -> Result<Answer, Fault> {
    loop {
        let mut line = Vec::new();
        let read = (&mut output).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await;
        match (read, line.last()) {
            (Ok(_), Some(b'\n')) => {}
            (Ok(read), _) if read as u64 == MAX_LINE_BYTES => return Err(invalid_answer()),
            _ => return Ok(Answer::None),
        }
        match serde_json::from_slice(&line) {
            // The child checks this too, but the document may control the child.
            Ok(Header::Parsed { bytes, .. }) if bytes > limits.output_bytes => {
                return Err(Fault::OutputLimit { limit_bytes: limits.output_bytes });
            }
            Ok(Header::Parsed { layout_bytes, .. }) if layout_bytes > MAX_LAYOUT_BYTES => return Err(invalid_answer()),
            Ok(Header::Parsed { kind, pages, bytes, layout_bytes, notices }) => {
                let Some(markdown) = read_bytes(&mut output, bytes).await else { return Ok(Answer::None) };
                let Some(layout) = read_bytes(&mut output, layout_bytes).await else { return Ok(Answer::None) };
                let layout = layout_of(&layout)?;
                let markdown =
                    String::from_utf8(markdown).map_err(|_encoding| Fault::crashed("an answer that is not text"))?;
                return Ok(Answer::Document(ParsedDocument { markdown, pages, kind, notices, layout }));
            }
            Ok(Header::Failed(fault)) => return Err(fault),
            Ok(Header::Page { bytes, .. }) if bytes > MAX_PAGE_BYTES => return Err(invalid_answer()),
            Ok(Header::Page { read, pages, bytes }) => {
                let Some(text) = read_bytes(&mut output, bytes).await else { return Ok(Answer::None) };
                let ocr = (!text.is_empty()).then_some(OcrPage { page: read, text });
                if watch.page(read, pages, ocr).await == ControlFlow::Break(()) {
                    return Ok(Answer::Stopped);
                }
            }
            Err(_) => return Err(invalid_answer()),
        }
    }
}

/// `bytes` bytes; `None` if there are fewer.
async fn read_bytes(output: &mut (impl AsyncBufRead + Unpin), bytes: u64) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let read = output.take(bytes).read_to_end(&mut found).await.ok()?;
    (read as u64 == bytes).then_some(found)
}

/// The layout that the child has sent.
fn layout_of(json: &[u8]) -> Result<Layout, Fault> {
    match json {
        [] => Ok(Layout::default()),
        json => serde_json::from_slice::<Layout>(json).ok().and_then(Layout::checked).ok_or_else(invalid_answer),
    }
}

pub(super) fn invalid_answer() -> Fault {
    Fault::crashed("an answer that makes no sense")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        document::Notice,
        ports::{FileKind, Unwatched},
    };

    const LIMITS: ParseLimits =
        ParseLimits { max_pages: 0, memory_bytes: 1 << 30, time: std::time::Duration::from_secs(1), output_bytes: 10 };

    async fn answer(output: &[u8]) -> Result<Answer, Fault> {
        read_answer(output, &LIMITS, &Unwatched).await
    }

    #[tokio::test]
    async fn an_answer_is_a_header_and_the_text() {
        let document = answer(
            b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":3,\"layout_bytes\":0,\"notices\":[{\"notice\":\"truncated\"}]}}\nabc",
        )
        .await
        .unwrap();
        let notices = vec![Notice::Truncated];
        let layout = Layout::default();
        let expected = ParsedDocument { markdown: "abc".into(), pages: 2, kind: FileKind::Pdf, notices, layout };
        assert_eq!(document, Answer::Document(expected));
    }

    #[tokio::test]
    async fn an_incomplete_answer_is_none() {
        assert_eq!(answer(b"").await, Ok(Answer::None));
        assert_eq!(answer(b"{\"parsed\"").await, Ok(Answer::None));
        assert_eq!(
            answer(b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":9,\"layout_bytes\":0,\"notices\":[]}}\nabc")
                .await,
            Ok(Answer::None)
        );
    }

    #[tokio::test]
    async fn a_child_cannot_send_more_than_the_limit() {
        let fault = answer(
            b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":11,\"layout_bytes\":0,\"notices\":[]}}\nabcdefghijk",
        )
        .await
        .unwrap_err();
        assert_eq!(fault, Fault::OutputLimit { limit_bytes: 10 });
    }

    #[tokio::test]
    async fn a_child_cannot_send_a_layout_that_no_reader_makes() {
        let with = |layout: &str| {
            let header = r#"{"parsed":{"kind":"pdf","pages":2,"bytes":1,"layout_bytes":N,"notices":[]}}"#;
            format!("{}\na{layout}", header.replace('N', &layout.len().to_string()))
        };
        let good = with(r#"{"lines":1,"marks":[[0,1,2,0,0,5000,10000]],"labels":[]}"#);
        let Ok(Answer::Document(document)) = answer(good.as_bytes()).await else { panic!("{good}") };
        assert_eq!(document.layout.places("a")[0].place.right, 0.5);
        for bad in [r#"{"lines":1,"marks":[[0,1,0,0,0,1,1]],"labels":[]}"#, "[]", "x"] {
            assert!(matches!(answer(with(bad).as_bytes()).await, Err(Fault::Crashed { .. })), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_invalid_answer_is_a_crash() {
        assert!(matches!(answer(b"hello\n").await, Err(Fault::Crashed { .. })));
        let latin1 = b"{\"parsed\":{\"kind\":\"pdf\",\"pages\":2,\"bytes\":1,\"layout_bytes\":0,\"notices\":[]}}\n\xff";
        assert!(matches!(answer(latin1).await, Err(Fault::Crashed { .. })));
    }
}
