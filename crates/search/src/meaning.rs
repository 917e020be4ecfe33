//! Finds the passages of a user that are nearest to a question: docs/decisions/0030.
//!
//! The packed vectors of the documents are compared here, and the best of them in the database by their real vectors. Packed
//! vectors are kept in memory: a document's never change, as each time that it is indexed it gets another number.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use domain::ports::EmbedModel;
use pg::{Db, DbError};
use store::search::{
    Candidate, SearchIn, SearchedDocument, list_chosen, list_cosines, list_ids, list_packed, list_searched_documents,
    search_vectors,
};
use vectors::{Nearest, Probe};

use super::languages::Lifts;

/// Up to so many passages all real vectors are compared: it takes as long as the rest of a search, and misses nothing.
const ALL_UP_TO: i64 = 2000;
/// The best by packed vectors that are compared by their real ones. Measured: docs/performance.md.
const COMPARED: usize = 400;
/// Passages whose packed vectors are read from the database at a time: some 20 MB with 384 components.
const AT_A_TIME: i64 = 200_000;

/// Packed vectors of documents by their number.
pub(super) type Packed = Vec<(i32, Arc<Vec<u8>>)>;

/// Packed vectors that were read from the database, the latest used ones, within a bound of memory.
#[derive(Debug)]
pub struct VectorCache {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Name and version of the model that all are of.
    model: (String, String),
    by_number: HashMap<i32, (Arc<Vec<u8>>, u64)>,
    bytes: usize,
    /// Grows with each use.
    turn: u64,
}

impl VectorCache {
    /// Keeps up to `most_bytes`.
    pub fn new(most_bytes: usize) -> Self {
        Self { most_bytes, kept: Mutex::default() }
    }

    /// What is kept of these documents.
    pub(super) fn get(&self, model: &EmbedModel, documents: &[SearchedDocument]) -> Packed {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if (&kept.model.0, &kept.model.1) != (&model.name, &model.version) {
            return Vec::new();
        }
        kept.turn += 1;
        let turn = kept.turn;
        let found = documents.iter().filter_map(|document| {
            let (packed, used) = kept.by_number.get_mut(&document.document_no)?;
            *used = turn;
            Some((document.document_no, Arc::clone(packed)))
        });
        found.collect()
    }

    fn keep(&self, model: &EmbedModel, read: &Packed) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        if (&kept.model.0, &kept.model.1) != (&model.name, &model.version) {
            *kept = Kept { model: (model.name.clone(), model.version.clone()), ..Kept::default() };
        }
        for (number, packed) in read {
            if kept.by_number.insert(*number, (Arc::clone(packed), kept.turn)).is_none() {
                kept.bytes += packed.len();
            }
        }
        if kept.bytes > self.most_bytes {
            // A quarter more than must go, so that not each search has to sort.
            let mut ages: Vec<(u64, i32)> = kept.by_number.iter().map(|(number, (_, used))| (*used, *number)).collect();
            ages.sort_unstable();
            for (_, number) in ages {
                if kept.bytes <= self.most_bytes / 4 * 3 {
                    break;
                }
                if let Some((packed, _)) = kept.by_number.remove(&number) {
                    kept.bytes -= packed.len();
                }
            }
        }
    }
}

/// The best passages by meaning, with their cosine, lifted as `lifts` says. `passages`: how many there are within `within`,
/// where that is known.
pub(super) async fn find_nearest(
    db: &Db,
    cache: &VectorCache,
    asked: (&EmbedModel, &[f32]),
    lifts: &Lifts,
    user: (i32, Option<i64>),
    within: SearchIn<'_>,
) -> Result<Vec<Candidate>, DbError> {
    let (found, is_short) = find(db, cache, asked, lifts, user, within).await?;
    if !is_short {
        return Ok(found);
    }
    // Documents that are read again, and so not complete, have taken places that others would have.
    let complete = list_chosen(db, within, &[], None).await?;
    let within = SearchIn { documents: Some(&complete), ..within };
    Ok(find(db, cache, asked, lifts, (user.0, None), within).await?.0)
}

/// The same, and whether passages that were near are not to be found.
async fn find(
    db: &Db,
    cache: &VectorCache,
    (model, vector): (&EmbedModel, &[f32]),
    lifts: &Lifts,
    (user_no, passages): (i32, Option<i64>),
    within: SearchIn<'_>,
) -> Result<(Vec<Candidate>, bool), DbError> {
    let is_few = |passages| passages <= ALL_UP_TO;
    let limit = usize::try_from(within.limit).unwrap_or(usize::MAX);
    // Where some are lifted, the best are known only then.
    let all = if lifts.is_empty() { within } else { SearchIn { limit: ALL_UP_TO, ..within } };
    if passages.is_some_and(is_few) {
        return Ok((best(search_vectors(db, model, vector, all).await?, lifts, limit), false));
    }
    let documents = list_searched_documents(db, user_no, within).await?;
    if is_few(documents.iter().map(|document| i64::from(document.passages)).sum()) {
        return Ok((best(search_vectors(db, model, vector, all).await?, lifts, limit), false));
    }
    let kept = cache.get(model, &documents);
    let known: HashSet<i32> = kept.iter().map(|(number, _)| *number).collect();
    let unknown: Vec<SearchedDocument> =
        documents.into_iter().filter(|document| !known.contains(&document.document_no)).collect();
    let probe = Arc::new(Probe::new(vector));
    let mut nearest = scan(&probe, lifted(kept, lifts), Nearest::new(COMPARED)).await?;
    let mut unpacked: Vec<i32> = Vec::new();
    for documents in batches(&unknown) {
        let read = list_packed(db, model, &documents).await?;
        // What is of another dimension counts as not packed.
        let read = read.into_iter().filter(|(_, packed)| probe.count(packed) > 0);
        let read: Packed = read.map(|(number, packed)| (number, Arc::new(packed))).collect();
        let packed: HashSet<i32> = read.iter().map(|(number, _)| *number).collect();
        unpacked.extend(documents.iter().filter(|number| !packed.contains(number)));
        cache.keep(model, &read);
        nearest = scan(&probe, lifted(read, lifts), nearest).await?;
    }
    let places: Vec<(i32, i32)> = nearest.into_vec().iter().map(|near| (near.document_no, near.ord)).collect();
    let all = if lifts.is_empty() { within } else { SearchIn { limit: COMPARED as i64, ..within } };
    let mut found = list_cosines(db, model, vector, all, &places).await?;
    let is_short = found.len() < limit.min(places.len());
    if !unpacked.is_empty() {
        // Documents that housekeeping has yet to fill in.
        let ids: Vec<_> = list_ids(db, user_no, &unpacked).await?.into_iter().map(|(id, _)| id).collect();
        found.extend(search_vectors(db, model, vector, SearchIn { documents: Some(&ids), ..all }).await?);
    }
    Ok((best(found, lifts, limit), is_short))
}

/// The best `limit` of what was found, lifted.
fn best(mut found: Vec<Candidate>, lifts: &Lifts, limit: usize) -> Vec<Candidate> {
    for candidate in &mut found {
        candidate.score += lifts.of(candidate.document_id).by;
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_id.0.cmp(&b.chunk_id.0)));
    found.truncate(limit);
    found
}

/// Packed vectors with what their document is lifted by.
type Lifted = Vec<(i32, Arc<Vec<u8>>, f32)>;

#[expect(clippy::cast_possible_truncation, reason = "the estimate is good to a few hundredths")]
fn lifted(packed: Packed, lifts: &Lifts) -> Lifted {
    packed.into_iter().map(|(number, packed)| (number, packed, lifts.of_number(number) as f32)).collect()
}

/// Compares packed vectors, on a thread that may compute.
async fn scan(probe: &Arc<Probe>, packed: Lifted, mut nearest: Nearest) -> Result<Nearest, DbError> {
    if packed.is_empty() {
        return Ok(nearest);
    }
    let probe = Arc::clone(probe);
    let scanned = tokio::task::spawn_blocking(move || {
        for (number, packed, lift) in &packed {
            probe.scan(*number, packed, *lift, &mut nearest);
        }
        nearest
    });
    scanned.await.map_err(|error| DbError::Row {
        place: "search_vectors".to_owned(),
        message: format!("comparing the packed vectors stopped: {error}"),
    })
}

/// The numbers in parts of at most [`AT_A_TIME`] passages, or one document.
fn batches(documents: &[SearchedDocument]) -> Vec<Vec<i32>> {
    let (mut batches, mut passages) = (Vec::<Vec<i32>>::new(), i64::MAX);
    for document in documents {
        passages = passages.saturating_add(i64::from(document.passages));
        if passages > AT_A_TIME {
            passages = i64::from(document.passages);
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(document.document_no);
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> EmbedModel {
        EmbedModel { name: name.into(), version: "1".into(), dim: 2, max_tokens: 8 }
    }

    fn document(document_no: i32, passages: i32) -> SearchedDocument {
        SearchedDocument { document_no, passages }
    }

    #[test]
    fn the_latest_used_are_kept_within_the_bound_and_another_model_s_are_not_given() {
        let cache = VectorCache::new(100);
        let of_size = |number, bytes| (number, Arc::new(vec![0_u8; bytes]));
        let kept = |model: &EmbedModel| {
            let all: Vec<SearchedDocument> = (0..9).map(|number| document(number, 1)).collect();
            let mut numbers: Vec<i32> = cache.get(model, &all).iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            numbers
        };
        cache.keep(&model("a"), &vec![of_size(1, 30), of_size(2, 30), of_size(3, 30)]);
        assert_eq!(kept(&model("a")), [1, 2, 3]);
        assert_eq!(cache.get(&model("a"), &[document(1, 1)]).len(), 1);
        cache.keep(&model("a"), &vec![of_size(4, 30)]);
        assert_eq!(kept(&model("a")), [1, 4]);
        assert!(kept(&model("b")).is_empty());
        cache.keep(&model("b"), &vec![of_size(5, 200)]);
        assert!(kept(&model("a")).is_empty() && kept(&model("b")).is_empty());
    }

    #[test]
    fn documents_are_read_in_parts_of_so_many_passages() {
        let half = i32::try_from(AT_A_TIME / 2).unwrap();
        let parts =
            batches(&[document(1, half), document(2, half), document(3, 1), document(4, 3 * half), document(5, 1)]);
        assert_eq!(parts, [vec![1, 2], vec![3], vec![4], vec![5]]);
        assert!(batches(&[]).is_empty());
    }
}
