//! How long a scan of packed vectors takes: `scan_bench [PASSAGES]`, 384 components, documents of 500.

use std::time::Instant;

use app_vectors::{Nearest, Probe, pack};

fn main() {
    let count: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let mut random = fastrand::Rng::with_seed(5);
    let mut vector = || (0..384).map(|_| random.f32() - 0.4).collect::<Vec<f32>>();
    let began = Instant::now();
    let packed: Vec<Vec<u8>> =
        (0..count / 500).map(|_| pack(384, &(0..500).map(|_| Some(vector())).collect::<Vec<_>>())).collect();
    println!("packed in {:?}, {} bytes", began.elapsed(), packed.iter().map(Vec::len).sum::<usize>());
    for _ in 0..5 {
        let question = vector();
        let began = Instant::now();
        let probe = Probe::new(&question);
        let ready = began.elapsed();
        let mut nearest = Nearest::new(400);
        for (number, packed) in (0..).zip(&packed) {
            probe.scan(number, packed, 0.0, &mut nearest);
        }
        println!("table {ready:?}, all {:?}, {}", began.elapsed(), nearest.into_vec().len());
    }
}
