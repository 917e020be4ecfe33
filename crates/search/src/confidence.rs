//! How sure it is that a passage answers: a score from 0 to 1 that means the same across questions.
//!
//! A logistic function of two facts that do not depend on the other passages: the share of the question's words, by
//! their weight, that the passage has, and its cosine as the model spreads it.

use super::fusion::Fused;

/// Below this score of the best hit there is nothing to find. Measured: docs/performance.md.
pub const NOTHING_BELOW: f64 = 0.1;

/// How a model spreads its cosines.
struct Spread {
    model: &'static str,
    /// The cosine of a question and a passage about something else.
    unlike: f64,
    /// That of a question and the passage that answers it.
    alike: f64,
}

/// Of models that were measured. With another model, meaning says nothing of how sure a hit is.
const SPREADS: [Spread; 2] = [
    Spread { model: "all-MiniLM-L6-v2", unlike: 0.25, alike: 0.60 },
    Spread { model: "multilingual-e5-small", unlike: 0.80, alike: 0.87 },
];

/// The score of a hit; `None`: nothing is known of it that would be comparable.
pub fn confidence(hit: &Fused, model: Option<&str>) -> Option<f64> {
    let spread = model.and_then(|model| SPREADS.iter().find(|spread| model.contains(spread.model)));
    let meaning = spread
        .zip(hit.cosine)
        .map(|(spread, cosine)| ((cosine - spread.unlike) / (spread.alike - spread.unlike)).clamp(-0.5, 1.5));
    let logit = match (meaning, hit.covered) {
        (Some(meaning), covered) => 6.0 * meaning + 4.0 * covered.unwrap_or(0.0) - 4.5,
        (None, Some(covered)) => 8.0 * covered - 3.5,
        (None, None) => return None,
    };
    Some(1.0 / (1.0 + (-logit).exp()))
}
