//! What the database needs to know of a question to rank for itself, in its function `search`.
//!
//! Words are cut, the question gets its vector, and languages are compared here; the ranking is a statement of the database. The
//! constants of the ranking go with the terms, so that they stand in one place.

use std::collections::BTreeMap;

use domain::{UserId, ports::ModelSource};
use pg::Db;
use serde::Serialize;
use store::search::{SearchIn, get_word_user};
use words::{Language, Question};

use super::{
    Query, SearchError, VectorCache,
    bm25::{SCALE, TITLE},
    confidence::{self, NOTHING_BELOW, OF_BOTH, OF_MEANING, OF_WORDS, is_multilingual},
    fusion::{self, COVERED, DEPTH, LEAST, NO_PEAK, WORDS},
    languages::Lifts,
    query_vector,
    rankings::{BEST_NAMES, BEST_WORDS, NAME_FROM},
};

/// The form of the terms, which the function checks.
const FORMAT: u8 = 1;
/// The function that takes terms of this form.
pub const FUNCTION: &str = store::search::SEARCH_FUNCTION;

/// A question as the database takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Terms {
    format: u8,
    /// Whether words are searched.
    by_words: bool,
    /// Of each word the numbers of its forms.
    words: Vec<Vec<i32>>,
    /// What the file's name must contain.
    filenames: Vec<String>,
    /// The model of the vector; `None`: there is no vector.
    model: Option<Model>,
    /// Of each language what its passages are lifted by; without an entry, by nothing.
    lifts: BTreeMap<String, f64>,
    rules: Rules,
}

impl Terms {
    /// The model's name, where there is a vector.
    pub fn model(&self) -> Option<&str> {
        self.model.as_ref().map(|model| model.name.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Model {
    name: String,
    version: String,
    is_english: bool,
    /// The cosine of a question and a passage about something else, and of one that answers, where they were measured.
    unlike: Option<f64>,
    alike: Option<f64>,
}

/// The constants of the ranking.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Rules {
    depth: usize,
    scale: f64,
    title: f64,
    name_from: f64,
    best_names: usize,
    best_words: usize,
    name: f64,
    no_peak: f64,
    least: f64,
    words: f64,
    covered_from: f64,
    of_both: [f64; 3],
    of_meaning: [f64; 2],
    of_words: [f64; 2],
    nothing_below: f64,
}

const RULES: Rules = Rules {
    depth: DEPTH,
    scale: SCALE,
    title: TITLE,
    name_from: NAME_FROM,
    best_names: BEST_NAMES,
    best_words: BEST_WORDS,
    name: fusion::TITLE,
    no_peak: NO_PEAK,
    least: LEAST,
    words: WORDS,
    covered_from: COVERED,
    of_both: OF_BOTH,
    of_meaning: OF_MEANING,
    of_words: OF_WORDS,
    nothing_below: NOTHING_BELOW,
};

/// The terms of `query`, and its vector where it is searched for by meaning. Its bounds and filters are arguments of the function.
pub async fn terms(
    db: &Db,
    model: &dyn ModelSource,
    cache: &VectorCache,
    query: Query<'_>,
) -> Result<(Terms, Option<Vec<f32>>), SearchError> {
    let user = get_word_user(db, everything_of(query.user)).await?;
    let languages: Vec<Language> =
        user.iter().flat_map(|user| &user.languages).filter_map(|code| Language::parse(code)).collect();
    let question = Question::parse(query.text, &languages);
    if question.is_only_negative() && (!question.without.is_empty() || question.filenames.is_empty()) {
        return Err(SearchError::OnlyNegative);
    }
    if question.is_strict() {
        return Err(SearchError::Strict);
    }
    let plain = if question.plain.is_empty() { query.text } else { &question.plain };
    let vector = query_vector(model, query, plain).await?;
    let mut terms = Terms {
        format: FORMAT,
        by_words: query.by_words,
        words: question.words.iter().map(|word| word.terms().collect()).collect(),
        filenames: question.filenames,
        model: None,
        lifts: BTreeMap::new(),
        rules: RULES,
    };
    let Some((embedder, vector)) = vector else { return Ok((terms, None)) };
    let model = embedder.model();
    let spread = confidence::ends(&model.name);
    terms.model = Some(Model {
        name: model.name.clone(),
        version: model.version.clone(),
        is_english: !is_multilingual(&model.name),
        unlike: spread.map(|(unlike, _)| unlike),
        alike: spread.map(|(_, alike)| alike),
    });
    if let Some(user) = user.filter(|user| user.languages.len() > 1 && is_multilingual(&model.name)) {
        terms.lifts = Lifts::of_user(db, cache, (model, &vector), user.user_no, None).await?.by_language();
    }
    Ok((terms, Some(vector)))
}

fn everything_of(user: UserId) -> SearchIn<'static> {
    SearchIn { user, documents: None, limit: 0 }
}
