//! The built-in engine, as a process of its own for each page: this same executable, as `app ocr-child`.
//!
//! It inherits the limits of this child on memory, files and output, and takes a limit on processor time for its one page.
//! To load its models takes 40 ms, so that nothing is gained by one process for many pages.

use std::{
    io::{self, BufRead, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{Line, Settings, Trouble};
use crate::bitmap::{Bitmap, Colours};
use reading::fault::{Fault, Named};

/// The hidden subcommand of this executable that reads one picture.
pub const OCR_COMMAND: &str = "ocr-child";
/// The most that it may write for one page, in bytes.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;
/// The largest picture that it takes, in pixels.
const MAX_PIXELS: u64 = 64 << 20;
/// The longest request, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// Tesseract's names of the languages whose letters the models know: those of Latin script, Chinese and Japanese.
const LANGUAGES: &str = "afr aze bos bre cat ceb ces chi_sim chi_sim_vert chi_tra chi_tra_vert cos cym dan deu eng epo est eus fao \
                         fil fin fra frm fry gla gle glg hat hrv hun ind isl ita jav jpn jpn_vert kmr lat lav lit ltz mlt mri msa \
                         nld nor oci osd pol por que ron slk slv spa sqi srp_latn sun swa swe tur uzb vie yor";

/// What the process is asked: the models, the limit, and the picture's size. Its pixels in grey follow.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    models: PathBuf,
    page_cpu: Duration,
    width: u32,
    height: u32,
    dpi: u32,
}

/// What the process is to read.
#[derive(Debug)]
pub struct Picture {
    /// The folder of the models.
    pub models: PathBuf,
    /// Processor time that it may take.
    pub page_cpu: Duration,
    /// The picture.
    pub bitmap: Bitmap,
}

/// The process's side: takes the request.
///
/// # Errors
///
/// It ends too early, or makes no sense.
pub fn read_picture(mut input: impl BufRead) -> io::Result<Picture> {
    let mut line = Vec::new();
    (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    let Request { models, page_cpu, width, height, dpi } = serde_json::from_slice(&line)?;
    let size = u64::from(width) * u64::from(height);
    let mut pixels = Vec::new();
    input.take(size.min(MAX_PIXELS)).read_to_end(&mut pixels)?;
    if size == 0 || pixels.len() as u64 != size {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Picture { models, page_cpu, bitmap: Bitmap { width, height, colours: Colours::Grey, dpi, pixels } })
}

/// Those of `languages`, joined by `+`, that it can't read.
pub(super) fn unknown_languages(languages: &str) -> Vec<&str> {
    let is_known =
        |name: &&str| LANGUAGES.split_ascii_whitespace().any(|known| known == *name) || *name == "script/Latin";
    languages.split('+').filter(|name| !is_known(name)).collect()
}

/// The engine and how it is called.
pub(super) struct Builtin<'a> {
    pub(super) models: &'a Path,
    pub(super) settings: &'a Settings,
}

impl Builtin<'_> {
    /// Refuses a folder without models.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.models.is_dir() { Ok(()) } else { Err(Fault::OcrModels { why: Named::new("they are not there") }) }
    }

    /// The lines on `picture`.
    pub(super) fn read(&self, picture: &Bitmap) -> Result<Vec<Line>, Trouble> {
        let program = if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
        let program: PathBuf = program.map_err(|_error| Trouble::Machine)?;
        // This child's own environment is empty but for settings of its allocator, which this one shares.
        let mut command = Command::new(program);
        command.arg(OCR_COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|_error| Trouble::Machine)?;
        if let Some(stdin) = process.stdin.take() {
            // If it ends before, its status says why.
            let _ = self.send(picture, stdin);
        }
        let mut output = Vec::new();
        let read = process.stdout.take().map(|stdout| stdout.take(MAX_OUTPUT_BYTES).read_to_end(&mut output));
        let status = process.wait().map_err(|_error| Trouble::Machine)?;
        if !status.success() {
            return Err(trouble(status));
        }
        match read {
            Some(Ok(_)) => serde_json::from_slice(&output).map_err(|_encoding| Trouble::Page),
            _ => Err(Trouble::Page),
        }
    }

    fn send(&self, picture: &Bitmap, mut to: impl Write) -> io::Result<()> {
        let Bitmap { width, height, dpi, .. } = *picture;
        let page_cpu = self.settings.page_cpu;
        let request = Request { models: self.models.to_owned(), page_cpu, width, height, dpi };
        to.write_all(&reading::progress::to_line(&request)?)?;
        to.write_all(&picture.to_grey())?;
        to.flush()
    }
}

/// Whether the page is at fault. A process that was killed may be the victim of another.
fn trouble(status: ExitStatus) -> Trouble {
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::KILL | Signal::TERM) => Trouble::Machine,
        _ => Trouble::Page,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_and_the_pixels() {
        let picture = Bitmap { width: 2, height: 1, colours: Colours::Rgb, dpi: 72, pixels: vec![0, 0, 0, 9, 9, 9] };
        let settings = Settings { page_cpu: Duration::from_secs(3), ..Settings::default() };
        let mut sent = Vec::new();
        Builtin { models: Path::new("/models"), settings: &settings }.send(&picture, &mut sent).unwrap();
        let got = read_picture(&sent[..]).unwrap();
        assert_eq!((got.bitmap.pixels, got.bitmap.width, got.bitmap.dpi), (vec![0, 9], 2, 72));
        assert_eq!((got.models, got.page_cpu), (PathBuf::from("/models"), Duration::from_secs(3)));
        sent.pop();
        assert!(read_picture(&sent[..]).is_err());
        assert!(read_picture(&b"{}"[..]).is_err());
    }

    #[test]
    fn languages_of_other_scripts_are_unknown() {
        assert_eq!(unknown_languages("eng+deu+chi_sim+jpn"), [""; 0]);
        assert_eq!(unknown_languages("eng+rus+ara+kor+tha"), ["rus", "ara", "kor", "tha"]);
    }
}
