//! Asks the indexes for both rankings, and fuses them.

use std::collections::{HashMap, HashSet};

use domain::{DocumentId, ports::EmbedModel};
use pg::{Db, DbError};
use store::search::{
    Candidate, SearchIn, WordUser, get_extent, get_word_user, has_old_index, list_ids, list_numbers, list_postings,
    list_title_documents, list_word_chunks, search_text, search_vectors,
};
use words::{Language, Question};

use super::{
    Query, Without,
    bm25::{ByWords, Searched, score},
    confidence::{is_multilingual, knows},
    fusion::{DEPTH, Fused, Placed, fuse, fuse_by_places},
    languages::{Lift, Lifts},
    meaning::{VectorCache, find_nearest},
};

/// Names with a word of the question that are looked at; a word of more names says nothing.
const MAX_TITLES: i64 = 20_000;
/// Documents with the best names, whose nearest passages are looked for by themselves.
pub const BEST_NAMES: usize = 5;
/// Names with a lower bonus are not looked at: what all documents share in their names tells none apart.
pub const NAME_FROM: f64 = 0.5;
/// Passages whose languages say what language the answer is in.
pub const BEST_WORDS: usize = 10;
/// A phrase is looked for in so many passages that have its words.
const DEPTH_OF_PHRASES: usize = 400;
/// Of so many documents the database chooses the postings; of more, all are read and chosen from here, since it looks
/// through the list for each row.
const FEW_DOCUMENTS: usize = 100;

/// The fused ranking.
pub(super) struct Ranked {
    /// Best first.
    pub fused: Vec<Fused>,
    /// The question as it was read.
    pub question: Question,
    /// Whether what is known of a place says how sure it is. The old index on words does not.
    pub is_comparable: bool,
}

/// Asks the rankings that `query` wants, by meaning with its vector.
pub(super) async fn rank(
    db: &Db,
    cache: &VectorCache,
    query: Query<'_>,
    vector: Option<(&EmbedModel, &[f32])>,
    within: SearchIn<'_>,
) -> Result<Ranked, DbError> {
    let Query { text, by_words, without, .. } = query;
    let user = get_word_user(db, within).await?;
    let languages: Vec<Language> =
        user.iter().flat_map(|user| &user.languages).filter_map(|code| Language::parse(code)).collect();
    let question = Question::parse(text, &languages);
    let Some(user) = user.filter(|user| user.is_filled) else {
        let fused = rank_by_old_index(db, &question, vector, by_words, within).await?;
        return Ok(Ranked { fused, question, is_comparable: false });
    };
    let words = if by_words { find_by_words(db, &user, &question, within, without).await? } else { Found::default() };
    let by_vector = match vector {
        Some(vector) => find_by_meaning(db, cache, &user, &words, vector, (within, without)).await?,
        None => Vec::new(),
    };
    let passages = usize::try_from(user.passages).unwrap_or(usize::MAX);
    let best: Vec<&String> = words.languages.iter().take(BEST_WORDS).collect();
    let known = vector.map_or(0, |(model, _)| best.iter().filter(|language| knows(&model.name, language)).count());
    let mut by_text = words.ranking;
    if vector.is_some() {
        by_text.truncate(DEPTH);
    }
    if without.scores {
        return Ok(Ranked { fused: fuse_by_places(&by_vector, &by_text), question, is_comparable: false });
    }
    Ok(Ranked { fused: fuse(&by_vector, &by_text, passages, 2 * known >= best.len()), question, is_comparable: true })
}

#[derive(Default)]
struct Found {
    ranking: Vec<Placed>,
    /// The language of each document of the ranking.
    languages: Vec<String>,
    /// The bonus of documents whose name has words of the question; only for a search by meaning.
    names: HashMap<DocumentId, f64>,
}

impl Found {
    /// The language of most of the best passages.
    fn main_language(&self) -> Option<&str> {
        let best = || self.languages.iter().take(BEST_WORDS);
        best().max_by_key(|language| best().filter(|other| other == language).count()).map(String::as_str)
    }
}

async fn find_by_words(
    db: &Db,
    user: &WordUser,
    question: &Question,
    within: SearchIn<'_>,
    without: Without,
) -> Result<Found, DbError> {
    let terms: Vec<i32> =
        question.words.iter().flat_map(|word| word.terms()).collect::<HashSet<i32>>().into_iter().collect();
    if terms.is_empty() {
        return Ok(Found::default());
    }
    let only: Option<HashSet<i32>> = match within.documents {
        Some(documents) => {
            Some(list_numbers(db, user.user_no, documents).await?.into_iter().map(|(_, number)| number).collect())
        }
        None => None,
    };
    let few: Option<Vec<i32>> =
        only.as_ref().filter(|only| only.len() <= FEW_DOCUMENTS).map(|only| only.iter().copied().collect());
    let postings = list_postings(db, user.user_no, &terms, few.as_deref()).await?;
    let titles =
        if without.names { Vec::new() } else { list_title_documents(db, user.user_no, &terms, MAX_TITLES).await? };
    let searched = Searched {
        passages: user.passages,
        documents: user.documents,
        postings: &postings,
        titles: &titles,
        only: only.as_ref(),
    };
    let depth = if question.is_strict() { DEPTH_OF_PHRASES } else { DEPTH };
    let ByWords { best, names } = score(question, &searched, depth);
    let places: Vec<(i32, i32)> = best.iter().map(|scored| (scored.document_no, scored.ord)).collect();
    let mut chunks = list_word_chunks(db, within, &places).await?;
    chunks.sort_unstable_by_key(|(i, _, _)| *i);
    let languages = chunks.iter().map(|(_, _, language)| language.clone()).collect();
    let placed = |(i, candidate, _): (i64, Candidate, String)| {
        let scored = best.get(usize::try_from(i - 1).ok()?)?;
        let name = names.get(&scored.document_no).copied().unwrap_or(0.0);
        let candidate = Candidate { score: scored.score, ..candidate };
        Some(Placed { candidate, covered: scored.covered, name, lift: Lift::default() })
    };
    let ranking = chunks.into_iter().filter_map(placed).collect();
    Ok(Found { ranking, languages, names: best_names(db, user, names).await? })
}

/// The documents with the best names.
async fn best_names(db: &Db, user: &WordUser, names: HashMap<i32, f64>) -> Result<HashMap<DocumentId, f64>, DbError> {
    let mut names: Vec<(i32, f64)> = names.into_iter().filter(|(_, bonus)| *bonus > NAME_FROM).collect();
    names.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    names.truncate(DEPTH);
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let numbers: Vec<i32> = names.iter().map(|(number, _)| *number).collect();
    let ids: HashMap<i32, DocumentId> =
        list_ids(db, user.user_no, &numbers).await?.into_iter().map(|(id, number)| (number, id)).collect();
    Ok(names.into_iter().filter_map(|(number, bonus)| Some((*ids.get(&number)?, bonus))).collect())
}

async fn find_by_meaning(
    db: &Db,
    cache: &VectorCache,
    user: &WordUser,
    words: &Found,
    (model, vector): (&EmbedModel, &[f32]),
    (within, without): (SearchIn<'_>, Without),
) -> Result<Vec<Placed>, DbError> {
    let asked = (model, vector);
    let lifts = match user.languages.len() {
        2.. if is_multilingual(&model.name) && !without.lifts => {
            Lifts::of_user(db, cache, asked, user.user_no, words.main_language()).await?
        }
        _ => Lifts::default(),
    };
    let mut found = find_nearest(db, cache, asked, &lifts, (user.user_no, Some(user.passages)), within).await?;
    let mut named: Vec<(DocumentId, f64)> = words.names.iter().map(|(id, bonus)| (*id, *bonus)).collect();
    named.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    named.truncate(BEST_NAMES);
    if !named.is_empty() && within.documents.is_none() {
        let documents: Vec<DocumentId> = named.iter().map(|(id, _)| *id).collect();
        let within = SearchIn { documents: Some(&documents), ..within };
        let further = find_nearest(db, cache, asked, &lifts, (user.user_no, None), within).await?;
        let known: HashSet<_> = found.iter().map(|candidate| candidate.chunk_id).collect();
        found.extend(further.into_iter().filter(|candidate| !known.contains(&candidate.chunk_id)));
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    let name = |candidate: &Candidate| words.names.get(&candidate.document_id).copied().unwrap_or(0.0);
    let placed = |candidate: Candidate| Placed {
        covered: 0.0,
        name: name(&candidate),
        lift: lifts.of(candidate.document_id),
        candidate,
    };
    Ok(found.into_iter().map(placed).collect())
}

/// For a user whose documents are not all in the index on words yet.
async fn rank_by_old_index(
    db: &Db,
    question: &Question,
    vector: Option<(&EmbedModel, &[f32])>,
    by_words: bool,
    within: SearchIn<'_>,
) -> Result<Vec<Fused>, DbError> {
    let placed = |found: Vec<Candidate>| -> Vec<Placed> {
        found
            .into_iter()
            .map(|candidate| Placed { candidate, covered: 0.0, name: 0.0, lift: Lift::default() })
            .collect()
    };
    let by_vector = match vector {
        Some((model, vector)) => placed(search_vectors(db, model, vector, within).await?),
        None => Vec::new(),
    };
    let by_text = match by_words && has_old_index(db).await? {
        true => placed(search_text(db, &question.plain, within, get_extent(db, within).await?).await?),
        false => Vec::new(),
    };
    Ok(fuse_by_places(&by_vector, &by_text))
}
