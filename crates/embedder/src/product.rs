//! The matrix product, and dense layers, which use it.
//!
//! Fast loops avoid `zip` and other functions of the standard library that are not marked for inlining: a build without
//! link-time optimisation would call them in every iteration, and not vectorise the loop.

use pulp::{Simd, WithSimd};

use super::{
    math::gelu,
    panels::{LANES, Linear, PanelSlice, Row, TILE},
};

/// The vectors of a row.
#[inline(always)]
pub(super) fn vectors<S: Simd>(row: &Row) -> &[S::f32s] {
    S::as_simd_f32s(&row.0).0
}

/// The vectors of a row, to write.
#[inline(always)]
pub(super) fn vectors_mut<S: Simd>(row: &mut Row) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(&mut row.0).0
}

/// Sums `taps[k][i] * rows[k]` over `k` for the `W` outputs `i` of a tile. `store` gets each output's index,
/// the index of the vector within its row, and the sum. `HALF` is half of `W`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const W: usize, const HALF: usize>(
    simd: S,
    taps: &[[f32; W]],
    rows: &[Row],
    store: impl FnMut(usize, usize, S::f32s),
) {
    // As many sums as fit in the registers beside two vectors of a row and one tap.
    if S::REGISTER_COUNT >= 32 {
        multiply_blocks::<S, W, W, 2>(simd, taps, rows, store);
    } else {
        multiply_blocks::<S, W, HALF, 2>(simd, taps, rows, store);
    }
}

/// [`multiply`] in blocks of `M` outputs by `N` vectors, so that the sums of a block stay in registers.
#[inline(always)]
fn multiply_blocks<S: Simd, const W: usize, const M: usize, const N: usize>(
    simd: S,
    taps: &[[f32; W]],
    rows: &[Row],
    mut store: impl FnMut(usize, usize, S::f32s),
) {
    let rows = &rows[..taps.len()];
    for first_vector in (0..LANES / S::F32_LANES).step_by(N) {
        for first_output in (0..W).step_by(M) {
            let mut sums = [[simd.splat_f32s(0.0); N]; M];
            for (k, taps) in taps.iter().enumerate() {
                let row = &vectors::<S>(&rows[k])[first_vector..first_vector + N];
                let taps = &taps[first_output..first_output + M];
                for (i, sums) in sums.iter_mut().enumerate() {
                    let tap = simd.splat_f32s(taps[i]);
                    for (j, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.mul_add_e_f32s(tap, row[j], *sum);
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, sum) in sums.iter().enumerate() {
                    store(first_output + i, first_vector + j, *sum);
                }
            }
        }
    }
}

/// Inputs that are summed at a time: this part of a panel stays in the first-level cache while the tiles change.
const DEPTH: usize = 384;
/// Tiles that are used at a time: they stay in the second-level cache while the panels change.
const TILES: usize = 8;

/// What is done with a dense layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// It replaces the old values.
    Set,
    /// GELU is applied to it, then it replaces the old values.
    Gelu,
    /// It is added to the old values: the residual connection.
    Add,
}

/// A dense layer over some panels.
pub(super) struct Dense<'a> {
    /// The layer.
    pub layer: &'a Linear,
    /// Panels, of which the first `layer.inputs` rows are read.
    pub input: PanelSlice<'a>,
    /// As many panels, of `layer.outputs()` rows.
    pub output: &'a mut [Row],
    /// What is done with the output.
    pub finish: Finish,
}

impl WithSimd for Dense<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, input, output, finish } = self;
        let inputs = layer.inputs;
        let outputs = layer.outputs();
        for first in (0..inputs).step_by(DEPTH) {
            let depth = DEPTH.min(inputs - first);
            let part = Part {
                keep: first > 0 || finish == Finish::Add,
                gelu: first + depth == inputs && finish == Finish::Gelu,
            };
            for first_tile in (0..layer.bias.len()).step_by(TILES) {
                let last_tile = layer.bias.len().min(first_tile + TILES);
                for (panel, output) in output.chunks_exact_mut(outputs).enumerate() {
                    let input = &input.rows[panel * input.features + first..][..depth];
                    for tile in first_tile..last_tile {
                        let taps = &layer.tiles[tile * inputs + first..][..depth];
                        let bias = if first == 0 { &layer.bias[tile] } else { &[0.0; TILE] };
                        part.run(simd, taps, bias, input, &mut output[tile * TILE..][..TILE]);
                    }
                }
            }
        }
    }
}

/// What is done with the sums over some of the inputs.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// They are added to the old values.
    keep: bool,
    /// They are the last ones, and GELU is applied to the result.
    gelu: bool,
}

impl Part {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S, taps: &[[f32; TILE]], bias: &[f32; TILE], input: &[Row], output: &mut [Row]) {
        multiply::<S, TILE, { TILE / 2 }>(simd, taps, input, |i, j, sum| {
            let sum = simd.add_f32s(sum, simd.splat_f32s(bias[i]));
            let out = &mut vectors_mut::<S>(&mut output[i])[j];
            *out = if self.keep { simd.add_f32s(*out, sum) } else { sum };
        });
        if self.gelu {
            for row in output {
                for vector in vectors_mut::<S>(row) {
                    *vector = gelu(simd, *vector);
                }
            }
        }
    }
}
