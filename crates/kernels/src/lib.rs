//! Products of 8-bit integers, by the widest instructions of this CPU: the only crate with `unsafe`.
//!
//! A product takes a tile of weights, [`TILE`] outputs wide, and a panel of activations of [`LANES`] tokens. Both hold four
//! inputs side by side, as the dot-product instructions want them. All kernels give the same numbers to the last bit, since
//! they sum integers.
//!
//! *Must not know:* models, scales, layers.

#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
mod tests;

/// Tokens in a panel.
pub const LANES: usize = 32;
/// Outputs in a tile. With two vectors of tokens, their sums fill 24 of the 32 registers of AVX-512 and NEON.
pub const TILE: usize = 12;
/// What is added to an activation, so that it is unsigned: VNNI multiplies unsigned by signed bytes.
pub const OFFSET: u8 = 128;

/// Four inputs of the tokens of a panel: byte `i` of a lane (from the lowest) is input `i` plus [`OFFSET`].
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Quads(pub [u32; LANES]);

/// The weights of a tile's outputs for four inputs.
pub type Taps = [[i8; 4]; TILE];

/// The sums of a tile's outputs for each token of a panel. They are whole numbers, rounded to f32.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Sums(pub [[f32; LANES]; TILE]);

/// A way to compute the product on this CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Path);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    Portable,
}

impl Kernel {
    /// The fastest kernel of this CPU.
    pub fn best() -> Self {
        Self(Path::found().next().unwrap_or(Path::Portable))
    }

    /// Every kernel of this CPU, the fastest first, for tests to compare.
    pub fn all() -> Vec<Self> {
        Path::found().map(Self).collect()
    }

    /// The plain kernel, which every CPU has.
    pub const PORTABLE: Self = Self(Path::Portable);

    /// For the log: `avx512-vnni`, `avx-vnni`, `avx2`, `neon-dotprod` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Path::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Path::NeonDot => "neon-dotprod",
            Path::Portable => "portable",
        }
    }

    /// Sums weight × activation over all inputs, for each output of a tile and each token of a panel. `totals` are the sums
    /// of each output's weights. A byte may be 0 to 255. There are at most 16,384 quads, so that a sum fits 32 bits.
    ///
    /// # Panics
    ///
    /// `taps` and `rows` have different lengths, or more than 16,384.
    pub fn multiply(self, taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
        assert!(taps.len() == rows.len() && rows.len() <= 1 << 14, "the weights do not fit the activations");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512Vnni => x86::run_avx512_vnni(taps, totals, rows, sums),
            #[cfg(target_arch = "x86_64")]
            Path::AvxVnni => x86::run_avx_vnni(taps, totals, rows, sums),
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 => x86::run_avx2(taps, rows, sums),
            #[cfg(target_arch = "aarch64")]
            Path::NeonDot => arm::run_neon_dot(taps, rows, sums),
            Path::Portable => portable::multiply(taps, totals, rows, sums),
        }
    }
}

impl Path {
    /// The kernels that this CPU can run, the fastest first. Only this function makes the others than the portable one, so
    /// a kernel exists only where its instructions do.
    fn found() -> impl Iterator<Item = Self> {
        let found = [
            #[cfg(target_arch = "x86_64")]
            (x86::has_avx512_vnni(), Self::Avx512Vnni),
            #[cfg(target_arch = "x86_64")]
            (x86::has_avx_vnni(), Self::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            (x86::has_avx2(), Self::Avx2),
            #[cfg(target_arch = "aarch64")]
            (arm::has_neon_dot(), Self::NeonDot),
            (true, Self::Portable),
        ];
        found.into_iter().filter(|(has, _)| *has).map(|(_, path)| path)
    }
}
