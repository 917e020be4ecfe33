//! How sure it is that a passage answers: a score from 0 to 1 that means the same across questions.
//!
//! A logistic function of two facts that do not depend on the other passages: the share of the question's words, by
//! their weight, that the passage has, and its cosine as the model spreads it.

use super::fusion::Fused;

/// Below this score of the best hit there is nothing to find: the border between questions that a document of the set
/// answers and questions of another set. Measured: docs/performance.md.
pub const NOTHING_BELOW: f64 = 0.5;

/// How a model spreads its cosines.
struct Spread {
    model: &'static str,
    /// The cosine of a question and a passage about something else.
    unlike: f64,
    /// That of a question and the passage that answers it.
    alike: f64,
    /// Whether it was trained on English alone.
    is_english: bool,
}

/// Of models that were measured, medians of first hits. What another model finds may be right however few words it has: it
/// is never below [`NOTHING_BELOW`].
const SPREADS: [Spread; 2] = [
    Spread { model: "all-MiniLM-L6-v2", unlike: 0.23, alike: 0.58, is_english: true },
    // In English 0.82 and 0.87, in other languages 0.79 and 0.90: the ends that lose no more than two answers in a hundred.
    Spread { model: "multilingual-e5-small", unlike: 0.80, alike: 0.90, is_english: false },
];

/// What a passage by both has: its meaning and the share of the question's words times these, plus the last.
pub const OF_BOTH: [f64; 3] = [4.2, 5.6, -2.6];
/// The same by meaning alone.
pub const OF_MEANING: [f64; 2] = [5.0, -0.6];
/// The same by words alone.
pub const OF_WORDS: [f64; 2] = [8.0, -0.8];

/// The cosines of a model that was measured with what is unlike and alike.
pub fn ends(model: &str) -> Option<(f64, f64)> {
    spread(model).map(|spread| (spread.unlike, spread.alike))
}

fn spread(model: &str) -> Option<&'static Spread> {
    SPREADS.iter().find(|spread| model.contains(spread.model))
}

/// Whether the model knows passages in this language (ISO 639-1; empty: not told). One that was not measured counts as
/// knowing all.
pub fn knows(model: &str, language: &str) -> bool {
    language == "en" || is_multilingual(model)
}

/// Whether the model was trained on many languages; one that was not measured counts as such.
pub fn is_multilingual(model: &str) -> bool {
    !spread(model).is_some_and(|spread| spread.is_english)
}

/// The score of a hit, where words took part or not; `None`: nothing is known of it that would be comparable.
pub fn confidence(hit: &Fused, model: Option<&str>, by_words: bool) -> Option<f64> {
    let spread = model.and_then(spread);
    let meaning = spread
        .zip(hit.cosine.map(|cosine| cosine + hit.lift.by))
        .map(|(spread, cosine)| ((cosine - spread.unlike) / (spread.alike - spread.unlike)).clamp(-0.5, 1.5));
    let logit = match (meaning, hit.covered) {
        // Words were not asked, or could not find it.
        (Some(meaning), None) if !by_words || hit.lift.is_foreign => OF_MEANING[0] * meaning + OF_MEANING[1],
        (Some(meaning), covered) => OF_BOTH[0] * meaning + OF_BOTH[1] * covered.unwrap_or(0.0) + OF_BOTH[2],
        (None, Some(covered)) if hit.cosine.is_some() => (OF_WORDS[0] * covered + OF_WORDS[1]).max(0.0),
        (None, Some(covered)) => OF_WORDS[0] * covered + OF_WORDS[1],
        (None, None) => return None,
    };
    Some(1.0 / (1.0 + (-logit).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::Lift;
    use domain::{ChunkId, DocumentId};
    use store::search::Candidate;
    use uuid::Uuid;

    fn hit(cosine: Option<f64>, covered: Option<f64>) -> Fused {
        let candidate =
            Candidate { chunk_id: ChunkId(Uuid::nil()), document_id: DocumentId(Uuid::nil()), ord: 0, score: 0.0 };
        Fused { candidate, fused: 0.0, cosine, lift: Lift::default(), covered, vector_rank: None, text_rank: None }
    }

    #[test]
    fn either_fact_can_make_it_sure_and_neither_alone_can_make_it_nothing() {
        let of =
            |cosine, covered| confidence(&hit(Some(cosine), Some(covered)), Some("all-MiniLM-L6-v2"), true).unwrap();
        assert!(of(0.6, 0.7) > 0.95 && of(0.6, 0.0) > NOTHING_BELOW && of(0.25, 0.6) > NOTHING_BELOW);
        assert!(of(0.25, 0.1) < NOTHING_BELOW);
        assert!(of(-1.0, 0.0) > 0.0 && of(1.0, 1.0) < 1.0);
        let by_meaning = |cosine| confidence(&hit(Some(cosine), None), Some("all-MiniLM-L6-v2"), false).unwrap();
        assert!(by_meaning(0.35) > NOTHING_BELOW && by_meaning(0.1) < NOTHING_BELOW);
    }

    #[test]
    fn each_model_has_its_own_spread() {
        let by_meaning = |cosine| confidence(&hit(Some(cosine), None), Some("multilingual-e5-small"), false).unwrap();
        assert!(by_meaning(0.86) > NOTHING_BELOW && by_meaning(0.80) < NOTHING_BELOW);
    }

    #[test]
    fn what_a_model_finds_that_was_not_measured_is_never_nothing() {
        assert_eq!(confidence(&hit(Some(0.9), None), Some("another"), true), None);
        assert!(confidence(&hit(Some(0.9), Some(0.05)), Some("another"), true).unwrap() >= NOTHING_BELOW);
        assert!(confidence(&hit(None, Some(0.05)), None, true).unwrap() < NOTHING_BELOW);
        assert!(confidence(&hit(None, Some(0.9)), None, true).unwrap() > 0.9);
        assert!(knows("another", "ru") && knows("all-MiniLM-L6-v2", "en") && !knows("all-MiniLM-L6-v2", "ru"));
    }
}
