//! The built-in OCR: finds the lines of text on a picture and reads them, with PP-OCR's small models on RTen.
//!
//! `detector` finds lines, `strips` makes slanted rectangles of what it marks, `crop` cuts them out, and `recognizer` reads them.
//!
//! *Must not know:* documents, formats, processes, settings. A picture goes in, lines of words come out.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places on a picture are far below the limits of their types, and a float beyond them saturates"
)]

mod crop;
mod detector;
mod directions;
mod recognizer;
mod strips;

use std::{path::Path, sync::Arc};

use rten::{Model, ModelOptions, RunOptions, ThreadPool};

use crop::Grey;
use detector::Detector;
use directions::Directions;
use pages::{bitmap::Bitmap, ocr::Line};
use recognizer::Recognizer;

/// The files of the models, as their package has them: finding, reading, and the signs that can be read.
pub const MODEL_FILES: [&str; 3] = ["PP-OCRv6_det_small.rten", "PP-OCRv6_rec_small.rten", "ppocrv6_dict.txt"];

/// Why the engine can't read.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A model is missing or is another one: fetch it again.
    #[error("{0} can't be loaded")]
    Model(&'static str),
    /// A model refused a picture. Another picture may do.
    #[error("a model broke on the picture")]
    Picture,
}

/// Finds and reads lines. One thread works.
pub struct Engine {
    detector: Detector,
    recognizer: Recognizer,
}

impl Engine {
    /// Loads the [`MODEL_FILES`] of `folder`; 31 MB.
    ///
    /// # Errors
    ///
    /// One is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        let [finding, reading, signs] = MODEL_FILES;
        let runner = Runner(Arc::new(ThreadPool::with_num_threads(1)));
        let signs_text = std::fs::read_to_string(folder.join(signs)).map_err(|_error| EngineError::Model(signs))?;
        Ok(Self {
            detector: Detector::new(load(folder, finding)?, runner.clone()),
            recognizer: Recognizer::new(load(folder, reading)?, &signs_text, runner)
                .ok_or(EngineError::Model(reading))?,
        })
    }

    /// The lines on `picture`, from top to bottom.
    ///
    /// # Errors
    ///
    /// A model broke on it.
    pub fn read(&self, picture: &Bitmap) -> Result<Vec<Line>, EngineError> {
        let grey = Grey::of(picture);
        let mut strips = self.detector.find(&grey, picture.dpi)?;
        // The longest say most about which way the text runs.
        strips.sort_by(|a, b| b.long().total_cmp(&a.long()));
        let mut directions = Directions::default();
        let mut lines = Vec::new();
        for strip in &strips {
            lines.extend(directions.read(strip, |turn| self.recognizer.read(&grey, strip, turn))?);
        }
        let top = |line: &Line| line.words.first().map_or((0.0, 0.0), |word| (word.rect[1], word.rect[0]));
        lines.sort_by(|a, b| top(a).0.total_cmp(&top(b).0).then(top(a).1.total_cmp(&top(b).1)));
        Ok(lines)
    }
}

fn load(folder: &Path, name: &'static str) -> Result<Model, EngineError> {
    let mut bytes = std::fs::read(folder.join(name)).map_err(|_error| EngineError::Model(name))?;
    flush(&mut bytes);
    ModelOptions::with_all_ops().load(bytes).map_err(|_error| EngineError::Model(name))
}

/// Runs models on one thread: each core has a page of its own.
#[derive(Clone)]
struct Runner(Arc<ThreadPool>);

impl Runner {
    fn options(&self) -> Option<RunOptions> {
        Some(RunOptions::default().with_thread_pool(Some(Arc::clone(&self.0))))
    }
}

/// The least weight that matters.
const LEAST_WEIGHT: f32 = 1e-12;

/// Makes weights next to zero zero. A tenth of those that find lines are below 1e-38, with which processors reckon fifty times as
/// slowly.
fn flush(model: &mut [u8]) {
    // The header: "RTEN", a version, and where the graph and the weights begin.
    let Some(begin) = model.get(24..32).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes) else { return };
    let weights = usize::try_from(begin).ok().and_then(|begin| model.get_mut(begin..)).unwrap_or_default();
    for bytes in weights.as_chunks_mut::<4>().0 {
        if f32::from_le_bytes(*bytes).abs() < LEAST_WEIGHT {
            *bytes = [0; 4];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_next_to_zero_are_zero_and_the_graph_stays() {
        let mut model = [b"RTEN".to_vec(), vec![1; 20], 32_u64.to_le_bytes().to_vec()].concat();
        let head = model.clone();
        for weight in [0.5_f32, 1e-40, -3e-14, -2.0] {
            model.extend(weight.to_le_bytes());
        }
        flush(&mut model);
        let weights: Vec<f32> = model[32..].as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!((&model[..32], &weights[..]), (&head[..], &[0.5, 0.0, 0.0, -2.0][..]));
        flush(&mut model[..10]);
    }

    #[test]
    fn a_model_that_is_missing_is_named() {
        let error = Engine::open(Path::new("/nowhere")).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("ppocrv6_dict.txt can't be loaded"));
    }
}
