//! Reads the service's answers: vectors as numbers or as base64, in any order.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Response;
use serde::Deserialize;

use super::error::{timed_out, uncertain};
use crate::body::read_body;
use domain::{
    Code,
    ports::{Bought, BuyFailed},
};

/// Bytes of a component written as a decimal number, with room to spare.
const COMPONENT_BYTES: usize = 32;
/// Bytes of an answer beside its vectors.
const OTHER_BYTES: usize = 64 * 1024;
/// The longest vector that there is (pgvector).
const MOST_COMPONENTS: usize = 16_000;

#[derive(Debug, Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default)]
    index: Option<usize>,
    embedding: Components,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Components {
    /// `null` is what some write for a number that is none.
    Numbers(Vec<Option<f32>>),
    /// Little-endian 32-bit floats.
    Base64(String),
}

#[derive(Debug, Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<i64>,
    #[serde(default)]
    prompt_tokens: Option<i64>,
}

/// The vectors for `count` texts, each of length 1, of `dim` components if that is known. What is wrong with an answer is
/// found after the service has charged for it.
pub(super) async fn read(
    response: Response,
    count: usize,
    dim: Option<usize>,
    within: Duration,
) -> Result<Bought, BuyFailed> {
    let bound = count.saturating_mul(dim.unwrap_or(MOST_COMPONENTS)).saturating_mul(COMPONENT_BYTES) + OTHER_BYTES;
    match read_body(response, bound as u64).await {
        Ok(Some(body)) => vectors(&body, count, dim),
        Ok(None) => Err(invalid()),
        Err(broken) if broken.is_timeout() => Err(timed_out(within)),
        Err(_broken) => Err(cut()),
    }
}

fn invalid() -> BuyFailed {
    let message = "The embedding service answered with something else than its API promises. It will be asked again.";
    uncertain(Code::EmbedServiceAnswerInvalid, message)
}

fn cut() -> BuyFailed {
    uncertain(Code::EmbedServiceAnswerCut, "The embedding service's answer broke off. It will be asked again.")
}

fn vectors(body: &[u8], count: usize, dim: Option<usize>) -> Result<Bought, BuyFailed> {
    let answer: Answer = serde_json::from_slice(body)
        .or_else(|_error| serde_json::from_slice(&without_python_numbers(body)))
        .map_err(|error| if error.is_eof() { cut() } else { invalid() })?;
    if answer.data.len() != count {
        let message =
            format!("The embedding service was given {count} texts and answered with {} vectors.", answer.data.len());
        return Err(uncertain(Code::VectorCount, message));
    }
    let mut vectors: Vec<Option<Option<Vec<f32>>>> = vec![None; count];
    for (at, item) in answer.data.into_iter().enumerate() {
        let place = vectors.get_mut(item.index.unwrap_or(at)).filter(|place| place.is_none()).ok_or_else(invalid)?;
        *place = Some(vector(item.embedding, dim)?);
    }
    let tokens = answer.usage.and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
    Ok(Bought { vectors: vectors.into_iter().flatten().collect(), tokens })
}

/// Python writes `NaN`, `Infinity` and `-Infinity`, which are no JSON, for numbers that are none; others write `null`.
fn without_python_numbers(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    text.replace("NaN", "null").replace("-Infinity", "null").replace("Infinity", "null").into_bytes()
}

/// The vector with length 1; `None`: it has none.
fn vector(components: Components, dim: Option<usize>) -> Result<Option<Vec<f32>>, BuyFailed> {
    let mut vector: Vec<f32> = match components {
        Components::Numbers(numbers) => numbers.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect(),
        Components::Base64(text) => {
            let bytes = STANDARD.decode(text).map_err(|_error| invalid())?;
            let (numbers, []) = bytes.as_chunks::<4>() else { return Err(invalid()) };
            numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        }
    };
    if let Some(dim) = dim.filter(|dim| *dim != vector.len()) {
        let message = format!(
            "The embedding service gave a vector of {} components, but the model has {dim}. Check EMBED_MODEL, and what the service serves under that name.",
            vector.len()
        );
        return Err(uncertain(Code::VectorDimension, message));
    }
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if vector.len() > MOST_COMPONENTS {
        return Err(invalid());
    }
    if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
        return Ok(None);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a component of a vector of length 1")]
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Ok(Some(vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Code {
        let failed = vectors(body.as_bytes(), 1, Some(2)).unwrap_err();
        assert!(failed.uncertain, "an answer that cannot be used was charged for: {body}");
        failed.failure.code
    }

    #[test]
    fn vectors_are_read_as_numbers_and_as_base64_in_any_order_and_get_length_1() {
        let base64 = STANDARD.encode([0_f32.to_le_bytes(), 2_f32.to_le_bytes()].concat());
        let body = format!(
            r#"{{"object":"list","data":[{{"index":1,"embedding":"{base64}"}},{{"index":0,"embedding":[3,4.0]}}],"usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#
        );
        let bought = vectors(body.as_bytes(), 2, Some(2)).unwrap();
        assert_eq!(bought, Bought { vectors: vec![Some(vec![0.6, 0.8]), Some(vec![0.0, 1.0])], tokens: Some(9) });
        let bare = r#"{"data":[{"embedding":[0,5]}]}"#;
        assert_eq!(vectors(bare.as_bytes(), 1, None).unwrap().whole().unwrap(), [[0.0, 1.0]]);
    }

    #[test]
    fn a_vector_that_is_none_leaves_the_others_as_they_are() {
        for bad in ["[0,0]", "[1,null]", "[1,NaN]", "[-Infinity,1]", "[1,1e39]"] {
            let body = format!(r#"{{"data":[{{"embedding":{bad}}},{{"embedding":[0,5]}}]}}"#);
            let bought = vectors(body.as_bytes(), 2, Some(2)).unwrap();
            assert_eq!(bought.vectors, [None, Some(vec![0.0, 1.0])], "{bad}");
            assert_eq!(bought.whole().unwrap_err().code, Code::VectorInvalid);
        }
    }

    #[test]
    fn each_fault_of_an_answer_has_its_code() {
        for (body, wanted) in [
            (r#"{"data":[]}"#, Code::VectorCount),
            (r#"{"data":[{"embedding":[1]}]}"#, Code::VectorDimension),
            (r#"{"data":[{"embedding":"AAAAAAA="}]}"#, Code::EmbedServiceAnswerInvalid),
            (r#"{"data":[{"index":1,"embedding":[1,1]}]}"#, Code::EmbedServiceAnswerInvalid),
            (r#"{"data":[{"embedding":[1,"#, Code::EmbedServiceAnswerCut),
            (r#"{"data":[{"embedding":[NaN,"#, Code::EmbedServiceAnswerCut),
            ("<html>", Code::EmbedServiceAnswerInvalid),
            (r#"{"object":"list"}"#, Code::EmbedServiceAnswerInvalid),
        ] {
            assert_eq!(refused(body), wanted, "{body}");
        }
    }
}
