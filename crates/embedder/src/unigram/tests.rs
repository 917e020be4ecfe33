use std::path::Path;

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::UnigramTokenizer;
use crate::{config::ModelConfig, tokenizer::ModelTokenizer};

/// A tokenizer with random pieces over few letters, so that many splits are possible and some are equally good.
fn random_tokenizer(random: &mut fastrand::Rng) -> String {
    let letters = ['a', 'b', 'ü', '語', '▁'];
    let mut vocabulary = vec![("<unk>".to_owned(), 0.0)];
    for _ in 0..random.usize(1..40) {
        let piece: String = (0..random.usize(1..5)).map(|_| letters[random.usize(0..letters.len())]).collect();
        vocabulary.push((piece, -f64::from(random.u8(0..8))));
    }
    if random.bool() {
        vocabulary.extend((0..=255).map(|byte| (format!("<0x{byte:02X}>"), -9.0)));
    }
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "decoder": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": random.bool()},
        "post_processor": null,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": random.bool()},
    })
    .to_string()
}

#[test]
fn the_ids_are_the_crates_for_random_vocabularies() {
    let mut random = fastrand::Rng::with_seed(3);
    let letters = ['a', 'b', 'ü', '語', ' ', 'x', '🦀'];
    for _ in 0..300 {
        let json = random_tokenizer(&mut random);
        let ours = UnigramTokenizer::from_bytes(&json).unwrap();
        let theirs = Tokenizer::from_bytes(&json).unwrap();
        for _ in 0..20 {
            let text: String = (0..random.usize(0..25)).map(|_| letters[random.usize(0..letters.len())]).collect();
            let (ours, theirs) = (ours.encode(&*text, true).unwrap(), theirs.encode(&*text, true).unwrap());
            assert_eq!(ours.get_ids(), theirs.get_ids(), "{text:?} with {json}");
            assert_eq!(ours.get_offsets(), theirs.get_offsets(), "{text:?} with {json}");
        }
    }
}

#[test]
fn a_vocabulary_without_its_unknown_token_is_refused() {
    for vocabulary in ["[]", r#"[["a", 0.0]]"#] {
        let json =
            format!(r#"{{"version": "1.0", "model": {{"type": "Unigram", "unk_id": 1, "vocab": {vocabulary}}}}}"#);
        assert!(UnigramTokenizer::from_bytes(json).is_err(), "{vocabulary}");
    }
}

/// A text, and the ids that the crate's own Unigram gives it.
#[derive(Deserialize)]
struct Kept {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn the_ids_of_the_default_model_are_the_crates_in_many_languages() {
    let folder = std::env::var_os("APP_E5_DIR")
        .expect("APP_E5_DIR names the multilingual-e5-small folder; scripts/test sets it");
    let folder = Path::new(&folder);
    let tokenizer = ModelTokenizer::load(folder, &ModelConfig::load(folder).unwrap()).unwrap();
    let kept: Vec<Kept> = serde_json::from_str(include_str!("ids.json")).unwrap();
    assert!(kept.len() > 40);
    for Kept { text, ids } in kept {
        assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
    }
}
