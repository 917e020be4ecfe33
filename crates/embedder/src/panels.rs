//! The layout of activations and weights in memory.
//!
//! Activations are stored in *panels* of [`LANES`] tokens, feature by feature: one [`Row`] holds one feature of a panel's
//! tokens. So every loop of the encoder (products, norms, softmax) runs across tokens. It needs no transposes and no sums
//! within a vector, and the output of one product is the input of the next as it is. Weights are arranged once, when they
//! are loaded, in *tiles* of [`TILE`] outputs.

/// Tokens in a panel: two vectors of AVX-512, four of AVX2, eight of NEON.
pub(super) const LANES: usize = 32;
/// Outputs in a tile of weights. With two vectors of tokens, their sums fill 24 of the 32 registers of AVX-512 and NEON.
pub(super) const TILE: usize = 12;

/// One feature of the tokens of a panel, aligned to a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Row(pub [f32; LANES]);

impl Row {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// Consecutive panels of one matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct PanelSlice<'a> {
    /// The rows, panel by panel.
    pub rows: &'a [Row],
    /// Rows in a panel.
    pub features: usize,
}

/// A matrix of activations, tokens by features, in panels.
#[derive(Debug)]
pub(super) struct Panels {
    rows: Vec<Row>,
    features: usize,
}

impl Panels {
    /// Makes an empty matrix of `features` features, rounded up to whole tiles.
    pub fn new(features: usize) -> Self {
        Self { rows: Vec::new(), features: features.next_multiple_of(TILE) }
    }

    /// Rows in a panel.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The number of panels.
    pub fn count(&self) -> usize {
        self.rows.len() / self.features
    }

    /// Sets the number of panels. Their values are left over from earlier use.
    pub fn resize(&mut self, panels: usize) {
        self.rows.resize(panels * self.features, Row::ZERO);
    }

    /// The panels `first..first + count`.
    pub fn slice(&self, first: usize, count: usize) -> PanelSlice<'_> {
        let rows = &self.rows[first * self.features..(first + count) * self.features];
        PanelSlice { rows, features: self.features }
    }

    /// The rows of panels `first..first + count`, to write.
    pub fn slice_mut(&mut self, first: usize, count: usize) -> &mut [Row] {
        &mut self.rows[first * self.features..(first + count) * self.features]
    }

    /// Sets every lane to zero.
    pub fn clear(&mut self) {
        self.rows.fill(Row::ZERO);
    }

    /// Sets one feature of one token.
    #[inline(always)]
    pub fn set(&mut self, token: usize, feature: usize, value: f32) {
        self.rows[token / LANES * self.features + feature].0[token % LANES] = value;
    }

    /// Copies one feature of the tokens from `first` on into `out`.
    #[inline(always)]
    pub fn read(&self, feature: usize, first: usize, out: &mut [f32]) {
        let mut token = first;
        let mut out = out;
        while !out.is_empty() {
            let lane = token % LANES;
            let run = out.len().min(LANES - lane);
            let (head, rest) = out.split_at_mut(run);
            head.copy_from_slice(&self.rows[token / LANES * self.features + feature].0[lane..lane + run]);
            token += run;
            out = rest;
        }
    }

    /// Writes one feature of the tokens from `first` on.
    #[inline(always)]
    pub fn write(&mut self, feature: usize, first: usize, values: &[f32]) {
        let mut token = first;
        let mut values = values;
        while !values.is_empty() {
            let lane = token % LANES;
            let run = values.len().min(LANES - lane);
            let (head, rest) = values.split_at(run);
            self.rows[token / LANES * self.features + feature].0[lane..lane + run].copy_from_slice(head);
            token += run;
            values = rest;
        }
    }
}

/// The weights and biases of a dense layer, in tiles.
#[derive(Debug)]
pub(super) struct Linear {
    /// For each tile and each input, the weights of the tile's outputs.
    pub tiles: Vec<[f32; TILE]>,
    /// The biases of each tile's outputs.
    pub bias: Vec<[f32; TILE]>,
    /// The number of inputs.
    pub inputs: usize,
}

impl Linear {
    /// Arranges a row-major matrix `weight` (outputs by inputs) in tiles. The last tile is filled up with zeros.
    pub fn new(weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let tile_count = bias.len().div_ceil(TILE);
        let mut tiles = vec![[0.0; TILE]; tile_count * inputs];
        let mut tile_bias = vec![[0.0; TILE]; tile_count];
        for (output, (row, value)) in weight.chunks_exact(inputs).zip(bias).enumerate() {
            let (tile, lane) = (output / TILE, output % TILE);
            tile_bias[tile][lane] = *value;
            for (taps, weight) in tiles[tile * inputs..].iter_mut().zip(row) {
                taps[lane] = *weight;
            }
        }
        Self { tiles, bias: tile_bias, inputs }
    }

    /// The number of outputs, rounded up to whole tiles.
    pub fn outputs(&self) -> usize {
        self.bias.len() * TILE
    }
}
