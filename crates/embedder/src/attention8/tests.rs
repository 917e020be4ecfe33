//! Attention in 8 bits beside that in floats.

use super::{
    super::{
        attention::{Attention, AttentionScratch},
        isa::Isa,
    },
    *,
};

/// A matrix of random values, with some features and some tokens far larger than the others.
fn random_panels(random: &mut fastrand::Rng, tokens: usize, features: usize) -> Panels {
    let mut panels = Panels::new(features);
    panels.resize(tokens.div_ceil(LANES));
    for token in 0..tokens {
        let size = if random.u8(..10) == 0 { 3.0 } else { 1.0 };
        for feature in 0..features {
            let size = if feature % 13 == 5 { 2.0 * size } else { size };
            panels.set(token, feature, size * (random.f32() + random.f32() + random.f32() - 1.5));
        }
    }
    panels
}

/// The context of the tokens `first..first + len`, where all others must be as they were.
fn read(context: &Panels, features: usize, first: usize, len: usize) -> Vec<f32> {
    let mut found = Vec::new();
    for token in 0..context.count() * LANES {
        for feature in 0..features {
            let mut value = [0.0];
            context.read(feature, token, &mut value);
            if (first..first + len).contains(&token) {
                found.push(value[0]);
            } else {
                assert_eq!(value[0], 0.0, "a token of another text was written");
            }
        }
    }
    found
}

#[test]
fn eight_bits_agree_with_floats_on_random_shapes() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut scratch = Attention8Scratch::default();
    for (heads, head_dim) in [(3, 32), (2, 64), (3, 10), (1, 12), (2, 1)] {
        for _ in 0..6 {
            let (first, len) = (random.usize(0..70), random.usize(1..150));
            let features = heads * head_dim;
            let qkv = random_panels(&mut random, first + len + 5, 3 * features);
            let mut exact = Panels::new(features);
            exact.resize(qkv.count());
            exact.clear();
            let scratch32 = &mut AttentionScratch::default();
            let context = &mut exact;
            Isa::best().run(Attention { qkv: &qkv, context, first, len, heads, head_dim, scratch: scratch32 });
            let exact = read(&exact, features, first, len);
            let size = exact.iter().map(|x| x * x).sum::<f32>().sqrt();
            let mut results = Vec::new();
            for isa in Isa::all() {
                for kernel in Kernel::all() {
                    let mut context = Panels::new(features);
                    context.resize(qkv.count());
                    context.clear();
                    isa.run(Attention8 {
                        qkv: &qkv,
                        context: &mut context,
                        first,
                        len,
                        heads,
                        head_dim,
                        kernel,
                        scratch: &mut scratch,
                    });
                    let context = read(&context, features, first, len);
                    let error = context.iter().zip(&exact).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt();
                    assert!(error < 0.05 * size, "{error} of {size}: {len} tokens, {head_dim} features");
                    results.push(context);
                }
            }
            // The kernels of one instruction set sum the same whole numbers.
            for same in results.chunk_by(|a, b| a == b) {
                assert!(same.len() >= Kernel::all().len());
            }
        }
    }
}
