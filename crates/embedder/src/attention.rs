//! Self-attention, for one text and one head at a time, so that it needs neither padding nor masks.
//!
//! Each lane of a row of scores belongs to one query. So the softmax of a query runs down one lane, over the keys, and the
//! rows of scores are the input of the product with the values as they are.

use pulp::{Simd, WithSimd};

use super::{
    math::exp2,
    panels::{LANES, Panels, Row, TILE},
    product::{multiply, vectors, vectors_mut},
};

/// Features in a tile of values; a head has 32 or 64.
const VALUE_TILE: usize = 8;

/// Buffers for one head. They grow to the longest text so far.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    line: Vec<f32>,
    keys: Vec<[f32; TILE]>,
    values: Vec<[f32; VALUE_TILE]>,
    queries: Vec<Row>,
    scores: Vec<Row>,
}

/// Self-attention of one text.
pub(super) struct Attention<'a> {
    /// Queries, keys and values: `3 * heads * head_dim` features. The queries are scaled so that a weight is
    /// 2^(query · key), not e^(query · key).
    pub qkv: &'a Panels,
    /// The output: `heads * head_dim` features.
    pub context: &'a mut Panels,
    /// The text's first token.
    pub first: usize,
    /// The number of its tokens.
    pub len: usize,
    /// The number of heads.
    pub heads: usize,
    /// Features of a head.
    pub head_dim: usize,
    /// Buffers.
    pub scratch: &'a mut AttentionScratch,
}

impl WithSimd for Attention<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for head in 0..self.heads {
            self.gather_keys(head);
            self.gather_values(head);
            for query in (0..self.len).step_by(LANES) {
                self.gather_queries(head, query);
                let inverse = self.compute_weights(simd);
                self.apply(simd, head, query, &inverse);
            }
        }
    }
}

impl Attention<'_> {
    /// Copies a head's keys into tiles. The last tile is filled up with zeros.
    #[inline(always)]
    fn gather_keys(&mut self, head: usize) {
        let AttentionScratch { line, keys, .. } = &mut *self.scratch;
        let padded = self.len.next_multiple_of(TILE);
        line.clear();
        line.resize(padded, 0.0);
        keys.resize(padded / TILE * self.head_dim, [0.0; TILE]);
        for dim in 0..self.head_dim {
            let feature = (self.heads + head) * self.head_dim + dim;
            self.qkv.read(feature, self.first, &mut line[..self.len]);
            for (tile, part) in line.chunks_exact(TILE).enumerate() {
                keys[tile * self.head_dim + dim].copy_from_slice(part);
            }
        }
    }

    /// Copies a head's values into tiles. The last tile is filled up with zeros.
    #[inline(always)]
    fn gather_values(&mut self, head: usize) {
        let AttentionScratch { line, values, .. } = &mut *self.scratch;
        line.resize(self.len.max(line.len()), 0.0);
        let line = &mut line[..self.len];
        values.clear();
        values.resize(self.head_dim.div_ceil(VALUE_TILE) * self.len, [0.0; VALUE_TILE]);
        for dim in 0..self.head_dim {
            let feature = (2 * self.heads + head) * self.head_dim + dim;
            self.qkv.read(feature, self.first, line);
            let tile = &mut values[dim / VALUE_TILE * self.len..][..self.len];
            for (key, taps) in tile.iter_mut().enumerate() {
                taps[dim % VALUE_TILE] = line[key];
            }
        }
    }

    /// Copies a head's queries, from the text's token `query` on. Lanes after the last token are zero.
    #[inline(always)]
    fn gather_queries(&mut self, head: usize, query: usize) {
        let count = LANES.min(self.len - query);
        self.scratch.queries.clear();
        for dim in 0..self.head_dim {
            let mut row = Row::ZERO;
            self.qkv.read(head * self.head_dim + dim, self.first + query, &mut row.0[..count]);
            self.scratch.queries.push(row);
        }
    }

    /// Computes the weights from the keys and queries. The returned factors, one for each query, are still to be applied.
    #[inline(always)]
    fn compute_weights<S: Simd>(&mut self, simd: S) -> Row {
        let AttentionScratch { keys, queries, scores, .. } = &mut *self.scratch;
        scores.resize(self.len.next_multiple_of(TILE), Row::ZERO);
        for (tile, scores) in scores.chunks_exact_mut(TILE).enumerate() {
            let taps = &keys[tile * self.head_dim..][..self.head_dim];
            multiply::<S, TILE, { TILE / 2 }>(simd, taps, queries, |i, j, sum| {
                vectors_mut::<S>(&mut scores[i])[j] = sum;
            });
        }
        let mut inverse = Row::ZERO;
        for first in (0..LANES / S::F32_LANES).step_by(2) {
            let factors = softmax_two(simd, &mut scores[..self.len], first);
            vectors_mut::<S>(&mut inverse)[first..first + 2].copy_from_slice(&factors);
        }
        inverse
    }

    /// Sums the values by the weights and the factors `inverse`, and writes the sums to the context.
    #[inline(always)]
    fn apply<S: Simd>(&mut self, simd: S, head: usize, query: usize, inverse: &Row) {
        let AttentionScratch { values, scores, .. } = &mut *self.scratch;
        let count = LANES.min(self.len - query);
        for (tile, taps) in values.chunks_exact(self.len).enumerate() {
            let mut mixed = [Row::ZERO; VALUE_TILE];
            multiply::<S, VALUE_TILE, { VALUE_TILE / 2 }>(simd, taps, &scores[..self.len], |i, j, sum| {
                vectors_mut::<S>(&mut mixed[i])[j] = simd.mul_f32s(sum, vectors::<S>(inverse)[j]);
            });
            let first_dim = tile * VALUE_TILE;
            for (i, row) in mixed[..VALUE_TILE.min(self.head_dim - first_dim)].iter().enumerate() {
                self.context.write(head * self.head_dim + first_dim + i, self.first + query, &row.0[..count]);
            }
        }
    }
}

/// Replaces each value x in the vectors `first` and `first + 1` of the rows by 2^(x - the largest value of its lane).
/// Returns 1 / the sum of each lane.
#[inline(always)]
fn softmax_two<S: Simd>(simd: S, rows: &mut [Row], first: usize) -> [S::f32s; 2] {
    let mut largest = [simd.splat_f32s(f32::MIN); 2];
    for row in rows.iter() {
        let row = &vectors::<S>(row)[first..first + 2];
        largest = [simd.max_f32s(largest[0], row[0]), simd.max_f32s(largest[1], row[1])];
    }
    let mut sums = [simd.splat_f32s(0.0); 2];
    for row in rows {
        for (j, score) in vectors_mut::<S>(row)[first..first + 2].iter_mut().enumerate() {
            let below = simd.max_f32s(simd.sub_f32s(*score, largest[j]), simd.splat_f32s(-126.0));
            *score = exp2(simd, below);
            sums[j] = simd.add_f32s(sums[j], *score);
        }
    }
    let one = simd.splat_f32s(1.0);
    [simd.div_f32s(one, sums[0]), simd.div_f32s(one, sums[1])]
}
