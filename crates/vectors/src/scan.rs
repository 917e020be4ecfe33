//! Finds the nearest of packed vectors.

use crate::{LEVELS, PER_BYTE, mean_bytes, normalised, vector_bytes};

/// Packed vectors that are summed at the same time, so that the CPU need not wait for each sum.
const TOGETHER: usize = 4;

/// What is looked for, ready to be compared.
#[derive(Debug, Clone)]
pub struct Probe {
    vector: Vec<f32>,
    /// For each byte of codes: what each value adds.
    table: Vec<[f32; 256]>,
}

impl Probe {
    /// Looks for vectors near this one.
    pub fn new(vector: &[f32]) -> Self {
        let vector = normalised(vector);
        let table = vector.chunks(PER_BYTE).map(sums).collect();
        Self { vector, table }
    }

    /// How many vectors `packed` holds; 0 if it is not of this probe's dimension.
    pub fn count(&self, packed: &[u8]) -> usize {
        let dim = self.vector.len();
        let bytes = packed.len().saturating_sub(mean_bytes(dim));
        if bytes.is_multiple_of(vector_bytes(dim)) { bytes / vector_bytes(dim) } else { 0 }
    }

    /// Compares all of a document's packed vectors, each lifted by `lift`.
    pub fn scan(&self, document_no: i32, packed: &[u8], lift: f32, nearest: &mut Nearest) {
        let dim = self.vector.len();
        if self.count(packed) == 0 {
            return;
        }
        let Some((mean, vectors)) = packed.split_at_checked(mean_bytes(dim)) else { return };
        let to_mean = self.to_mean(mean).unwrap_or_default() + lift;
        let mut ord = 0;
        let size = vector_bytes(dim);
        let mut groups = vectors.chunks_exact(TOGETHER * size);
        for group in &mut groups {
            let (a, rest) = group.split_at(size);
            let (b, rest) = rest.split_at(size);
            let (c, d) = rest.split_at(size);
            for cosine in self.estimate([a, b, c, d]) {
                nearest.offer(Near { document_no, ord, cosine: to_mean + cosine });
                ord += 1;
            }
        }
        for vector in groups.remainder().chunks_exact(size) {
            let [cosine, ..] = self.estimate([vector; TOGETHER]);
            nearest.offer(Near { document_no, ord, cosine: to_mean + cosine });
            ord += 1;
        }
    }

    /// The product with the mean of a document's vectors, of which `packed` holds at least the mean; `None` if it is of another
    /// dimension.
    pub fn to_mean(&self, packed: &[u8]) -> Option<f32> {
        let (mean, _vectors) = packed.split_at_checked(mean_bytes(self.vector.len()))?;
        let (scale, mean) = mean.split_first_chunk::<4>()?;
        let sum: f32 = self.vector.iter().zip(mean).map(|(q, m)| q * f32::from(m.cast_signed())).sum();
        Some(f32::from_le_bytes(*scale) * sum)
    }

    /// Four at a time, by iterators: with indices, the compiler checks each of them.
    #[inline(always)]
    fn estimate(&self, [a, b, c, d]: [&[u8]; TOGETHER]) -> [f32; TOGETHER] {
        let mut sums = [0.0_f32; TOGETHER];
        for ((((row, a), b), c), d) in self.table.iter().zip(&a[8..]).zip(&b[8..]).zip(&c[8..]).zip(&d[8..]) {
            sums[0] += row[usize::from(*a)];
            sums[1] += row[usize::from(*b)];
            sums[2] += row[usize::from(*c)];
            sums[3] += row[usize::from(*d)];
        }
        let cosine = |vector: &[u8], sum: f32| {
            let number = |at: usize| f32::from_le_bytes([vector[at], vector[at + 1], vector[at + 2], vector[at + 3]]);
            number(0) * sum + number(4)
        };
        [cosine(a, sums[0]), cosine(b, sums[1]), cosine(c, sums[2]), cosine(d, sums[3])]
    }
}

/// What each byte of codes adds for these components, up to four.
fn sums(components: &[f32]) -> [f32; 256] {
    let mut sums = [0.0; 256];
    for (byte, sum) in sums.iter_mut().enumerate() {
        *sum = components.iter().enumerate().map(|(i, q)| q * LEVELS[byte >> (2 * i) & 3]).sum();
    }
    sums
}

/// A vector with its estimated cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// The number of its document.
    pub document_no: i32,
    /// Its place in the document.
    pub ord: i32,
    /// About the cosine.
    pub cosine: f32,
}

/// Keeps the nearest that are offered.
#[derive(Debug)]
pub struct Nearest {
    limit: usize,
    kept: Vec<Near>,
    /// Below this, nothing can be among them any more.
    least: f32,
}

impl Nearest {
    /// Keeps `limit`, one or more.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), kept: Vec::new(), least: f32::NEG_INFINITY }
    }

    fn offer(&mut self, near: Near) {
        if near.cosine > self.least {
            self.kept.push(near);
            if self.kept.len() >= 4 * self.limit {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        let order = |a: &Near, b: &Near| {
            b.cosine.total_cmp(&a.cosine).then((a.document_no, a.ord).cmp(&(b.document_no, b.ord)))
        };
        if self.kept.len() > self.limit {
            let (_, last, _) = self.kept.select_nth_unstable_by(self.limit - 1, order);
            self.least = last.cosine;
            self.kept.truncate(self.limit);
        }
    }

    /// The nearest, in no particular order.
    pub fn into_vec(mut self) -> Vec<Near> {
        self.cut();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dot, pack};

    const DIM: usize = 96;

    /// Vectors about one direction, as the models give them: 20 documents of 100.
    fn documents() -> Vec<Vec<Vec<f32>>> {
        let mut random = fastrand::Rng::with_seed(5);
        let mut noise = move |size: f32| (0..DIM).map(|_| size * (random.f32() - 0.5)).collect::<Vec<f32>>();
        let add = |a: &[f32], b: Vec<f32>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f32>>();
        let all = vec![1.0; DIM];
        (0..20)
            .map(|_| {
                let of_document = add(&all, noise(0.6));
                (0..100).map(|_| add(&of_document, noise(1.2))).collect()
            })
            .collect()
    }

    #[test]
    fn the_nearest_by_packed_vectors_hold_nearly_all_of_the_nearest() {
        let documents = documents();
        let packed: Vec<Vec<u8>> =
            documents.iter().map(|vectors| pack(DIM, &vectors.iter().map(Some).collect::<Vec<_>>())).collect();
        let mut found = 0;
        for question in 0..20 {
            let question: Vec<f32> = documents[question][7].iter().zip(&documents[3][9]).map(|(a, b)| a + b).collect();
            let probe = Probe::new(&question);
            let mut nearest = Nearest::new(100);
            for (document_no, packed) in (0..).zip(&packed) {
                assert_eq!(probe.count(packed), 100);
                probe.scan(document_no, packed, 0.0, &mut nearest);
            }
            let near = nearest.into_vec();
            assert_eq!(near.len(), 100);
            let mut exact: Vec<(f32, i32, i32)> = Vec::new();
            for (document_no, vectors) in (0..).zip(&documents) {
                for (ord, vector) in (0..).zip(vectors) {
                    exact.push((dot(&normalised(vector), &normalised(&question)), document_no, ord));
                }
            }
            exact.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (cosine, document_no, ord) in &exact[..10] {
                let hit = near.iter().find(|near| (near.document_no, near.ord) == (*document_no, *ord));
                found += usize::from(hit.is_some());
                assert!(hit.is_none_or(|hit| (hit.cosine - cosine).abs() < 0.05));
            }
        }
        assert!(found >= 198, "{found} of 200");
    }

    #[test]
    fn missing_vectors_keep_their_place_and_are_never_found() {
        let vectors = [None, Some(vec![1.0_f32, 0.0, 0.0]), Some(vec![1.0]), Some(vec![0.0, 2.0, 0.0])];
        let packed = pack(3, &vectors);
        let probe = Probe::new(&[0.0, 1.0, 0.0]);
        let mut nearest = Nearest::new(10);
        probe.scan(4, &packed, 0.0, &mut nearest);
        let mut near = nearest.into_vec();
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        assert_eq!(near.iter().map(|near| near.ord).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(Probe::new(&[1.0; 4]).count(&packed), 0, "another dimension");
    }

    #[test]
    fn a_document_of_one_passage_is_compared_nearly_exactly() {
        let packed = pack(3, &[Some([0.6_f32, 0.8, 0.0])]);
        let mut nearest = Nearest::new(1);
        Probe::new(&[1.0, 0.0, 0.0]).scan(1, &packed, 0.0, &mut nearest);
        assert!((nearest.into_vec()[0].cosine - 0.6).abs() < 0.01);
    }
}
