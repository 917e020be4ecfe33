//! Searches a user's complete documents: by meaning, by words, or by both, fused into one ranking. The database can rank by itself
//! what [`terms()`] makes of a question.
//!
//! *Must not know:* HTTP and its messages, the queue, concrete models.

mod bm25;
mod confidence;
mod fusion;
mod languages;
mod meaning;
mod passages;
mod rankings;
mod rerank;
mod terms;

use std::{collections::HashMap, sync::Arc};

use domain::{
    ChunkId, Code, DocumentId, Failure, UserId,
    filter::Filter,
    ports::{EmbedPriority, EmbedService, Embedder, ModelSource, Reranker},
};
use pg::{Db, DbError};
use store::{
    questions::{Asked, QuestionTally},
    search::{FoundChunk, SearchIn, list_chosen, list_found_chunks, list_neighbours},
};
use words::{Highlighter, Question};

use confidence::{NOTHING_BELOW, confidence};
use fusion::DEPTH;
pub use fusion::Fused;
pub use languages::Lift;
pub use meaning::VectorCache;
pub use passages::{Around, Passage};
use passages::{Folder, Triples, are_on_a_page, expand, language_of};
use rankings::{Ranked, rank};
use rerank::{Scored, rerank};
pub use terms::{FUNCTION, Terms, terms};

/// The most hits of a search.
pub const MAX_HITS: u32 = 50;

/// Bytes of a token of a question, where the service does not say how many there are.
const TOKEN_BYTES: usize = 4;

/// What a ranking goes without, to measure what each part of it brings (`examples/search_bench.rs`). Users go without nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Without {
    /// Bonuses of documents' names.
    pub names: bool,
    /// Fusion by scores that stand out: reciprocal ranks take its place.
    pub scores: bool,
    /// What passages in other languages are lifted by.
    pub lifts: bool,
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Whose documents to search.
    pub user: UserId,
    /// Only this document.
    pub document: Option<DocumentId>,
    /// Only documents for which this holds.
    pub filter: Option<&'a Filter>,
    /// A question or some words.
    pub text: &'a str,
    /// Whether to search by meaning. With `by_words`, a search goes on without the model where that fails.
    pub by_meaning: bool,
    /// Whether to search by words.
    pub by_words: bool,
    /// The most hits to return, up to [`MAX_HITS`].
    pub limit: usize,
    /// The least score of a hit; `None`: any, if the best is above what a question about something else gets.
    pub min_score: Option<f64>,
    /// The neighbours that a hit is put together with.
    pub around: Option<Around>,
    /// The most characters of a hit with its neighbours.
    pub max_chars: usize,
    /// The most hits of one document; `None`: any number.
    pub per_document: Option<usize>,
    /// Whether hits that are nearly the same as a better one are left out.
    pub distinct: bool,
    /// Counts the question if a service was asked for its vector.
    pub tally: Option<&'a QuestionTally>,
    /// Parts of the ranking that are left out.
    pub without: Without,
}

impl<'a> Query<'a> {
    /// A question in all documents of `user`, with the defaults of everything else.
    pub fn of(user: UserId, text: &'a str, by_meaning: bool, by_words: bool) -> Self {
        Self {
            user,
            document: None,
            filter: None,
            text,
            by_meaning,
            by_words,
            limit: 10,
            min_score: None,
            around: None,
            max_chars: 4000,
            per_document: None,
            distinct: false,
            tally: None,
            without: Without::default(),
        }
    }
}

/// One hit.
#[derive(Debug)]
pub struct Hit {
    /// Its place in the rankings.
    pub place: Fused,
    /// The passage.
    pub passage: Passage,
    /// From 0 to 1, how sure it is that the passage answers; no greater than that of the hit before.
    pub score: f64,
    /// Fragments of the passage with `**` around the words of the question.
    pub highlight: String,
}

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The model of the vectors; `None`: the search was by words only.
    pub model: Option<String>,
    /// The reranker whose order and scores the hits have; `None`: those of the search.
    pub reranker: Option<String>,
}

/// Why a search failed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The database failed; a retry may help.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The query has no vector, and a search by words was not wanted. The class says whether a retry may help.
    #[error(transparent)]
    Embedding(Failure),
    /// The query only says what is not wanted.
    #[error("the query only says what is not wanted")]
    OnlyNegative,
    /// The query has phrases or exclusions, which only a search that reads the passages can keep. [`terms()`] refuses it.
    #[error("the query has a phrase or an exclusion")]
    Strict,
}

/// Runs `query`. No connection is held while the model or the reranker works.
pub async fn search(
    db: &Db,
    model: &dyn ModelSource,
    cache: &VectorCache,
    reranker: Option<&dyn Reranker>,
    query: Query<'_>,
) -> Result<Found, SearchError> {
    let syntax = Question::parse(query.text, &[]);
    if syntax.is_only_negative() && (!syntax.without.is_empty() || syntax.filenames.is_empty()) {
        return Err(SearchError::OnlyNegative);
    }
    let plain = if syntax.plain.is_empty() { query.text } else { &syntax.plain };
    let vector = query_vector(model, query, plain).await?;
    let name = vector.as_ref().map(|(embedder, _)| embedder.model().name.clone());
    let documents = documents(db, query, &syntax).await?;
    let within = SearchIn { user: query.user, documents: documents.as_deref(), limit: DEPTH as i64 };
    let vector = vector.as_ref().map(|(embedder, vector)| (embedder.model(), vector.as_slice()));
    let ranked = rank(db, cache, query, vector, within).await?;
    let Some(mut best) = best(&ranked, query, name.as_deref()) else {
        return Ok(Found { hits: Vec::new(), model: name, reranker: None });
    };
    let reranker = match reranker {
        Some(reranker) if rerank(db, reranker, query, plain, &mut best).await? => Some(reranker.name().to_owned()),
        Some(_) | None => None,
    };
    let hits = hits(db, query, &ranked.question, best).await?;
    Ok(Found { hits, model: name, reranker })
}

/// The documents to search; `None`: all.
async fn documents(db: &Db, query: Query<'_>, syntax: &Question) -> Result<Option<Vec<DocumentId>>, DbError> {
    let document = query.document.map(|document| vec![document]);
    if syntax.filenames.is_empty() && query.filter.is_none() {
        return Ok(document);
    }
    let within = SearchIn { user: query.user, documents: document.as_deref(), limit: DEPTH as i64 };
    Ok(Some(list_chosen(db, within, &syntax.filenames, query.filter).await?))
}

/// The ranking with its scores; `None`: even the best is most likely about something else.
fn best(ranked: &Ranked, query: Query<'_>, model: Option<&str>) -> Option<Vec<Scored>> {
    let scores = scores(&ranked.fused, model, query.by_words, ranked.is_comparable);
    let is_doubtful = ranked.is_comparable && scores.first().is_some_and(|best| *best < NOTHING_BELOW);
    if query.min_score.is_none() && is_doubtful {
        return None;
    }
    Some(ranked.fused.iter().cloned().zip(scores).collect())
}

/// The hits as they are returned: what fits the question's phrases, bounded, with neighbours.
async fn hits(db: &Db, query: Query<'_>, question: &Question, mut rest: Vec<Scored>) -> Result<Vec<Hit>, DbError> {
    rest.retain(|(_, score)| *score >= query.min_score.unwrap_or(0.0));
    let mut hits: Vec<Hit> = Vec::new();
    let mut highlighter = Highlighter::new(&question.words);
    let (mut folder, mut of_document) = (Folder::default(), HashMap::<DocumentId, usize>::new());
    while !rest.is_empty() && hits.len() < query.limit {
        let batch: Vec<Scored> = rest.drain(..rest.len().min(query.limit)).collect();
        let ids: Vec<ChunkId> = batch.iter().map(|(place, _)| place.candidate.chunk_id).collect();
        let chunks = list_found_chunks(db, query.user, &ids).await?;
        let mut chunks: HashMap<ChunkId, FoundChunk> =
            chunks.into_iter().map(|chunk| (chunk.chunk_id, chunk)).collect();
        for (place, score) in batch {
            // A chunk that was deleted since it was found is left out.
            let Some(chunk) = chunks.remove(&place.candidate.chunk_id) else { continue };
            if question.is_strict() && !question.accepts(&chunk.heading, &chunk.text, language_of(&chunk)) {
                continue;
            }
            // It is a part of that hit.
            if query.around == Some(Around::Page) && hits.iter().any(|hit| are_on_a_page(&hit.passage.chunk, &chunk)) {
                continue;
            }
            let triples = query.distinct.then(|| Triples::of(&chunk.text));
            if let Some(same) = triples.as_ref().and_then(|triples| folder.find(triples)) {
                hits[same].passage.duplicates += 1;
                continue;
            }
            let count = of_document.entry(chunk.document_id).or_default();
            if query.per_document.is_some_and(|most| *count >= most) || hits.len() == query.limit {
                continue;
            }
            *count += 1;
            if let Some(triples) = triples {
                folder.push(triples);
            }
            let highlight = highlighter.highlight(&chunk.text, language_of(&chunk));
            hits.push(Hit { place, passage: Passage::of(chunk), score, highlight });
        }
    }
    let Some(around) = query.around else { return Ok(hits) };
    let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.passage.chunk.chunk_id).collect();
    let neighbours = list_neighbours(db, &ids, around.distance()).await?;
    let (passages, mut rest): (Vec<Passage>, HashMap<ChunkId, Hit>) =
        hits.into_iter().map(|hit| (hit.passage.clone(), (hit.passage.chunk.chunk_id, hit))).unzip();
    let expanded = expand(passages, neighbours, around, query.max_chars);
    Ok(expanded
        .into_iter()
        .filter_map(|passage| Some(Hit { passage: passage.clone(), ..rest.remove(&passage.chunk.chunk_id)? }))
        .collect())
}

/// The score of each place; none is above that of a better place.
fn scores(fused: &[Fused], model: Option<&str>, by_words: bool, is_comparable: bool) -> Vec<f64> {
    let mut scores: Vec<f64> = fused
        .iter()
        .map(|place| {
            if is_comparable { confidence(place, model, by_words).unwrap_or(0.5) } else { place.fused.clamp(0.0, 1.0) }
        })
        .collect();
    for i in 1..scores.len() {
        scores[i] = scores[i].min(scores[i - 1]);
    }
    scores
}

type QueryVector = Option<(Arc<dyn Embedder>, Vec<f32>)>;

async fn query_vector(model: &dyn ModelSource, query: Query<'_>, text: &str) -> Result<QueryVector, SearchError> {
    if !query.by_meaning {
        return Ok(None);
    }
    match embed(model, query, text).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if query.by_words => {
            tracing::warn!(
                error.code = failure.code.as_str(),
                "the query has no vector, so words alone are searched: {failure}"
            );
            Ok(None)
        }
        Err(failure) => Err(SearchError::Embedding(failure)),
    }
}

async fn embed(
    model: &dyn ModelSource,
    query: Query<'_>,
    text: &str,
) -> Result<(Arc<dyn Embedder>, Vec<f32>), Failure> {
    let embedder = model.embedder().await?;
    let mut vectors = match embedder.service() {
        Some(service) => ask(service, &embedder.model().name, query, text).await?,
        None => embedder.embed(vec![text.to_owned()], EmbedPriority::Query).await?,
    };
    let vector = vectors.pop().filter(|vector| vector.len() == embedder.model().dim);
    let vector =
        vector.ok_or_else(|| Failure::new(Code::EmbedderAnswerInvalid, "the model gave no vector of its dimension"))?;
    Ok((embedder, vector))
}

/// Asks a service for the question's vector, and counts what that costs.
async fn ask(service: &dyn EmbedService, model: &str, query: Query<'_>, text: &str) -> Result<Vec<Vec<f32>>, Failure> {
    let answer = service.ask(text).await;
    let (tokens, is_uncertain) = match &answer {
        Ok(bought) => (bought.tokens, false),
        Err(failed) => (None, failed.uncertain),
    };
    if let Some(tally) = query.tally
        && (answer.is_ok() || is_uncertain)
    {
        let reckoned = || i64::try_from(text.len().div_ceil(TOKEN_BYTES)).unwrap_or(i64::MAX);
        let tokens = tokens.unwrap_or_else(reckoned);
        tally.count(Asked { user: query.user, provider: service.name(), model, tokens, is_uncertain });
    }
    answer.map_err(|failed| failed.failure)?.whole()
}
