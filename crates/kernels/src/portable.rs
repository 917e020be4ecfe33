//! The product without vector instructions of its own: for other CPUs, and the reference of the tests.

use crate::{LANES, OFFSET, Quads, Sums, TILE, Taps};

/// The product. The lanes are the innermost loop, which compilers vectorise.
pub(crate) fn multiply(taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
    for (output, row) in sums.0.iter_mut().enumerate() {
        let mut lanes = [-i32::from(OFFSET) * totals[output]; LANES];
        for (taps, quads) in taps.iter().zip(rows) {
            let [a, b, c, d] = taps[output].map(i32::from);
            for (lane, quad) in lanes.iter_mut().zip(&quads.0) {
                let [e, f, g, h] = quad.to_le_bytes().map(i32::from);
                *lane += a * e + b * f + c * g + d * h;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "the sums are rounded to f32")]
        for (out, lane) in row.iter_mut().zip(lanes) {
            *out = lane as f32;
        }
    }
}
