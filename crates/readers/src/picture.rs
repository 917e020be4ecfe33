//! A page as a picture, with boxes marked on it. Each is made in a child process of its own, under the same limits as a
//! parse; the process that shows it never opens the file.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    time::timeout,
};

use super::{
    child, detect, library_in,
    protocol::MAX_LINE_BYTES,
    running::{Running, invalid_answer},
    running_executable,
};
use domain::{
    Failure,
    document::PageBox,
    ports::{PagePictures, ParseLimits},
};
use pages::{
    bitmap::{Bitmap, Colours},
    image, pdf,
};
use reading::{fault::Fault, progress::to_line};

/// The hidden subcommand under which the executable runs [`run_picture_child`].
pub const PICTURE_COMMAND: &str = "picture-child";

/// Pixels per inch: an A4 page is 910 pixels wide, enough to read on a screen.
const DPI: u32 = 110;
/// The longest side of a shown picture file, in pixels; a larger one is made smaller.
const MAX_SIDE: u32 = 1600;
/// The largest picture that is taken, in bytes; a page of noise at these dots has 4 MB.
const MAX_PNG_BYTES: u64 = 16 << 20;
/// Processor time of one page; most take a tenth of a second.
const CPU_TIME: Duration = Duration::from_secs(10);
/// Time by the clock, on a busy machine.
const WALL_TIME: Duration = Duration::from_secs(30);
/// Address space of one child.
const MEMORY_BYTES: u64 = 1 << 30;
/// What is left of the blue under a marked place, and of the red and green: yellow, through which the text shows.
const MARK: [u16; 3] = [255, 240, 120];
/// The frame of a marked place.
const FRAME: [u8; 3] = [220, 110, 0];
/// Its width in pixels.
const FRAME_PIXELS: u32 = 2;

/// What the child is to draw.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    path: PathBuf,
    page: u32,
    boxes: Vec<PageBox>,
    pdf_library: Option<PathBuf>,
    limits: ParseLimits,
}

/// The child's answer. After [`Answer::Png`] follow so many bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Png(u64),
    Failed(Fault),
}

/// Draws pages in child processes, as many at a time as there are cores.
#[derive(Debug)]
pub struct PageRenderer {
    executable: PathBuf,
    pdf_libraries: Vec<PathBuf>,
    places: Semaphore,
}

impl PageRenderer {
    /// One whose children run this same executable. The first of `pdf_libraries` that is a file draws PDFs.
    pub fn new(pdf_libraries: Vec<PathBuf>) -> Self {
        Self::running(running_executable(), pdf_libraries)
    }

    /// One whose children run `executable`, the [`PICTURE_COMMAND`] of which is [`run_picture_child`].
    pub fn running(executable: PathBuf, pdf_libraries: Vec<PathBuf>) -> Self {
        Self { executable, pdf_libraries, places: Semaphore::new(super::LocalParser::places()) }
    }

    async fn draw(&self, request: &Request) -> Result<Vec<u8>, Fault> {
        let _place = self.places.acquire().await.map_err(|_closed| Fault::unavailable("closed"))?;
        let mut running = Running::start(&self.executable, PICTURE_COMMAND)?;
        let drawn = timeout(WALL_TIME, running.draw(request)).await;
        running.kill().await;
        drawn.unwrap_or_else(|_late| Err(Fault::timeout(WALL_TIME)))
    }
}

#[async_trait]
impl PagePictures for PageRenderer {
    async fn picture(&self, path: &Path, page: u32, boxes: &[PageBox]) -> Result<Vec<u8>, Failure> {
        // The child's working directory is `/`.
        let path = std::path::absolute(path).map_err(|error| Fault::unavailable(&error.kind().to_string()))?;
        let limits =
            ParseLimits { max_pages: 0, memory_bytes: MEMORY_BYTES, time: CPU_TIME, output_bytes: MAX_PNG_BYTES };
        let request =
            Request { path, page, boxes: boxes.to_vec(), pdf_library: library_in(&self.pdf_libraries), limits };
        Ok(self.draw(&request).await?)
    }
}

impl Running {
    /// Sends the request and waits for the picture or the child's end.
    async fn draw(&mut self, request: &Request) -> Result<Vec<u8>, Fault> {
        let line = to_line(request).map_err(|_encoding| Fault::unavailable("a path that is not text"))?;
        // If the child ended already, its exit status says more than this error.
        let _ = self.stdin.write_all(&line).await;
        let mut head = Vec::new();
        let read = (&mut self.stdout).take(MAX_LINE_BYTES).read_until(b'\n', &mut head).await;
        if read.is_err() || head.last() != Some(&b'\n') {
            return Err(self.exit_fault(&request.limits).await);
        }
        let bytes = match serde_json::from_slice(&head) {
            Ok(Answer::Png(bytes)) if bytes <= MAX_PNG_BYTES => bytes,
            Ok(Answer::Failed(fault)) => return Err(fault),
            Ok(Answer::Png(_)) | Err(_) => return Err(invalid_answer()),
        };
        let mut png = Vec::new();
        match (&mut self.stdout).take(bytes).read_to_end(&mut png).await {
            Ok(read) if read as u64 == bytes => Ok(png),
            _ => Err(self.exit_fault(&request.limits).await),
        }
    }
}

/// Runs the child process, `app picture-child`, which draws one page and ends.
///
/// Stdin and stdout carry a private protocol. Exits with 0 after any answer, and with 1 if it cannot read the request
/// or write the answer.
pub fn run_picture_child() -> ExitCode {
    child::prepare();
    let Ok(request) = read_request(io::stdin().lock()) else { return ExitCode::FAILURE };
    if child::exit_with_parent().is_err() {
        return ExitCode::FAILURE;
    }
    let limits = request.limits;
    let drawn = child::with_limits(&limits, move || draw(&request));
    match write_answer(io::stdout().lock(), drawn) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn read_request(input: impl BufRead) -> io::Result<Request> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

fn write_answer(mut output: impl Write, drawn: Result<Vec<u8>, Fault>) -> io::Result<()> {
    let (answer, png) = match drawn {
        Ok(png) => (Answer::Png(png.len() as u64), png),
        Err(fault) => (Answer::Failed(fault), Vec::new()),
    };
    output.write_all(&to_line(&answer)?)?;
    output.write_all(&png)?;
    output.flush()
}

fn draw(request: &Request) -> Result<Vec<u8>, Fault> {
    let bytes = child::read(&request.path, &request.limits)?;
    let mut bitmap = match detect::picture_kind(&bytes) {
        Some(kind) => shown(image::picture(kind, &bytes, request.page).ok_or(Fault::Corrupt)?),
        None => pdf::picture(&bytes, request.pdf_library.as_deref(), request.page, DPI)?,
    };
    for place in request.boxes.iter().filter(|place| place.page == request.page) {
        mark(&mut bitmap, place);
    }
    png_of(&bitmap).map_err(|_encoding| Fault::crashed("a picture"))
}

/// A grey picture in colours, in which places can be marked, and no larger than a page on a screen.
fn shown(bitmap: Bitmap) -> Bitmap {
    let by = bitmap.width.max(bitmap.height).div_ceil(MAX_SIDE).max(1);
    let (width, height) = (bitmap.width / by, bitmap.height / by);
    let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
    for row in 0..height {
        for column in 0..width {
            let part = (0..by * by).map(|at| {
                let (x, y) = (column * by + at % by, row * by + at / by);
                bitmap.pixels.get(y as usize * bitmap.width as usize + x as usize).map_or(0, |grey| u32::from(*grey))
            });
            let grey = u8::try_from(part.sum::<u32>() / (by * by)).unwrap_or(u8::MAX);
            pixels.extend([grey; 3]);
        }
    }
    Bitmap { width, height, colours: Colours::Rgb, pixels, ..bitmap }
}

/// Marks a place like a highlighter, with a frame.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "edges are parts of a picture of some thousand pixels, and a float beyond them saturates"
)]
fn mark(bitmap: &mut Bitmap, place: &PageBox) {
    if bitmap.colours != Colours::Rgb {
        return;
    }
    let pixel = |edge: f32, size: u32| ((edge.clamp(0.0, 1.0) * size as f32).round() as u32).min(size);
    let (left, right) = (pixel(place.left, bitmap.width), pixel(place.right, bitmap.width));
    let (top, bottom) = (pixel(place.top, bitmap.height), pixel(place.bottom, bitmap.height));
    let frame = |at: u32, first: u32, past: u32| at < first + FRAME_PIXELS || at + FRAME_PIXELS >= past;
    for row in top..bottom {
        for column in left..right {
            let at = (row as usize * bitmap.width as usize + column as usize) * 3;
            let Some(rgb) = bitmap.pixels.get_mut(at..at + 3) else { return };
            if frame(row, top, bottom) || frame(column, left, right) {
                rgb.copy_from_slice(&FRAME);
            } else {
                for (part, mark) in rgb.iter_mut().zip(MARK) {
                    *part = (u16::from(*part) * mark / 255) as u8;
                }
            }
        }
    }
}

fn png_of(bitmap: &Bitmap) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, bitmap.width, bitmap.height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_color(match bitmap.colours {
        Colours::Grey => png::ColorType::Grayscale,
        Colours::Rgb => png::ColorType::Rgb,
    });
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header()?.write_image_data(&bitmap.pixels)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_grey_picture_becomes_smaller_and_takes_marks() {
        let (width, height) = (MAX_SIDE + 1, 2);
        let pixels = (0..width * height).map(|at| if at % 2 == 0 { 200 } else { 100 }).collect();
        let small = shown(Bitmap { width, height, colours: Colours::Grey, dpi: 0, pixels });
        assert_eq!((small.width, small.height, small.colours), (width / 2, 1, Colours::Rgb));
        assert!(small.pixels.iter().all(|part| *part == 150));
        let same = shown(Bitmap { width: 1, height: 1, colours: Colours::Grey, dpi: 0, pixels: vec![7] });
        assert_eq!(same.pixels, [7, 7, 7]);
    }

    #[test]
    fn a_mark_has_a_frame_and_lets_the_text_through() {
        let mut bitmap =
            Bitmap { width: 20, height: 10, colours: Colours::Rgb, dpi: DPI, pixels: vec![255; 20 * 10 * 3] };
        bitmap.pixels[(5 * 20 + 10) * 3..][..3].fill(0);
        mark(&mut bitmap, &PageBox { page: 1, left: 0.25, top: 0.0, right: 0.75, bottom: 0.9 });
        let pixel = |column: usize, row: usize| -> [u8; 3] {
            bitmap.pixels[(row * 20 + column) * 3..][..3].try_into().unwrap()
        };
        assert_eq!((pixel(5, 0), pixel(14, 8), pixel(6, 4)), (FRAME, FRAME, FRAME));
        assert_eq!((pixel(8, 4), pixel(10, 5)), ([255, 240, 120], [0, 0, 0]));
        assert_eq!((pixel(4, 4), pixel(15, 4), pixel(8, 9)), ([255; 3], [255; 3], [255; 3]));
        let png = png_of(&bitmap).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        // Edges that a document made up.
        for edge in [f32::NAN, f32::INFINITY, -5.0] {
            mark(&mut bitmap, &PageBox { page: 1, left: edge, top: edge, right: edge, bottom: 2.0 });
        }
    }
}
