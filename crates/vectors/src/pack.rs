//! Packs the vectors of a document.

use crate::{LEVELS, OUTER, PER_BYTE, dot, mean_bytes, normalised, vector_bytes};

/// Packs the vectors of a document, in their order; `None` keeps the place of one that is missing and is never found.
/// Those of another length than `dim` count as missing.
///
/// The mean comes first: its scale, then a signed byte for each component. Then, for each vector: factor, offset, and the
/// codes, four a byte, the first in the lowest bits. With the probe q and the levels L of the codes, the cosine is about
/// `q·mean + factor · q·L + offset`. Numbers are little-endian.
pub fn pack<V: AsRef<[f32]>>(dim: usize, vectors: &[Option<V>]) -> Vec<u8> {
    let vectors: Vec<Option<Vec<f32>>> = vectors
        .iter()
        .map(|vector| vector.as_ref().map(AsRef::as_ref).filter(|vector| vector.len() == dim).map(normalised))
        .collect();
    let mut packed = Vec::with_capacity(mean_bytes(dim) + vectors.len() * vector_bytes(dim));
    let mean = pack_mean(dim, &vectors, &mut packed);
    for vector in &vectors {
        match vector {
            Some(vector) => pack_vector(vector, &mean, &mut packed),
            None => {
                packed.extend(0.0_f32.to_le_bytes());
                packed.extend(f32::NEG_INFINITY.to_le_bytes());
                packed.resize(packed.len() + dim.div_ceil(PER_BYTE), 0);
            }
        }
    }
    packed
}

/// Appends the mean, and returns it as it will be read.
fn pack_mean(dim: usize, vectors: &[Option<Vec<f32>>], packed: &mut Vec<u8>) -> Vec<f32> {
    let mut mean = vec![0.0_f32; dim];
    let mut count = 0.0_f32;
    for vector in vectors.iter().flatten() {
        count += 1.0;
        for (sum, x) in mean.iter_mut().zip(vector) {
            *sum += x;
        }
    }
    mean.iter_mut().for_each(|x| *x /= count.max(1.0));
    let scale = mean.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
    packed.extend(scale.to_le_bytes());
    for x in &mut mean {
        #[expect(clippy::cast_possible_truncation, reason = "it is within -127 and 127")]
        let byte = if scale > 0.0 { (*x / scale).round() as i8 } else { 0 };
        packed.extend(byte.to_le_bytes());
        *x = scale * f32::from(byte);
    }
    mean
}

fn pack_vector(vector: &[f32], mean: &[f32], packed: &mut Vec<u8>) {
    let rest: Vec<f32> = vector.iter().zip(mean).map(|(x, m)| x - m).collect();
    let outer = OUTER * (dot(&rest, &rest) / rest.len() as f32).sqrt();
    let codes: Vec<u8> = rest
        .iter()
        .map(|x| match (*x > 0.0, x.abs() > outer) {
            (false, true) => 0,
            (false, false) => 1,
            (true, false) => 2,
            (true, true) => 3,
        })
        .collect();
    let levels: Vec<f32> = codes.iter().map(|code| LEVELS[usize::from(*code)]).collect();
    // Makes the estimate of rest·rest exact, which takes out the error in its own direction.
    let along = dot(&rest, &levels);
    let factor = if along > 0.0 { dot(&rest, &rest) / along } else { 0.0 };
    let offset = dot(mean, &rest) - factor * dot(mean, &levels);
    packed.extend(factor.to_le_bytes());
    packed.extend(offset.to_le_bytes());
    packed.extend(codes.chunks(PER_BYTE).map(|four| four.iter().rev().fold(0, |byte, code| byte << 2 | code)));
}
