//! How activations and weights lie in memory.
//!
//! Activations are kept feature by feature, in *panels* of [`LANES`] tokens: one [`Row`] holds one feature of
//! a panel's tokens. So every loop of the encoder, the products as well as the norms and the softmax, runs
//! across tokens: no transposes, no sums within a vector, and the output of one product is the input of the
//! next as it stands. Weights are cut once, at load, into *tiles* of [`TILE`] outputs.

/// Tokens in a panel: two AVX-512 vectors, four AVX2 ones, eight of NEON.
pub(super) const LANES: usize = 32;
/// Outputs in a tile of weights: with two vectors of tokens they fill 24 of AVX-512's or NEON's 32 registers.
pub(super) const TILE: usize = 12;

/// One feature of the tokens of a panel, on a cache line's border.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Row(pub [f32; LANES]);

impl Row {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// A matrix of activations, tokens by features, in panels.
#[derive(Debug)]
pub(super) struct Panels {
    rows: Vec<Row>,
    features: usize,
}

impl Panels {
    /// An empty matrix of `features` features, rounded up to whole tiles.
    pub fn new(features: usize) -> Self {
        Self { rows: Vec::new(), features: features.next_multiple_of(TILE) }
    }

    /// Rows in a panel.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Panels it holds.
    pub fn count(&self) -> usize {
        self.rows.len() / self.features
    }

    /// Makes room for `panels` panels; what they hold is left over from before.
    pub fn resize(&mut self, panels: usize) {
        self.rows.resize(panels * self.features, Row::ZERO);
    }

    /// The rows of panels `first..first + count`.
    pub fn slice(&self, first: usize, count: usize) -> &[Row] {
        &self.rows[first * self.features..(first + count) * self.features]
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
        let (mut token, mut out) = (first, out);
        while !out.is_empty() {
            let lane = token % LANES;
            let run = out.len().min(LANES - lane);
            let (head, rest) = out.split_at_mut(run);
            head.copy_from_slice(&self.rows[token / LANES * self.features + feature].0[lane..lane + run]);
            (token, out) = (token + run, rest);
        }
    }

    /// Writes one feature of the tokens from `first` on.
    #[inline(always)]
    pub fn write(&mut self, feature: usize, first: usize, values: &[f32]) {
        let (mut token, mut values) = (first, values);
        while !values.is_empty() {
            let lane = token % LANES;
            let run = values.len().min(LANES - lane);
            let (head, rest) = values.split_at(run);
            self.rows[token / LANES * self.features + feature].0[lane..lane + run].copy_from_slice(head);
            (token, values) = (token + run, rest);
        }
    }
}

/// A dense layer's weights in tiles, with its bias.
#[derive(Debug)]
pub(super) struct Linear {
    /// Tile by tile, input by input: the weights of the tile's outputs.
    pub tiles: Vec<[f32; TILE]>,
    /// A tile's biases.
    pub bias: Vec<[f32; TILE]>,
    /// Inputs.
    pub inputs: usize,
}

impl Linear {
    /// Cuts a row-major matrix `weight` (outputs by inputs) into tiles. The last tile is filled up with zeros.
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

    /// Outputs, rounded up to whole tiles.
    pub fn outputs(&self) -> usize {
        self.bias.len() * TILE
    }
}
