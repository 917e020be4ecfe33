//! The product by AVX-512 VNNI, AVX-VNNI and AVX2.
//!
//! Loops run over indices, without `zip`, `map` and closures: those would be calls of functions without the vector
//! instructions, in each turn of the loop, which took four fifths of the time.

#![allow(unsafe_code, reason = "vector instructions: loads and stores by pointer, and calls of what the CPU must have")]
#![expect(
    clippy::needless_range_loop,
    reason = "one index runs through registers and weights; iterators were not inlined"
)]

use std::arch::x86_64::*;

use crate::{LANES, OFFSET, Quads, Sums, TILE, Taps};

pub(crate) fn has_avx512_vnni() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

pub(crate) fn has_avx_vnni() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")
}

pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

pub(crate) fn run_avx512_vnni(taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
    // SAFETY: `Path::Avx512Vnni` is made only where `has_avx512_vnni` is true.
    unsafe { avx512_vnni(taps, totals, rows, sums) }
}

pub(crate) fn run_avx_vnni(taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
    // SAFETY: `Path::AvxVnni` is made only where `has_avx_vnni` is true.
    unsafe { avx_vnni(taps, totals, rows, sums) }
}

pub(crate) fn run_avx2(taps: &[Taps], rows: &[Quads], sums: &mut Sums) {
    // SAFETY: `Path::Avx2` is made only where `has_avx2` is true.
    unsafe { avx2(taps, rows, sums) }
}

/// Four weights as they lie in memory.
#[inline(always)]
fn word([a, b, c, d]: [i8; 4]) -> i32 {
    i32::from_le_bytes([a.cast_unsigned(), b.cast_unsigned(), c.cast_unsigned(), d.cast_unsigned()])
}

/// Twelve outputs by two vectors of 16 tokens: 24 sums in registers.
#[target_feature(enable = "avx512f,avx512vnni")]
fn avx512_vnni(taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
    let mut registers = [[_mm512_setzero_si512(); 2]; TILE];
    for i in 0..TILE {
        registers[i] = [_mm512_set1_epi32(-i32::from(OFFSET) * totals[i]); 2];
    }
    for k in 0..taps.len().min(rows.len()) {
        let row: *const u32 = rows[k].0.as_ptr();
        // SAFETY: a row is 32 values, two vectors of 16.
        let x = unsafe { [_mm512_loadu_si512(row.cast()), _mm512_loadu_si512(row.add(16).cast())] };
        for i in 0..TILE {
            let weights = _mm512_set1_epi32(word(taps[k][i]));
            registers[i][0] = _mm512_dpbusd_epi32(registers[i][0], x[0], weights);
            registers[i][1] = _mm512_dpbusd_epi32(registers[i][1], x[1], weights);
        }
    }
    for i in 0..TILE {
        let out: *mut f32 = sums.0[i].as_mut_ptr();
        // SAFETY: an output's sums are 32 values, two vectors of 16.
        unsafe {
            _mm512_storeu_ps(out, _mm512_cvtepi32_ps(registers[i][0]));
            _mm512_storeu_ps(out.add(16), _mm512_cvtepi32_ps(registers[i][1]));
        }
    }
}

/// Tokens in a vector of 256 bits.
const WIDTH: usize = 8;

/// Loads two vectors of tokens from lane `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn load_two(row: &Quads, first: usize) -> [__m256i; 2] {
    let part: &[u32] = &row.0[first..first + 2 * WIDTH];
    // SAFETY: `part` is 16 values, two vectors of 8.
    unsafe { [_mm256_loadu_si256(part.as_ptr().cast()), _mm256_loadu_si256(part.as_ptr().add(WIDTH).cast())] }
}

/// Stores two vectors of sums from lane `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn store_two(out: &mut [f32; LANES], first: usize, two: [__m256i; 2]) {
    let part: &mut [f32] = &mut out[first..first + 2 * WIDTH];
    // SAFETY: `part` is 16 values, two vectors of 8.
    unsafe {
        _mm256_storeu_ps(part.as_mut_ptr(), _mm256_cvtepi32_ps(two[0]));
        _mm256_storeu_ps(part.as_mut_ptr().add(WIDTH), _mm256_cvtepi32_ps(two[1]));
    }
}

/// Six outputs by two vectors of eight tokens at a time: 12 sums in the 16 registers.
#[target_feature(enable = "avx2,avxvnni")]
fn avx_vnni(taps: &[Taps], totals: &[i32; TILE], rows: &[Quads], sums: &mut Sums) {
    const BLOCK: usize = 6;
    for first in (0..LANES).step_by(2 * WIDTH) {
        for output in (0..TILE).step_by(BLOCK) {
            let mut registers = [[_mm256_setzero_si256(); 2]; BLOCK];
            for i in 0..BLOCK {
                registers[i] = [_mm256_set1_epi32(-i32::from(OFFSET) * totals[output + i]); 2];
            }
            for k in 0..taps.len().min(rows.len()) {
                let x = load_two(&rows[k], first);
                for i in 0..BLOCK {
                    let weights = _mm256_set1_epi32(word(taps[k][output + i]));
                    registers[i][0] = _mm256_dpbusd_avx_epi32(registers[i][0], x[0], weights);
                    registers[i][1] = _mm256_dpbusd_avx_epi32(registers[i][1], x[1], weights);
                }
            }
            for i in 0..BLOCK {
                store_two(&mut sums.0[output + i], first, registers[i]);
            }
        }
    }
}

/// Four outputs by two vectors of eight tokens at a time. AVX2 multiplies unsigned by signed bytes too, but adds pairs of
/// products with saturation. So the sign of the activation moves to the weight: the largest pair is then 2 · 128 · 127.
#[target_feature(enable = "avx2")]
fn avx2(taps: &[Taps], rows: &[Quads], sums: &mut Sums) {
    const BLOCK: usize = 4;
    let offset = _mm256_set1_epi8(OFFSET.cast_signed());
    let ones = _mm256_set1_epi16(1);
    for first in (0..LANES).step_by(2 * WIDTH) {
        for output in (0..TILE).step_by(BLOCK) {
            let mut registers = [[_mm256_setzero_si256(); 2]; BLOCK];
            for k in 0..taps.len().min(rows.len()) {
                let x = load_two(&rows[k], first);
                let x = [_mm256_xor_si256(x[0], offset), _mm256_xor_si256(x[1], offset)];
                let magnitude = [_mm256_abs_epi8(x[0]), _mm256_abs_epi8(x[1])];
                for i in 0..BLOCK {
                    let weights = _mm256_set1_epi32(word(taps[k][output + i]));
                    for j in 0..2 {
                        let pairs = _mm256_maddubs_epi16(magnitude[j], _mm256_sign_epi8(weights, x[j]));
                        registers[i][j] = _mm256_add_epi32(registers[i][j], _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            for i in 0..BLOCK {
                store_two(&mut sums.0[output + i], first, registers[i]);
            }
        }
    }
}
