//! Tesseract, as a process of its own for each page.
//!
//! It inherits the limits of this child on memory, files and output, and gets a limit on processor time for its one page.

use std::{
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::Signal;

use super::{Line, Settings, Trouble, hocr, sureness};
use crate::bitmap::Bitmap;
use reading::fault::{Fault, Named};

/// The most that it may write for one page, in bytes; a page of small print makes 1 MB.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;
/// Below this confidence the page may be turned: it is read again after a look at its direction, which takes half a second
/// that straight pages save.
const UNSURE: u8 = 70;
/// Sets the limit, then becomes the program. A limit above that of this child can't be set, and that one holds.
const LIMITED: &str = "ulimit -S -t \"$1\" 2>/dev/null; shift && exec \"$@\"";

/// The program and how it is called.
pub(super) struct Tesseract<'a> {
    pub(super) program: &'a Path,
    pub(super) data: Option<&'a Path>,
    pub(super) settings: &'a Settings,
}

/// How it looks for text.
#[derive(Clone, Copy)]
enum Layout {
    /// As on an upright page.
    Upright,
    /// In any direction.
    Turned,
}

impl Tesseract<'_> {
    /// Refuses languages whose data it lacks: it would read on in the others without a word.
    pub(super) fn check_languages(&self) -> Result<(), Fault> {
        let unavailable = |why| Fault::OcrEngine { why: Named::new(why) };
        let output = self.command(&["--list-langs"]).stdin(Stdio::null()).output();
        let output = output.map_err(|_error| unavailable("it can't be started"))?;
        if !output.status.success() {
            return Err(unavailable("it finds no language data"));
        }
        let listed = String::from_utf8_lossy(&output.stdout);
        let has = |name: &&str| listed.lines().any(|line| line.trim() == *name);
        let missing: Vec<&str> = self.settings.languages.split('+').filter(|name| !has(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Fault::ocr_language(&missing.join(", "))) }
    }

    /// The lines on `picture`.
    pub(super) fn read(&self, picture: &Bitmap) -> Result<Vec<Line>, Trouble> {
        let upright = picture.to_bmp();
        let mut best = self.run(&upright, Layout::Upright)?;
        // A page without a word is sure.
        let Some(mut sure) = sureness(&best).filter(|sure| *sure < UNSURE) else { return Ok(best) };
        let mut take_surer = |lines: Vec<Line>| {
            if let Some(surer) = sureness(&lines).filter(|surer| *surer > sure) {
                (best, sure) = (lines, surer);
            }
            sure >= UNSURE
        };
        if !take_surer(self.run(&upright, Layout::Turned)?) {
            // Tesseract tells the direction of some hundred letters, not that of a few lines.
            for turn in [2, 1, 3] {
                let lines = self.run(&picture.turned_back(turn).to_bmp(), Layout::Upright)?;
                if take_surer(turned(lines, turn, picture)) {
                    break;
                }
            }
        }
        Ok(best)
    }

    fn run(&self, picture: &[u8], layout: Layout) -> Result<Vec<Line>, Trouble> {
        let mode = match layout {
            Layout::Upright => "3",
            Layout::Turned => "1",
        };
        let arguments = ["stdin", "stdout", "-l", &self.settings.languages, "--psm", mode, "hocr"];
        let mut process = self.command(&arguments).stdin(Stdio::piped()).spawn().map_err(|_error| Trouble::Machine)?;
        let output = exchange(&mut process, picture);
        let status = process.wait().map_err(|_error| Trouble::Machine)?;
        if status.success() {
            return output.and_then(|text| hocr::lines(&text)).ok_or(Trouble::Page);
        }
        Err(trouble(status))
    }

    /// Tesseract under its limit.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let seconds = self.settings.page_cpu.as_secs().max(1).to_string();
        command.args(["-c", LIMITED, "sh", &seconds]).arg(self.program).args(arguments);
        // More threads take more processor time, not less of the clock's: each core has a page.
        command.env_clear().env("OMP_THREAD_LIMIT", "1").stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(data) = self.data {
            command.env("TESSDATA_PREFIX", data);
        }
        command
    }
}

/// The lines of `picture` as they lie on it, from those of the picture that [`Bitmap::turned_back`] made.
fn turned(mut lines: Vec<Line>, turn: u8, picture: &Bitmap) -> Vec<Line> {
    let [width, height] = [picture.width, picture.height].map(|pixels| pixels as f32);
    for line in &mut lines {
        line.turn = (line.turn + turn) % 4;
        for word in &mut line.words {
            let [left, top, right, bottom] = word.rect;
            word.rect = match turn {
                1 => [width - bottom, left, width - top, right],
                2 => [width - right, height - bottom, width - left, height - top],
                _ => [top, height - right, bottom, height - left],
            };
        }
    }
    lines
}

/// Gives the picture, which the program reads to its end first, and takes the answer.
fn exchange(process: &mut Child, picture: &[u8]) -> Option<String> {
    if let Some(mut stdin) = process.stdin.take() {
        // If it ends before, its status says why.
        let _ = stdin.write_all(picture);
    }
    let mut output = Vec::new();
    process.stdout.take()?.take(MAX_OUTPUT_BYTES).read_to_end(&mut output).ok()?;
    String::from_utf8(output).ok()
}

/// Whether the page is at fault. A program that was killed may be the victim of another.
fn trouble(status: ExitStatus) -> Trouble {
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::KILL | Signal::TERM) => Trouble::Machine,
        // The shell could not start it.
        None if matches!(status.code(), Some(126 | 127)) => Trouble::Machine,
        _ => Trouble::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_engine_is_the_machines_fault_and_a_limit_the_pages() {
        let of = |raw| trouble(ExitStatus::from_raw(raw));
        assert_eq!(of(Signal::KILL.as_raw()), Trouble::Machine);
        assert_eq!(of(127 << 8), Trouble::Machine);
        assert_eq!(of(Signal::XCPU.as_raw()), Trouble::Page);
        assert_eq!(of(Signal::ABORT.as_raw()), Trouble::Page);
        assert_eq!(of(1 << 8), Trouble::Page);
    }
}
