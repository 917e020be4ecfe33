//! Vectors packed into two bits a component, and the search of the nearest ones by them: docs/decisions/0030.
//!
//! A document's vectors are packed together. What is packed of each is its difference from the document's mean, since the
//! vectors of some models all point about the same way and differ little. The estimate of a cosine is good to a few
//! hundredths: the best by it are to be compared by their real vectors.
//!
//! *Must not know:* the database, models, users.

mod pack;
mod scan;

pub use pack::pack;
pub use scan::{Near, Nearest, Probe};

/// The version of the packing. A higher one makes housekeeping pack every document again.
pub const VERSION: i16 = 1;

/// What the four codes of a component stand for, in units of the vector's own scale: the levels at which a normal
/// distribution loses least (Max, "Quantizing for minimum distortion", 1960).
const LEVELS: [f32; 4] = [-1.51, -0.453, 0.453, 1.51];
/// Where the outer levels begin, in standard deviations (the same source).
const OUTER: f32 = 0.98;
/// Components in a byte.
const PER_BYTE: usize = 4;

/// Bytes of the mean, which come first: a scale and a byte for each component.
pub fn mean_bytes(dim: usize) -> usize {
    4 + dim
}

/// Bytes of a packed vector: a factor, an offset and the codes.
fn vector_bytes(dim: usize) -> usize {
    8 + dim.div_ceil(PER_BYTE)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The vector with length 1; one of zeros stays as it is.
fn normalised(vector: &[f32]) -> Vec<f32> {
    let length = dot(vector, vector).sqrt();
    vector.iter().map(|x| if length > 0.0 { x / length } else { 0.0 }).collect()
}
