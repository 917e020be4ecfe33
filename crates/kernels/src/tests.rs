use crate::{Kernel, LANES, OFFSET, Quads, Sums, TILE, Taps};

/// Sum of weight × activation, one by one.
#[expect(clippy::cast_precision_loss, reason = "the sums are rounded to f32")]
fn plain(taps: &[Taps], rows: &[Quads], output: usize, lane: usize) -> f32 {
    let products = taps.iter().zip(rows).flat_map(|(taps, row)| {
        let activations = row.0[lane].to_le_bytes().map(|byte| i64::from(byte) - i64::from(OFFSET));
        taps[output].map(i64::from).into_iter().zip(activations).map(|(weight, activation)| weight * activation)
    });
    products.sum::<i64>() as f32
}

fn assert_all_agree(taps: &[Taps], rows: &[Quads]) {
    let mut totals = [0; TILE];
    for taps in taps {
        totals.iter_mut().zip(taps).for_each(|(total, quad)| *total += quad.map(i32::from).iter().sum::<i32>());
    }
    for kernel in Kernel::all() {
        // What was there before is replaced.
        let mut sums = Sums([[f32::NAN; LANES]; TILE]);
        kernel.multiply(taps, &totals, rows, &mut sums);
        for (output, row) in sums.0.iter().enumerate() {
            for (lane, sum) in row.iter().enumerate() {
                let expected = plain(taps, rows, output, lane);
                assert_eq!(*sum, expected, "{} gives another sum of {} quads", kernel.name(), rows.len());
            }
        }
    }
}

#[test]
fn every_kernel_agrees_with_the_plain_sum_on_random_shapes() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..60 {
        let quads = random.usize(0..500);
        let taps: Vec<Taps> =
            (0..quads).map(|_| std::array::from_fn(|_| std::array::from_fn(|_| random.i8(-127..=127)))).collect();
        let byte = |random: &mut fastrand::Rng| random.u8(..);
        let rows: Vec<Quads> = (0..quads)
            .map(|_| Quads(std::array::from_fn(|_| u32::from_le_bytes(std::array::from_fn(|_| byte(&mut random))))))
            .collect();
        assert_all_agree(&taps, &rows);
    }
}

#[test]
fn the_largest_values_neither_saturate_nor_overflow() {
    for weight in [-127, 127] {
        for activation in [0, 1, 255] {
            let row = Quads([u32::from_le_bytes([activation; 4]); LANES]);
            assert_all_agree(&vec![[[weight; 4]; TILE]; 1 << 14], &vec![row; 1 << 14]);
        }
    }
}

#[test]
#[should_panic(expected = "do not fit")]
fn weights_for_other_inputs_are_refused() {
    Kernel::best().multiply(&[[[1; 4]; TILE]; 2], &[8; TILE], &[Quads([0; LANES]); 3], &mut Sums([[0.0; LANES]; TILE]));
}
