//! Elementwise functions, for vectors of any width.

use pulp::{Simd, WithSimd};

use super::{
    panels::{LANES, Row},
    product::{vectors, vectors_mut},
};

/// The magnitude of each value. pulp's own function is not inlined and took a sixth of the encoder's time.
#[inline(always)]
pub(super) fn abs<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.transmute_f32s_u32s(simd.and_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(0x7fff_ffff)))
}

/// 2^x for `x` in -126..127, with a relative error below 2e-7.
#[inline(always)]
pub(super) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A minimax polynomial for 2^x over -0.5..0.5, with a relative error of 1.1e-7.
    const C: [f32; 5] = [std::f32::consts::LN_2, 0.240_222_83, 0.055_505_585, 0.009_669_691, 0.001_330_060_5];
    // Adding 1.5 * 2^23 leaves the whole part of x in the low bits. Shifted by 23, they are added to the exponent.
    let magic = simd.splat_f32s(12_582_912.0);
    let shifted = simd.add_f32s(x, magic);
    let fraction = simd.sub_f32s(x, simd.sub_f32s(shifted, magic));
    let mut y = simd.splat_f32s(C[4]);
    for c in [C[3], C[2], C[1], C[0], 1.0] {
        y = simd.mul_add_e_f32s(y, fraction, simd.splat_f32s(c));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(y), exponent))
}

/// 2^x for `x` in -126..127, with a relative error below 1e-4: a quarter of it is lost where the result is rounded to a byte.
#[inline(always)]
pub(super) fn exp2_coarse<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A minimax polynomial for 2^x over -0.5..0.5, with a relative error of 7.5e-5.
    const C: [f32; 4] = [0.999_928_07, 0.693_261, 0.242_611_13, 0.055_171_67];
    let magic = simd.splat_f32s(12_582_912.0);
    let shifted = simd.add_f32s(x, magic);
    let fraction = simd.sub_f32s(x, simd.sub_f32s(shifted, magic));
    let mut y = simd.splat_f32s(C[3]);
    for c in [C[2], C[1], C[0]] {
        y = simd.mul_add_e_f32s(y, fraction, simd.splat_f32s(c));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(y), exponent))
}

/// x Φ(x), with an error below 4e-4, for results that are rounded to 8 bits.
#[inline(always)]
pub(super) fn gelu_coarse<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A minimax polynomial for u (1 - Φ(u)) over 0..3.8, with an error of 1.1e-4. Beyond, this is below 2.8e-4.
    const LIMIT: f32 = 3.8;
    const C: [f32; 8] = [
        -7.766_372e-5,
        0.498_585_27,
        -0.380_542_83,
        -0.060_448_615,
        0.153_934_17,
        -0.063_179_7,
        0.011_034_8,
        -0.000_729_298_3,
    ];
    let magnitude = abs(simd, x);
    let u = simd.min_f32s(magnitude, simd.splat_f32s(LIMIT));
    let mut y = simd.splat_f32s(C[7]);
    for c in [C[6], C[5], C[4], C[3], C[2], C[1], C[0]] {
        y = simd.mul_add_e_f32s(y, u, simd.splat_f32s(c));
    }
    simd.sub_f32s(simd.max_f32s(x, simd.splat_f32s(0.0)), y)
}

/// x Φ(x), with the normal distribution's Φ. The error is below 1e-7 of max(1, |x|).
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // A minimax polynomial for log2(1 - Φ(u)) over 0..6, weighted so that the error of u (1 - Φ(u)) is below 8.5e-8.
    const C: [f32; 7] =
        [-0.999_993_1, -1.151_201_7, -0.458_770_96, -0.053_412_102, 0.008_080_715, -0.000_769_219_3, 0.000_033_092_77];
    let zero = simd.splat_f32s(0.0);
    let magnitude = simd.max_f32s(x, simd.sub_f32s(zero, x));
    // Beyond 6 the tail is below 1e-9 and can be ignored.
    let u = simd.min_f32s(magnitude, simd.splat_f32s(6.0));
    let mut y = simd.splat_f32s(C[6]);
    for c in [C[5], C[4], C[3], C[2], C[1], C[0]] {
        y = simd.mul_add_e_f32s(y, u, simd.splat_f32s(c));
    }
    let tail = exp2(simd, y);
    simd.sub_f32s(simd.max_f32s(x, zero), simd.mul_f32s(magnitude, tail))
}

/// Normalises every token of some panels to mean 0 and variance 1, then scales and shifts each feature.
pub(super) struct LayerNorm<'a> {
    /// Panels of `features` rows.
    pub rows: &'a mut [Row],
    /// Rows in a panel.
    pub features: usize,
    /// The factor of each feature. Further rows are not changed.
    pub scale: &'a [f32],
    /// The summand of each feature.
    pub shift: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

impl WithSimd for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for panel in self.rows.chunks_exact_mut(self.features) {
            let panel = &mut panel[..self.scale.len()];
            for vector in (0..LANES / S::F32_LANES).step_by(2) {
                normalise_two(simd, panel, vector, self.scale, self.shift, self.epsilon);
            }
        }
    }
}

/// Normalises the tokens of the vectors `first` and `first + 1` of a panel.
#[inline(always)]
fn normalise_two<S: Simd>(simd: S, panel: &mut [Row], first: usize, scale: &[f32], shift: &[f32], epsilon: f32) {
    #[expect(clippy::cast_precision_loss, reason = "a model has far fewer features than 2^24")]
    let share = simd.splat_f32s(1.0 / scale.len() as f32);
    let mut mean = [simd.splat_f32s(0.0); 2];
    for row in panel.iter() {
        let row = &vectors::<S>(row)[first..first + 2];
        mean = [simd.add_f32s(mean[0], row[0]), simd.add_f32s(mean[1], row[1])];
    }
    let mean = [simd.mul_f32s(mean[0], share), simd.mul_f32s(mean[1], share)];
    let mut squares = [simd.splat_f32s(0.0); 2];
    for row in panel.iter() {
        let row = &vectors::<S>(row)[first..first + 2];
        for (j, sum) in squares.iter_mut().enumerate() {
            let x = simd.sub_f32s(row[j], mean[j]);
            *sum = simd.mul_add_e_f32s(x, x, *sum);
        }
    }
    let mut inverse = squares;
    for sum in &mut inverse {
        let variance = simd.mul_add_e_f32s(*sum, share, simd.splat_f32s(epsilon));
        *sum = simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(variance));
    }
    for (feature, row) in panel.iter_mut().enumerate() {
        let (scale, shift) = (simd.splat_f32s(scale[feature]), simd.splat_f32s(shift[feature]));
        for (j, x) in vectors_mut::<S>(row)[first..first + 2].iter_mut().enumerate() {
            let normal = simd.mul_f32s(simd.sub_f32s(*x, mean[j]), inverse[j]);
            *x = simd.mul_add_e_f32s(normal, scale, shift);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{isa::Isa, reference::normal_below},
        *,
    };

    /// The results of the functions for the lanes of a row.
    #[derive(Clone)]
    struct Results {
        powers: Row,
        gelus: Row,
        coarse_powers: Row,
        coarse_gelus: Row,
        magnitudes: Row,
    }

    /// Applies all functions to every lane.
    struct All<'a>(&'a [Row], &'a mut [Results]);

    impl WithSimd for All<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for (row, results) in self.0.iter().zip(self.1) {
                for (j, x) in vectors::<S>(row).iter().enumerate() {
                    vectors_mut::<S>(&mut results.powers)[j] = exp2(simd, *x);
                    vectors_mut::<S>(&mut results.gelus)[j] = gelu(simd, *x);
                    vectors_mut::<S>(&mut results.coarse_powers)[j] = exp2_coarse(simd, *x);
                    vectors_mut::<S>(&mut results.coarse_gelus)[j] = gelu_coarse(simd, *x);
                    vectors_mut::<S>(&mut results.magnitudes)[j] = abs(simd, *x);
                }
            }
        }
    }

    #[test]
    fn functions_are_within_their_error_bounds() {
        let value = |i: usize| -120.0 + i as f32 * (240.0 / 12_799.0);
        let rows: Vec<Row> = (0..400).map(|row| Row(std::array::from_fn(|lane| value(row * LANES + lane)))).collect();
        let zero = Row::ZERO;
        let none = Results { powers: zero, gelus: zero, coarse_powers: zero, coarse_gelus: zero, magnitudes: zero };
        for isa in Isa::all() {
            let mut results = vec![none.clone(); rows.len()];
            isa.run(All(&rows, &mut results));
            for (row, results) in rows.iter().zip(&results) {
                for (lane, x) in row.0.iter().enumerate() {
                    assert_eq!(results.magnitudes.0[lane], x.abs());
                    let x = f64::from(*x);
                    for (powers, bound) in [(&results.powers, 2e-7), (&results.coarse_powers, 1e-4)] {
                        let power = f64::from(powers.0[lane]) / x.exp2();
                        assert!((power - 1.0).abs() < bound, "2^{x}: {power}");
                    }
                    let expected = x * if x.abs() > 9.0 { f64::from(x > 0.0) } else { normal_below(x) };
                    for (gelus, bound) in [(&results.gelus, 1e-7), (&results.coarse_gelus, 4e-4)] {
                        let error = (f64::from(gelus.0[lane]) - expected).abs();
                        assert!(error < 1e-7 * x.abs().max(1.0) + bound, "gelu {x}: {error}");
                    }
                }
            }
        }
    }
}
