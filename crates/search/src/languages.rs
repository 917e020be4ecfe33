//! Makes the passages of a store in several languages comparable by meaning.
//!
//! A multilingual model puts a question nearer to all passages of its own language, whatever they are about. How much nearer is
//! the product of the question with the mean vector of a language. What a language is behind the nearest one, its passages are
//! lifted by. Measured: docs/performance.md.

use std::collections::{BTreeMap, HashMap};

use domain::{DocumentId, ports::EmbedModel};
use pg::{Db, DbError};
use store::search::{SearchedDocument, SpokenDocument, list_means, list_spoken_documents};
use vectors::Probe;

use super::meaning::VectorCache;

/// Documents of a language whose means are looked at; more tell the same.
const LOOKED_AT: usize = 200;
/// A language with few passages is taken to lie between its own mean and that of all; with so many passages, in the middle.
const PASSAGES: f64 = 4.0;

/// What passages are lifted by, by the language of their document.
#[derive(Debug, Default)]
pub(super) struct Lifts {
    by_number: HashMap<i32, Lift>,
    by_id: HashMap<DocumentId, Lift>,
    by_language: BTreeMap<String, f64>,
}

/// What the passages of a document are lifted by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lift {
    /// What is added to the cosine.
    pub by: f64,
    /// Whether the document is in another language than the passages that words find, so that words cannot find it.
    pub is_foreign: bool,
}

impl Lifts {
    /// For a user with documents in several languages, where words find passages in `found_in` (`None`: none). Without packed
    /// vectors nothing is lifted.
    pub async fn of_user(
        db: &Db,
        cache: &VectorCache,
        (model, vector): (&EmbedModel, &[f32]),
        user_no: i32,
        found_in: Option<&str>,
    ) -> Result<Self, DbError> {
        let documents = list_spoken_documents(db, user_no).await?;
        let mut spoken: BTreeMap<&str, Vec<&SpokenDocument>> = BTreeMap::new();
        for document in &documents {
            spoken.entry(&document.language).or_default().push(document);
        }
        if spoken.len() < 2 {
            return Ok(Self::default());
        }
        let looked_at: Vec<&SpokenDocument> = spoken.values().flat_map(|documents| spread(documents)).collect();
        let means = means(db, cache, (model, vector), &looked_at).await?;
        let lifts = lifts(
            found_in,
            looked_at.iter().filter_map(|document| {
                Some((document.language.as_str(), f64::from(document.passages), *means.get(&document.document_no)?))
            }),
        );
        let of = |document: &SpokenDocument| lifts.get(document.language.as_str()).copied().unwrap_or_default();
        Ok(Self {
            by_number: documents.iter().map(|document| (document.document_no, of(document))).collect(),
            by_id: documents.iter().map(|document| (document.document_id, of(document))).collect(),
            by_language: lifts.iter().map(|(language, lift)| ((*language).to_owned(), lift.by)).collect(),
        })
    }

    /// Whether nothing is lifted.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What passages of documents in each language are lifted by.
    pub fn by_language(self) -> BTreeMap<String, f64> {
        self.by_language
    }

    /// What passages of the document with this number are lifted by.
    pub fn of_number(&self, document_no: i32) -> f64 {
        self.by_number.get(&document_no).copied().unwrap_or_default().by
    }

    /// The same by the document's id.
    pub fn of(&self, document: DocumentId) -> Lift {
        self.by_id.get(&document).copied().unwrap_or_default()
    }
}

/// Up to [`LOOKED_AT`] of the documents, evenly spread.
fn spread<'a>(documents: &[&'a SpokenDocument]) -> Vec<&'a SpokenDocument> {
    documents.iter().step_by(documents.len().div_ceil(LOOKED_AT).max(1)).copied().collect()
}

/// The product of the question with the mean vector of each document.
async fn means(
    db: &Db,
    cache: &VectorCache,
    (model, vector): (&EmbedModel, &[f32]),
    documents: &[&SpokenDocument],
) -> Result<HashMap<i32, f64>, DbError> {
    let probe = Probe::new(vector);
    let wanted: Vec<SearchedDocument> = documents
        .iter()
        .map(|document| SearchedDocument { document_no: document.document_no, passages: document.passages })
        .collect();
    let to_mean = |(number, packed): (i32, &[u8])| Some((number, f64::from(probe.to_mean(packed)?)));
    let kept = cache.get(model, &wanted);
    let mut means: HashMap<i32, f64> =
        kept.iter().filter_map(|(number, packed)| to_mean((*number, packed.as_slice()))).collect();
    let unknown: Vec<i32> =
        wanted.iter().map(|document| document.document_no).filter(|number| !means.contains_key(number)).collect();
    if !unknown.is_empty() {
        let read = list_means(db, model, &unknown).await?;
        means.extend(read.iter().filter_map(|(number, mean)| to_mean((*number, mean))));
    }
    Ok(means)
}

/// The lift of each language, of its documents' passages and products.
fn lifts<'a>(found_in: Option<&str>, documents: impl Iterator<Item = (&'a str, f64, f64)>) -> HashMap<&'a str, Lift> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (language, passages, product) in documents {
        let (count, sum) = sums.entry(language).or_default();
        (*count, *sum) = (*count + passages, *sum + passages * product);
    }
    let (count, sum) = sums.values().fold((0.0, 0.0), |(a, b), (count, sum)| (a + count, b + sum));
    let of_all = if count > 0.0 { sum / count } else { 0.0 };
    let near = |(count, sum): (f64, f64)| (sum + PASSAGES * of_all) / (count + PASSAGES);
    let nearest = sums.values().map(|sums| near(*sums)).fold(f64::NEG_INFINITY, f64::max);
    sums.into_iter()
        .map(|(language, sums)| {
            let by = nearest - near(sums);
            (language, Lift { by, is_foreign: by > 0.0 && found_in.is_some_and(|found_in| found_in != language) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_lifted_by_what_it_is_behind_the_nearest_and_one_with_few_passages_by_less() {
        let of = |documents: &[(&'static str, f64, f64)]| lifts(Some("en"), documents.iter().copied());
        let many = of(&[("en", 500.0, 0.82), ("de", 500.0, 0.76), ("de", 500.0, 0.78)]);
        assert!(many["en"] == Lift { by: 0.0, is_foreign: false } && many["de"].is_foreign);
        assert!((many["de"].by - 0.05).abs() < 0.002, "{many:?}");
        let few = of(&[("en", 1000.0, 0.82), ("de", 4.0, 0.76)]);
        assert!((few["de"].by - 0.03).abs() < 0.002, "{few:?}");
        assert!(of(&[]).is_empty());
    }
}
