//! Dense layers in 8-bit integers: weights with a scale an output, activations with a scale a token.
//!
//! A few features of a norm are far larger than the others, and with one scale a token they leave few steps to these. So
//! each feature is multiplied by a factor before it is rounded, and its weights are divided by it ("SmoothQuant", with the
//! norm's own parameters in place of measured activations): on MiniLM the cosine to f32 is .9983 with it, .9974 without.
//!
//! A token's activations lie in one lane of its panel. So its scale is one lane of a row, found and applied without sums
//! within a vector.

use kernels::{Kernel, LANES as KERNEL_LANES, OFFSET, Quads, Sums, TILE as KERNEL_TILE, Taps};
use pulp::{Simd, WithSimd};

use super::{
    math::{abs, gelu_coarse},
    panels::{LANES, PanelSlice, Row, TILE},
    product::{Finish, vectors, vectors_mut},
};

const _: () = assert!(LANES == KERNEL_LANES && TILE == KERNEL_TILE, "the kernels are made for this layout");

/// The greatest magnitude of an 8-bit value.
pub(super) const MOST: f32 = 127.0;
/// Stands for the greatest value of a row of zeros, so that nothing is divided by zero.
pub(super) const LEAST: f32 = 1e-30;
/// 1.5 · 2^23. Added to a value of at most 2^22, it leaves the rounded value in the lowest bits.
pub(super) const MAGIC: f32 = 12_582_912.0;

/// The weights and biases of a dense layer, in tiles.
#[derive(Debug)]
pub(super) struct Linear8 {
    /// For each tile and each four inputs, the weights of the tile's outputs.
    taps: Vec<Taps>,
    tiles: Vec<Tile>,
    /// What each input is multiplied by before it is rounded; the number of inputs is rounded up to a multiple of four.
    factors: Vec<f32>,
}

/// What belongs to the outputs of a tile.
#[derive(Debug, Clone)]
struct Tile {
    totals: [i32; TILE],
    scale: [f32; TILE],
    bias: [f32; TILE],
}

impl Linear8 {
    /// Rounds a row-major matrix `weight` (outputs by inputs) and arranges it in tiles. The last tile, and the last four
    /// inputs, are filled up with zeros. `sizes` are the expected magnitudes of the inputs, or empty.
    pub fn new(weight: &[f32], bias: &[f32], inputs: usize, sizes: &[f32]) -> Self {
        let quads = inputs.div_ceil(4);
        let factors = factors(weight, inputs, sizes);
        let tile_count = bias.len().div_ceil(TILE);
        let mut taps = vec![[[0; 4]; TILE]; tile_count * quads];
        let mut tiles = vec![Tile { totals: [0; TILE], scale: [0.0; TILE], bias: [0.0; TILE] }; tile_count];
        for (output, (row, bias)) in weight.chunks_exact(inputs).zip(bias).enumerate() {
            let (index, lane) = (output / TILE, output % TILE);
            let row: Vec<f32> = row.iter().zip(&factors).map(|(weight, factor)| weight / factor).collect();
            let scale = row.iter().fold(LEAST, |most, x| x.abs().max(most)) / MOST;
            let tile = &mut tiles[index];
            tile.scale[lane] = scale;
            tile.bias[lane] = *bias;
            for (input, weight) in row.iter().enumerate() {
                // The lowest byte; `round_ties_even` is a call of a function on CPUs before SSE4.1, a quarter of the loading.
                let rounded = (weight / scale + MAGIC).to_bits().to_le_bytes()[0].cast_signed();
                taps[index * quads + input / 4][lane][input % 4] = rounded;
                tile.totals[lane] += i32::from(rounded);
            }
        }
        Self { taps, tiles, factors }
    }

    /// As many layers as `parts`, one for each equal share of the outputs, or one if a share is not whole tiles. Each has
    /// factors and scales of its own: queries, keys and values rely on different features.
    pub fn in_parts(weight: &[f32], bias: &[f32], inputs: usize, sizes: &[f32], parts: usize) -> Vec<Self> {
        let parts = if bias.len().is_multiple_of(parts * TILE) { parts } else { 1 };
        let share = bias.len() / parts;
        let both = weight.chunks_exact(share * inputs).zip(bias.chunks_exact(share));
        both.map(|(weight, bias)| Self::new(weight, bias, inputs, sizes)).collect()
    }

    /// The number of outputs, rounded up to whole tiles.
    fn outputs(&self) -> usize {
        self.tiles.len() * TILE
    }
}

/// The factor of each input: the middle between equally large activations and equally large weights.
fn factors(weight: &[f32], inputs: usize, sizes: &[f32]) -> Vec<f32> {
    let mut factors = vec![1.0; inputs.next_multiple_of(4)];
    if sizes.is_empty() {
        return factors;
    }
    let mut most = vec![0.0_f32; inputs];
    for row in weight.chunks_exact(inputs) {
        most.iter_mut().zip(row).for_each(|(most, weight)| *most = weight.abs().max(*most));
    }
    for ((factor, most), size) in factors.iter_mut().zip(most).zip(sizes) {
        let ratio = (most / size).sqrt();
        // A feature without weights, or always zero, has no influence.
        if ratio.is_normal() {
            *factor = ratio;
        }
    }
    factors
}

/// Buffers for one panel. They grow to the widest layer.
#[derive(Debug)]
pub(super) struct QuantisedScratch {
    rows: Vec<Quads>,
    scale: Row,
    sums: Sums,
}

impl Default for QuantisedScratch {
    fn default() -> Self {
        Self { rows: Vec::new(), scale: Row::ZERO, sums: Sums([[0.0; LANES]; TILE]) }
    }
}

/// A dense layer over some panels.
pub(super) struct Dense8<'a> {
    /// The layer, in parts whose outputs follow each other.
    pub parts: &'a [Linear8],
    /// The product.
    pub kernel: Kernel,
    /// Panels, of which the layer's inputs are read.
    pub input: PanelSlice<'a>,
    /// As many panels, of the layer's outputs.
    pub output: &'a mut [Row],
    /// What is done with the output.
    pub finish: Finish,
    /// Buffers.
    pub scratch: &'a mut QuantisedScratch,
}

impl WithSimd for Dense8<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { parts, kernel, input, output, finish, scratch } = self;
        let features = input.features;
        let panels = input.rows.len() / features;
        let outputs = output.len() / panels.max(1);
        for (panel, output) in output.chunks_exact_mut(outputs.max(1)).enumerate() {
            let mut rest = output;
            for part in parts {
                let (output, next) = rest.split_at_mut(part.outputs());
                rest = next;
                let inputs = part.factors.len();
                scratch.rows.resize(inputs / 4, Quads([0; LANES]));
                let rows = &input.rows[panel * features..][..inputs];
                quantise(simd, rows, &part.factors, &mut scratch.rows, &mut scratch.scale);
                part.multiply(simd, kernel, scratch, output, finish);
            }
        }
    }
}

impl Linear8 {
    /// Multiplies the panel in `scratch` by the weights.
    #[inline(always)]
    fn multiply<S: Simd>(
        &self,
        simd: S,
        kernel: Kernel,
        scratch: &mut QuantisedScratch,
        output: &mut [Row],
        finish: Finish,
    ) {
        let quads = scratch.rows.len();
        for (index, tile) in self.tiles.iter().enumerate() {
            let taps = &self.taps[index * quads..][..quads];
            kernel.multiply(taps, &tile.totals, &scratch.rows, &mut scratch.sums);
            store(simd, tile, &scratch.scale, &scratch.sums, &mut output[index * TILE..][..TILE], finish);
        }
    }
}

/// Rounds a panel, each row multiplied by its factor, to 8 bits with a scale a lane.
///
/// No closures here, and no functions of the standard library that take some: a build without link-time optimisation would
/// call them, outside the vector instructions, and be ten times slower.
#[inline(always)]
fn quantise<S: Simd>(simd: S, rows: &[Row], factors: &[f32], quads: &mut [Quads], scale: &mut Row) {
    for first in (0..LANES / S::F32_LANES).step_by(2) {
        let mut most = [simd.splat_f32s(LEAST); 2];
        for (index, row) in rows.iter().enumerate() {
            let (row, factor) = (&vectors::<S>(row)[first..first + 2], simd.splat_f32s(factors[index]));
            most[0] = simd.max_f32s(most[0], abs(simd, simd.mul_f32s(row[0], factor)));
            most[1] = simd.max_f32s(most[1], abs(simd, simd.mul_f32s(row[1], factor)));
        }
        let whole = simd.splat_f32s(MOST);
        let inverse = [simd.div_f32s(whole, most[0]), simd.div_f32s(whole, most[1])];
        let scale = &mut vectors_mut::<S>(scale)[first..first + 2];
        scale[0] = simd.div_f32s(most[0], whole);
        scale[1] = simd.div_f32s(most[1], whole);
        for (quad, out) in quads.iter_mut().enumerate() {
            let (rows, factors) = (&rows[4 * quad..][..4], &factors[4 * quad..][..4]);
            let out = &mut S::as_mut_simd_u32s(&mut out.0).0[first..first + 2];
            for (j, inverse) in inverse.iter().enumerate() {
                let a = round(simd, vectors::<S>(&rows[0])[first + j], factors[0], *inverse);
                let b = round(simd, vectors::<S>(&rows[1])[first + j], factors[1], *inverse);
                let c = round(simd, vectors::<S>(&rows[2])[first + j], factors[2], *inverse);
                let d = round(simd, vectors::<S>(&rows[3])[first + j], factors[3], *inverse);
                let low = simd.or_u32s(a, simd.wrapping_dyn_shl_u32s(b, simd.splat_u32s(8)));
                let high = simd.or_u32s(
                    simd.wrapping_dyn_shl_u32s(c, simd.splat_u32s(16)),
                    simd.wrapping_dyn_shl_u32s(d, simd.splat_u32s(24)),
                );
                out[j] = simd.or_u32s(low, high);
            }
        }
    }
}

/// Rounds `value * factor * inverse`, which is within -127..=127, and adds [`OFFSET`].
#[inline(always)]
fn round<S: Simd>(simd: S, value: S::f32s, factor: f32, inverse: S::f32s) -> S::u32s {
    let magic = simd.splat_f32s(MAGIC + f32::from(OFFSET));
    let value = simd.mul_f32s(value, simd.splat_f32s(factor));
    let rounded = simd.mul_add_e_f32s(value, inverse, magic);
    simd.and_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(0xff))
}

/// Turns the sums of a tile back into f32 and stores them.
#[inline(always)]
fn store<S: Simd>(simd: S, tile: &Tile, scale: &Row, sums: &Sums, output: &mut [Row], finish: Finish) {
    let scale = vectors::<S>(scale);
    for (i, row) in output.iter_mut().enumerate() {
        let (factor, bias) = (simd.splat_f32s(tile.scale[i]), simd.splat_f32s(tile.bias[i]));
        let sums = S::as_simd_f32s(&sums.0[i]).0;
        let row = vectors_mut::<S>(row);
        for j in 0..LANES / S::F32_LANES {
            let value = simd.mul_add_e_f32s(simd.mul_f32s(sums[j], factor), scale[j], bias);
            row[j] = match finish {
                Finish::Set => value,
                Finish::Gelu => gelu_coarse(simd, value),
                Finish::Add => simd.add_f32s(row[j], value),
            };
        }
    }
}
