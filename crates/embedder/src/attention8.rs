//! Self-attention in 8-bit integers, for one text and one head at a time, as in [`attention`](super::attention).
//!
//! A query and a key have a scale each, so that their product is one of whole numbers and two factors, and a feature of the
//! values has one scale over the text's keys. A weight of the softmax is two bytes, where 255 · 256 stands for the query's
//! largest: in one byte the many small weights of a long text would round to nothing (MiniLM's cosine to f32 fell from .9977
//! to .9961 over five languages). The sum of a query's weights comes out of the same product, as that of a feature whose
//! values are all 1.

#![expect(
    clippy::needless_range_loop,
    reason = "one index runs through several arrays; iterators are not always inlined into code for vectors"
)]

use kernels::{Kernel, OFFSET, Quads, Sums, Taps};
use pulp::{Simd, WithSimd};

use super::{
    math::{abs, exp2_coarse},
    panels::{LANES, Panels, Row, TILE},
    product::{vectors, vectors_mut},
    quantised::{LEAST, MAGIC, MOST},
};

/// Where a byte lies in a word of four.
const SHIFTS: [u32; 4] = [0, 8, 16, 24];
/// Words of four weights for a tile of keys.
const WORDS: usize = TILE / 4;
/// The base 2 logarithm of 255 · 256, the largest weight.
const LARGEST_WEIGHT: f32 = 15.994_353;
/// 2 to this is rounded to 0.
const SMALLEST_WEIGHT: f32 = -8.0;

/// What belongs to the features of a tile of values: the sums of each feature's values, and the scales.
#[derive(Debug, Clone)]
struct ValueTile {
    totals: [i32; TILE],
    scale: [f32; TILE],
}

/// Buffers for one head. They grow to the longest text so far.
#[derive(Debug, Default)]
pub(super) struct Attention8Scratch {
    /// The queries or keys of a panel, four features side by side.
    quads: Vec<Quads>,
    /// The keys in tiles: for each tile and each four features, those of the tile's keys.
    keys: Vec<Taps>,
    key_totals: Vec<[i32; TILE]>,
    key_scales: Vec<f32>,
    /// One feature of the values.
    line: Vec<f32>,
    /// The values in tiles: for each tile of features and each four keys, the values of the tile's features.
    values: Vec<Taps>,
    value_tiles: Vec<ValueTile>,
    /// For each tile of keys, the products with the queries of a panel.
    scores: Vec<Sums>,
    /// The weights of a panel's queries, four keys side by side: the high bytes, then the low ones.
    weights: Vec<Quads>,
    mixed: Vec<Sums>,
}

/// Self-attention of one text.
pub(super) struct Attention8<'a> {
    /// Queries, keys and values: `3 * heads * head_dim` features. The queries are scaled so that a weight is
    /// 2^(query · key), not e^(query · key).
    pub qkv: &'a Panels,
    /// The output: `heads * head_dim` features.
    pub context: &'a mut Panels,
    /// The text's first token.
    pub first: usize,
    /// The number of its tokens, at least one.
    pub len: usize,
    /// The number of heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// The product.
    pub kernel: Kernel,
    /// Buffers.
    pub scratch: &'a mut Attention8Scratch,
}

impl WithSimd for Attention8<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for head in 0..self.heads {
            self.quantise_keys(simd, head);
            self.quantise_values(simd, head);
            // A panel may hold tokens of other texts, too. Their lanes are computed, and not written.
            for panel in self.first / LANES..=(self.first + self.len - 1) / LANES {
                let scale = self.score(simd, head, panel);
                self.weigh(simd, &scale);
                self.mix(simd, head, panel);
            }
        }
    }
}

impl Attention8<'_> {
    /// The rows of a head's queries (`part` 0), keys (1) or values (2) in a panel.
    #[inline(always)]
    fn rows(&self, part: usize, head: usize, panel: usize) -> &[Row] {
        &self.qkv.slice(panel, 1).rows[(part * self.heads + head) * self.head_dim..][..self.head_dim]
    }

    /// Rounds a head's keys and arranges them in tiles. The last tile is filled up with zeros.
    #[inline(always)]
    fn quantise_keys<S: Simd>(&mut self, simd: S, head: usize) {
        let quads = self.head_dim.div_ceil(4);
        let tiles = self.len.div_ceil(TILE);
        let mut scratch = std::mem::take(self.scratch);
        scratch.quads.resize(quads, Quads([0; LANES]));
        scratch.keys.resize(tiles * quads, [[0; 4]; TILE]);
        scratch.keys[(tiles - 1) * quads..].fill([[0; 4]; TILE]);
        scratch.key_totals.resize(tiles, [0; TILE]);
        scratch.key_scales.clear();
        scratch.key_scales.resize(tiles * TILE, 0.0);
        let (mut scale, mut totals) = (Row::ZERO, Quads([0; LANES]));
        let mut key = 0;
        while key < self.len {
            let (panel, lane) = ((self.first + key) / LANES, (self.first + key) % LANES);
            quantise_head(simd, self.rows(1, head, panel), 0, &mut scratch.quads, &mut scale, &mut totals);
            for lane in lane..LANES.min(lane + self.len - key) {
                let (tile, at) = (key / TILE, key % TILE);
                scratch.key_scales[key] = scale.0[lane];
                scratch.key_totals[tile][at] = totals.0[lane].cast_signed();
                let taps = &mut scratch.keys[tile * quads..][..quads];
                for quad in 0..quads {
                    taps[quad][at] = signed(scratch.quads[quad].0[lane]);
                }
                key += 1;
            }
        }
        *self.scratch = scratch;
    }

    /// Rounds a head's values and arranges them in tiles, with a feature behind them that is 1 for each key.
    #[inline(always)]
    fn quantise_values<S: Simd>(&mut self, simd: S, head: usize) {
        let Attention8Scratch { line, values, value_tiles, .. } = &mut *self.scratch;
        let words = self.len.div_ceil(4);
        let tiles = (self.head_dim + 1).div_ceil(TILE);
        values.resize(tiles * words, [[0; 4]; TILE]);
        value_tiles.resize(tiles, ValueTile { totals: [0; TILE], scale: [0.0; TILE] });
        line.clear();
        line.resize(self.len.next_multiple_of(LANES), 0.0);
        for dim in 0..=self.head_dim {
            if dim < self.head_dim {
                self.qkv.read((2 * self.heads + head) * self.head_dim + dim, self.first, &mut line[..self.len]);
            } else {
                line[..self.len].fill(1.0);
            }
            let (tile, at) = (dim / TILE, dim % TILE);
            let taps = &mut values[tile * words..][..words];
            let vectors = S::as_simd_f32s(line).0;
            let mut most = simd.splat_f32s(LEAST);
            for vector in vectors {
                most = simd.max_f32s(most, abs(simd, *vector));
            }
            // The last feature stays as it is.
            let most = if dim < self.head_dim { simd.reduce_max_f32s(most) } else { MOST };
            let (inverse, magic) = (simd.splat_f32s(MOST / most), simd.splat_f32s(MAGIC));
            let mut total = 0;
            for first in (0..words).step_by(LANES / 4) {
                let mut lanes = Quads([0; LANES]);
                let rounded = S::as_mut_simd_u32s(&mut lanes.0).0;
                for (j, rounded) in rounded.iter_mut().enumerate() {
                    let vector = vectors[first * 4 / S::F32_LANES + j];
                    *rounded = simd.transmute_u32s_f32s(simd.mul_add_e_f32s(vector, inverse, magic));
                }
                let mut bytes = [0_u8; LANES];
                for lane in 0..LANES {
                    bytes[lane] = lanes.0[lane].to_le_bytes()[0];
                }
                for byte in bytes {
                    total += i32::from(byte.cast_signed());
                }
                for (word, taps) in taps[first..words.min(first + LANES / 4)].iter_mut().enumerate() {
                    let bytes = &bytes[4 * word..][..4];
                    taps[at] = signed(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                }
            }
            value_tiles[tile].totals[at] = total;
            value_tiles[tile].scale[at] = most / MOST;
        }
    }

    /// Multiplies the queries of a panel by the keys. Returns the queries' scales.
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, head: usize, panel: usize) -> Row {
        let mut scratch = std::mem::take(self.scratch);
        let quads = scratch.quads.len();
        let (mut scale, mut totals) = (Row::ZERO, Quads([0; LANES]));
        quantise_head(simd, self.rows(0, head, panel), OFFSET, &mut scratch.quads, &mut scale, &mut totals);
        let tiles = scratch.key_totals.len();
        scratch.scores.resize(tiles, Sums([[0.0; LANES]; TILE]));
        for tile in 0..tiles {
            let taps = &scratch.keys[tile * quads..][..quads];
            self.kernel.multiply(taps, &scratch.key_totals[tile], &scratch.quads, &mut scratch.scores[tile]);
        }
        *self.scratch = scratch;
        scale
    }

    /// Computes the weights from the scores.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, scale: &Row) {
        let Attention8Scratch { scores, weights, key_scales, .. } = &mut *self.scratch;
        weights.resize(2 * scores.len() * WORDS, Quads([0; LANES]));
        let (highs, lows) = weights.split_at_mut(scores.len() * WORDS);
        let magic = simd.splat_f32s(MAGIC);
        let smallest = simd.splat_f32s(SMALLEST_WEIGHT);
        let byte = simd.splat_u32s(0xff);
        for first in (0..LANES / S::F32_LANES).step_by(2) {
            let mut largest = [simd.splat_f32s(f32::MIN); 2];
            for (tile, sums) in scores.iter().enumerate() {
                let scales = &key_scales[tile * TILE..][..TILE];
                for key in 0..TILE.min(self.len - tile * TILE) {
                    let sums = &S::as_simd_f32s(&sums.0[key]).0[first..first + 2];
                    let scale = simd.splat_f32s(scales[key]);
                    largest[0] = simd.max_f32s(largest[0], simd.mul_f32s(sums[0], scale));
                    largest[1] = simd.max_f32s(largest[1], simd.mul_f32s(sums[1], scale));
                }
            }
            for j in 0..2 {
                let query = vectors::<S>(scale)[first + j];
                let above = simd.sub_f32s(simd.splat_f32s(LARGEST_WEIGHT), simd.mul_f32s(largest[j], query));
                for (tile, sums) in scores.iter().enumerate() {
                    let scales = &key_scales[tile * TILE..][..TILE];
                    for word in 0..WORDS {
                        let mut words = [simd.splat_u32s(0); 2];
                        for key in 0..4 {
                            let sum = S::as_simd_f32s(&sums.0[4 * word + key]).0[first + j];
                            let factor = simd.mul_f32s(query, simd.splat_f32s(scales[4 * word + key]));
                            let exponent = simd.max_f32s(simd.mul_add_e_f32s(sum, factor, above), smallest);
                            let rounded = simd.add_f32s(exp2_coarse(simd, exponent), magic);
                            let rounded = simd.transmute_u32s_f32s(rounded);
                            let high = simd.wrapping_dyn_shr_u32s(rounded, simd.splat_u32s(8));
                            let shift = simd.splat_u32s(SHIFTS[key]);
                            for (word, half) in words.iter_mut().zip([high, rounded]) {
                                let half = simd.wrapping_dyn_shl_u32s(simd.and_u32s(half, byte), shift);
                                *word = simd.or_u32s(*word, half);
                            }
                        }
                        let at = tile * WORDS + word;
                        S::as_mut_simd_u32s(&mut highs[at].0).0[first + j] = words[0];
                        S::as_mut_simd_u32s(&mut lows[at].0).0[first + j] = words[1];
                    }
                }
            }
        }
    }

    /// Sums the values by the weights, and writes the sums to the text's tokens in a panel of the context.
    #[inline(always)]
    fn mix<S: Simd>(&mut self, simd: S, head: usize, panel: usize) {
        let Attention8Scratch { values, value_tiles, weights, mixed, .. } = &mut *self.scratch;
        let words = self.len.div_ceil(4);
        mixed.resize(value_tiles.len(), Sums([[0.0; LANES]; TILE]));
        let (highs, lows) = weights.split_at(weights.len() / 2);
        let mut low = Sums([[0.0; LANES]; TILE]);
        for (tile, of) in value_tiles.iter().enumerate() {
            let taps = &values[tile * words..][..words];
            let sums = &mut mixed[tile];
            self.kernel.multiply(taps, &of.totals, &highs[..words], sums);
            self.kernel.multiply(taps, &of.totals, &lows[..words], &mut low);
            for (at, sums) in sums.0.iter_mut().enumerate() {
                let taken = simd.splat_f32s(taken(of.totals[at]));
                let (sums, low) = (S::as_mut_simd_f32s(sums).0, S::as_simd_f32s(&low.0[at]).0);
                for j in 0..LANES / S::F32_LANES {
                    let high = simd.mul_add_e_f32s(sums[j], simd.splat_f32s(256.0), taken);
                    sums[j] = simd.add_f32s(high, low[j]);
                }
            }
        }
        let lanes = self.first.saturating_sub(panel * LANES)..LANES.min(self.first + self.len - panel * LANES);
        let rows = &mut self.context.slice_mut(panel, 1)[head * self.head_dim..][..self.head_dim];
        let mut inverse = Row::ZERO;
        for (j, inverse) in vectors_mut::<S>(&mut inverse).iter_mut().enumerate() {
            let total = S::as_simd_f32s(&mixed[self.head_dim / TILE].0[self.head_dim % TILE]).0[j];
            *inverse = simd.div_f32s(simd.splat_f32s(1.0), total);
        }
        for (dim, row) in rows.iter_mut().enumerate() {
            let factor = simd.splat_f32s(value_tiles[dim / TILE].scale[dim % TILE]);
            let sums = S::as_simd_f32s(&mixed[dim / TILE].0[dim % TILE]).0;
            let mut out = Row::ZERO;
            for (j, out) in vectors_mut::<S>(&mut out).iter_mut().enumerate() {
                *out = simd.mul_f32s(simd.mul_f32s(sums[j], factor), vectors::<S>(&inverse)[j]);
            }
            if lanes.len() == LANES {
                *row = out;
            } else {
                row.0[lanes.clone()].copy_from_slice(&out.0[lanes.clone()]);
            }
        }
    }
}

/// What the kernel takes from a feature's sum: [`OFFSET`] from each weight's high byte, which counts 256 times, and low one.
fn taken(total: i32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "exact for texts of at most 2^17 tokens")]
    let total = total as f32;
    257.0 * f32::from(OFFSET) * total
}

/// Rounds one head's features of a panel to 8 bits with a scale a token, and adds `offset`. `totals` get the sums of each
/// token's rounded features, without `offset`.
#[inline(always)]
fn quantise_head<S: Simd>(simd: S, rows: &[Row], offset: u8, quads: &mut [Quads], scale: &mut Row, totals: &mut Quads) {
    let magic = MAGIC + f32::from(offset);
    #[expect(clippy::cast_possible_truncation, reason = "a head has far fewer features than 2^32")]
    let none = (rows.len() as u32).wrapping_mul(magic.to_bits()).wrapping_neg();
    for j in 0..LANES / S::F32_LANES {
        let mut most = simd.splat_f32s(LEAST);
        for row in rows {
            most = simd.max_f32s(most, abs(simd, vectors::<S>(row)[j]));
        }
        let inverse = simd.div_f32s(simd.splat_f32s(MOST), most);
        vectors_mut::<S>(scale)[j] = simd.div_f32s(most, simd.splat_f32s(MOST));
        let mut total = simd.splat_u32s(none);
        for (quad, out) in quads.iter_mut().enumerate() {
            let mut four = simd.splat_u32s(0);
            for (byte, row) in rows[4 * quad..rows.len().min(4 * quad + 4)].iter().enumerate() {
                let rounded = simd.mul_add_e_f32s(vectors::<S>(row)[j], inverse, simd.splat_f32s(magic));
                let rounded = simd.transmute_u32s_f32s(rounded);
                total = simd.add_u32s(total, rounded);
                let rounded = simd.and_u32s(rounded, simd.splat_u32s(0xff));
                let shift = simd.splat_u32s(SHIFTS[byte]);
                four = simd.or_u32s(four, simd.wrapping_dyn_shl_u32s(rounded, shift));
            }
            S::as_mut_simd_u32s(&mut out.0).0[j] = four;
        }
        S::as_mut_simd_u32s(&mut totals.0).0[j] = total;
    }
}

/// Four signed bytes as they lie in memory.
#[inline(always)]
fn signed(word: u32) -> [i8; 4] {
    let [a, b, c, d] = word.to_le_bytes();
    [a.cast_signed(), b.cast_signed(), c.cast_signed(), d.cast_signed()]
}

#[cfg(test)]
mod tests;
