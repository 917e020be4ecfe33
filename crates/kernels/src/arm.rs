//! The product by NEON's dot product.

#![allow(unsafe_code, reason = "vector instructions: loads and stores by pointer, and calls of what the CPU must have")]

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{LANES, OFFSET, Quads, Sums, TILE, Taps};

/// Tokens in a vector.
const WIDTH: usize = 4;

pub(crate) fn has_neon_dot() -> bool {
    is_aarch64_feature_detected!("neon") && is_aarch64_feature_detected!("dotprod")
}

pub(crate) fn run_neon_dot(taps: &[Taps], rows: &[Quads], sums: &mut Sums) {
    // SAFETY: `Path::NeonDot` is made only where `has_neon_dot` is true.
    unsafe { neon_dot(taps, rows, sums) }
}

/// Adds to each of the four sums the products of four inputs of `x` with the four weights in lane `LANE` of `weights`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot<const LANE: i32>(mut sum: int32x4_t, x: int8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes registers only; the function's caller has it. Rust 1.95 has no stable
    // function for it.
    unsafe {
        asm!("sdot {sum:v}.4s, {x:v}.16b, {weights:v}.4b[{lane}]", sum = inout(vreg) sum, x = in(vreg) x,
            weights = in(vreg) weights, lane = const LANE, options(pure, nomem, nostack, preserves_flags));
    }
    sum
}

/// Twelve outputs by two vectors of four tokens at a time: 24 sums in the 32 registers.
#[target_feature(enable = "neon,dotprod")]
fn neon_dot(taps: &[Taps], rows: &[Quads], sums: &mut Sums) {
    let offset = vdupq_n_u8(OFFSET);
    for first in (0..LANES).step_by(2 * WIDTH) {
        let mut registers = [[vdupq_n_s32(0); 2]; TILE];
        for k in 0..taps.len().min(rows.len()) {
            let part: &[u32] = &rows[k].0[first..first + 2 * WIDTH];
            // SAFETY: `part` is eight values of four bytes, two vectors of 16 bytes.
            let x = unsafe { [vld1q_u8(part.as_ptr().cast()), vld1q_u8(part.as_ptr().add(WIDTH).cast())] };
            let x = [vreinterpretq_s8_u8(veorq_u8(x[0], offset)), vreinterpretq_s8_u8(veorq_u8(x[1], offset))];
            let all: *const i8 = taps[k].as_flattened().as_ptr();
            for group in 0..TILE / 4 {
                // SAFETY: a tile has 48 weights for four inputs, three vectors of 16.
                let weights = unsafe { vld1q_s8(all.add(16 * group)) };
                for j in 0..2 {
                    let at = 4 * group;
                    registers[at][j] = dot::<0>(registers[at][j], x[j], weights);
                    registers[at + 1][j] = dot::<1>(registers[at + 1][j], x[j], weights);
                    registers[at + 2][j] = dot::<2>(registers[at + 2][j], x[j], weights);
                    registers[at + 3][j] = dot::<3>(registers[at + 3][j], x[j], weights);
                }
            }
        }
        for (out, registers) in sums.0.iter_mut().zip(registers) {
            let part: &mut [f32] = &mut out[first..first + 2 * WIDTH];
            // SAFETY: `part` is eight values, two vectors of four.
            unsafe {
                vst1q_f32(part.as_mut_ptr(), vcvtq_f32_s32(registers[0]));
                vst1q_f32(part.as_mut_ptr().add(WIDTH), vcvtq_f32_s32(registers[1]));
            }
        }
    }
}
