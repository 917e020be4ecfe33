//! What of the service's answer is whose.

use super::Seated;
use crate::embed::check_vectors;
use domain::ports::{Bought, BuyFailed, EmbedModel};

/// Checks the service's answer. The database would refuse a wrong dimension only later.
pub(super) fn checked(model: &EmbedModel, wanted: usize, bought: Bought) -> Result<Bought, BuyFailed> {
    let there: Vec<&[f32]> = bought.vectors.iter().flatten().map(Vec::as_slice).collect();
    let lacking = bought.vectors.len() - there.len();
    match check_vectors(model, wanted.saturating_sub(lacking), &there) {
        Ok(()) => Ok(bought),
        Err(failure) => Err(BuyFailed { failure, uncertain: true, refuses_texts: false }),
    }
}

/// Gives each job its vectors and its part of the tokens; the parts add up to the whole.
pub(super) fn hand_out(bought: Bought, seated: Vec<Seated>) {
    let all: usize = seated.iter().map(|part| part.tokens).sum();
    let (mut vectors, mut before, mut charged) = (bought.vectors.into_iter(), 0, 0);
    for part in seated {
        before += part.tokens;
        let tokens = bought.tokens.map(|whole| {
            let up_to = share(whole, before, all);
            let tokens = up_to - charged;
            charged = up_to;
            tokens
        });
        let vectors = vectors.by_ref().take(part.texts.len()).collect();
        // A job that is gone finds its row open when it comes back.
        let _ = part.answer.send(Ok(Bought { vectors, tokens }));
    }
}

/// What `part` of `all` has of `whole`.
pub(crate) fn share(whole: i64, part: usize, all: usize) -> i64 {
    if part == all {
        return whole;
    }
    let of = i128::from(whole) * part as i128 / (all as i128).max(1);
    i64::try_from(of).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn each_job_gets_its_vectors_and_the_parts_of_the_tokens_add_up() {
        let (mut seated, mut answers) = (Vec::new(), Vec::new());
        for (texts, tokens) in [(2, 10), (1, 1), (3, 6)] {
            let (answer, given) = oneshot::channel();
            seated.push(Seated { texts: vec![String::new(); texts], tokens, answer });
            answers.push(given);
        }
        let vectors = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|n| Some(vec![n])).into();
        hand_out(Bought { vectors, tokens: Some(100) }, seated);
        let got: Vec<Bought> = answers
            .into_iter()
            .map(|mut given| given.try_recv().unwrap().unwrap_or_else(|_| panic!("it is sold")))
            .collect();
        let firsts: Vec<f32> = got.iter().map(|part| part.vectors[0].as_ref().unwrap()[0]).collect();
        assert_eq!(firsts, [0.0, 2.0, 3.0]);
        assert_eq!(got.iter().map(|part| part.tokens.unwrap()).collect::<Vec<_>>(), [58, 6, 36]);
    }
}
