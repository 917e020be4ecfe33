#![expect(clippy::cast_possible_truncation, reason = "vectors are compared as the encoder gives them")]

use std::{num::NonZeroUsize, path::Path};

use super::{
    LocalEmbedder, Precision,
    config::ModelConfig,
    encoder::{Encoder, Numbers},
    isa::Isa,
    prepare,
    reference::{Folder, POSITIONS, Store, TinyModel, VOCABULARY},
};
use domain::{
    Code, ErrorClass, Failure,
    ports::{EmbedPriority, Embedder},
};
use kernels::Kernel;

/// Random texts of these numbers of words.
fn ids_of(lengths: &[usize]) -> Vec<Vec<u32>> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut text = |words| (0..words).map(|_| random.u32(4..u32::from(VOCABULARY))).collect::<Vec<_>>();
    lengths.iter().map(|words| [vec![2], text(*words), vec![3]].concat()).collect()
}

/// A text whose tokens are `ids`.
fn text_of(ids: &[u32]) -> String {
    ids[1..ids.len() - 1].iter().map(|id| format!("w{id}")).collect::<Vec<_>>().join(" ")
}

fn assert_close(vector: &[f32], expected: &[f64]) {
    assert_eq!(vector.len(), expected.len());
    for (x, y) in vector.iter().zip(expected) {
        assert!((f64::from(*x) - y).abs() < 1e-5, "{x} is not {y} in {vector:?}, {expected:?}");
    }
}

fn load(folder: &Path, threads: usize) -> Result<LocalEmbedder, Failure> {
    LocalEmbedder::load(folder, "tiny", "3", Precision::F32, NonZeroUsize::new(threads).unwrap())
}

fn error_of(folder: &Path) -> Failure {
    load(folder, 1).err().expect("the model should be refused")
}

#[test]
fn every_instruction_set_agrees_with_the_reference_model() {
    let model = TinyModel::new();
    let texts = ids_of(&[5, 0, 40, 31, 87, 1, 12]);
    for (store, prefix) in [(Store::F32, ""), (Store::F16, "bert."), (Store::BF16, "")] {
        let folder = model.write(store, prefix);
        for isa in Isa::all() {
            let encoder = Encoder::load(&folder.0, ModelConfig::load(&folder.0).unwrap(), isa, Numbers::F32).unwrap();
            let mut scratch = encoder.scratch();
            // In the second round, the buffers hold values of the first.
            for _ in 0..2 {
                for (ids, vector) in texts.iter().zip(encoder.encode(&texts, &mut scratch)) {
                    assert_close(&vector, &model.vector(ids, true));
                }
                encoder.encode(&ids_of(&[80, 80]), &mut scratch);
            }
        }
    }
}

/// The cosine of two vectors of length 1.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[test]
fn eight_bits_agree_with_the_reference_model_on_every_kernel() {
    let model = TinyModel::new();
    let texts = ids_of(&[5, 0, 40, 31, 87, 1, 12]);
    let folder = model.write(Store::F32, "");
    let mut first: Option<Vec<Vec<f32>>> = None;
    for isa in Isa::all() {
        for kernel in Kernel::all() {
            let config = ModelConfig::load(&folder.0).unwrap();
            let encoder = Encoder::load(&folder.0, config, isa, Numbers::Int8(kernel)).unwrap();
            let mut scratch = encoder.scratch();
            for _ in 0..2 {
                let vectors = encoder.encode(&texts, &mut scratch);
                for (ids, vector) in texts.iter().zip(&vectors) {
                    let expected = model.vector(ids, true).iter().map(|x| *x as f32).collect::<Vec<_>>();
                    assert!(cosine(vector, &expected) > 0.999, "{}", kernel.name());
                }
                // Kernels and instruction sets differ by the rounding of floats only, which a value between two steps
                // can turn into a whole step.
                let first = first.get_or_insert_with(|| vectors.clone());
                assert!(vectors.iter().zip(first).all(|(a, b)| cosine(a, b) > 0.9999), "{}", kernel.name());
                encoder.encode(&ids_of(&[80, 80]), &mut scratch);
            }
        }
    }
}

#[test]
fn a_text_has_the_same_vector_alone_and_among_others() {
    let folder = TinyModel::new().write(Store::F32, "");
    let texts = ids_of(&[5, 40, 31, 87, 1, 60]);
    for numbers in [Numbers::F32, Numbers::Int8(Kernel::best())] {
        let config = ModelConfig::load(&folder.0).unwrap();
        let encoder = Encoder::load(&folder.0, config, Isa::best(), numbers).unwrap();
        let together = encoder.encode(&texts, &mut encoder.scratch());
        for (text, vector) in texts.iter().zip(&together) {
            let alone = encoder.encode(std::slice::from_ref(text), &mut encoder.scratch());
            assert_eq!(&alone[0], vector, "{numbers:?}, {} tokens", text.len());
        }
    }
}

#[test]
fn first_token_pooling_takes_the_first_token() {
    let model = TinyModel::new();
    let folder = model.write(Store::F32, "");
    for config in
        [r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#, r#"{"pooling_mode": "cls"}"#]
    {
        std::fs::write(folder.0.join("1_Pooling/config.json"), config).unwrap();
        let encoder =
            Encoder::load(&folder.0, ModelConfig::load(&folder.0).unwrap(), Isa::best(), Numbers::F32).unwrap();
        let texts = ids_of(&[9, 33]);
        for (ids, vector) in texts.iter().zip(encoder.encode(&texts, &mut encoder.scratch())) {
            assert_close(&vector, &model.vector(ids, false));
        }
    }
}

#[tokio::test]
async fn vectors_are_in_the_order_of_their_texts() {
    let model = TinyModel::new();
    let folder = model.write(Store::F32, "");
    let embedder = load(&folder.0, 3).unwrap();
    let lengths: Vec<usize> = (0..200).map(|i| i * 37 % 80).collect();
    let ids = ids_of(&lengths);
    let texts = ids.iter().map(|ids| text_of(ids)).collect();
    let vectors = embedder.embed(texts, EmbedPriority::Document).await.unwrap();
    assert_eq!(vectors.len(), ids.len());
    for (ids, vector) in ids.iter().zip(&vectors) {
        assert_close(vector, &model.vector(ids, true));
    }
    assert_eq!(embedder.embed(Vec::new(), EmbedPriority::Query).await.unwrap(), Vec::<Vec<f32>>::new());
    let shown = embedder.model();
    assert_eq!((shown.name.as_str(), shown.version.as_str(), shown.dim), ("tiny", "3", 30));
}

#[tokio::test]
async fn a_long_text_is_truncated_at_the_models_limit() {
    let model = TinyModel::new();
    let folder = model.write(Store::F32, "");
    std::fs::write(folder.0.join("sentence_bert_config.json"), r#"{"max_seq_length": 20}"#).unwrap();
    let embedder = load(&folder.0, 1).unwrap();
    assert_eq!(embedder.model().max_tokens, 20);
    let long = ids_of(&[200]).remove(0);
    let vectors = embedder.embed(vec![text_of(&long)], EmbedPriority::Query).await.unwrap();
    assert_close(&vectors[0], &model.vector(&[&long[..19], &[3]].concat(), true));
}

#[test]
fn the_error_names_a_missing_file() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = TinyModel::new().write(Store::F32, "");
        std::fs::remove_file(folder.0.join(file)).unwrap();
        let error = error_of(&folder.0);
        assert_eq!(error.code, Code::ModelMissing);
        assert!(error.to_string().contains(file), "{error}");
        assert_eq!(error.class, ErrorClass::Configuration);
    }
    assert_eq!(error_of(Path::new("/nowhere/at/all")).code, Code::ModelMissing);
}

#[test]
fn an_unsupported_model_is_refused() {
    for (key, value) in [("model_type", "roberta"), ("hidden_act", "relu"), ("position_embedding_type", "relative_key")]
    {
        let folder = TinyModel::new().write(Store::F32, "");
        folder.set(key, value);
        let error = error_of(&folder.0);
        assert_eq!(error.code, Code::ModelUnsupported);
        assert!(error.to_string().contains(value), "{error}");
    }
    let folder = TinyModel::new().write(Store::F32, "");
    std::fs::write(folder.0.join("1_Pooling/config.json"), r#"{"pooling_mode_max_tokens": true}"#).unwrap();
    assert!(error_of(&folder.0).to_string().contains("max_tokens"));
    let modules = r#"[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#;
    std::fs::write(folder.0.join("modules.json"), modules).unwrap();
    assert!(error_of(&folder.0).to_string().contains("Dense"));
}

#[test]
fn files_that_contradict_each_other_are_refused() {
    let cases = [("hidden_size", 36), ("num_attention_heads", 7), ("intermediate_size", 53), ("num_hidden_layers", 3)];
    for (key, value) in cases.into_iter().chain([("vocab_size", 10), ("hidden_size", 0), ("type_vocab_size", 3)]) {
        let folder = TinyModel::new().write(Store::F32, "");
        folder.set(key, value);
        assert_eq!(error_of(&folder.0).code, Code::ModelInvalid, "{key}");
    }
    let folder = TinyModel::new().write(Store::F32, "");
    let config = format!(r#"{{"max_seq_length": {}}}"#, POSITIONS + 1);
    std::fs::write(folder.0.join("sentence_bert_config.json"), config).unwrap();
    assert_eq!(error_of(&folder.0).code, Code::ModelInvalid);
    let folder = TinyModel::new().without("encoder.layer.1.output.dense.bias").write(Store::F32, "");
    assert!(error_of(&folder.0).to_string().contains("encoder.layer.1.output.dense.bias"));
}

#[test]
fn damaged_files_are_refused() {
    let folder = TinyModel::new().write(Store::F32, "");
    let whole = std::fs::read(folder.0.join("model.safetensors")).unwrap();
    for len in [0, 5, 8, 100, whole.len() - 1] {
        std::fs::write(folder.0.join("model.safetensors"), &whole[..len]).unwrap();
        assert_eq!(error_of(&folder.0).code, Code::ModelInvalid, "{len} bytes");
    }
    let mut not_a_number = whole.clone();
    let end = not_a_number.len();
    not_a_number[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(folder.0.join("model.safetensors"), not_a_number).unwrap();
    assert_eq!(error_of(&folder.0).code, Code::ModelInvalid);
    for file in ["config.json", "tokenizer.json", "1_Pooling/config.json"] {
        let folder = TinyModel::new().write(Store::F32, "");
        std::fs::write(folder.0.join(file), "{").unwrap();
        assert_eq!(error_of(&folder.0).code, Code::ModelInvalid, "{file}");
    }
}

#[test]
fn an_empty_folder_is_refused() {
    assert_eq!(error_of(&Folder::new().0).code, Code::ModelMissing);
}

/// The first components of two vectors, as Python's onnxruntime 1.31.1 computes them from the same weights.
const REAL: [(&str, [f32; 8]); 2] = [
    (
        "A worker claims a job and keeps its lease.",
        [
            -0.118_717_8,
            0.070_648_51,
            -0.024_538_22,
            0.028_468_45,
            -0.041_227_88,
            -0.013_389_98,
            0.038_747_69,
            -0.065_900_47,
        ],
    ),
    (
        "Der Versicherungsschutz umfasst 12 Monate, ab dem 1. Januar 2025 – naïve café?",
        [
            -0.008_665_21,
            0.045_717_78,
            0.042_002_53,
            0.006_684_91,
            0.008_557_76,
            0.070_131_85,
            -0.005_870_48,
            0.041_182_91,
        ],
    ),
];

#[tokio::test]
async fn the_default_model_gives_the_vectors_of_onnxruntime() {
    let folder = std::env::var_os("APP_MODEL_DIR")
        .expect("APP_MODEL_DIR must name the all-MiniLM-L6-v2 folder; run the tests with scripts/test, which sets it");
    let embedder = load(Path::new(&folder), 1).unwrap();
    assert_eq!((embedder.model().dim, embedder.model().max_tokens), (384, 256));
    let texts = REAL.iter().map(|(text, _)| (*text).to_owned()).collect();
    let vectors = embedder.embed(texts, EmbedPriority::Query).await.unwrap();
    for (vector, (text, expected)) in vectors.iter().zip(REAL) {
        assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        for (x, y) in vector.iter().zip(expected) {
            assert!((x - y).abs() < 1e-6, "{x} is not {y} for \"{text}\"");
        }
    }
}

/// Passages of about 200 tokens from the samples, which are English.
fn passages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let text = ["coffee-machine-manual.md", "community-garden-rules.html"]
        .map(|name| std::fs::read_to_string(folder.join(name)).unwrap())
        .join(" ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.chunks(140).take(12).map(|words| words.join(" ")).collect()
}

#[tokio::test]
async fn eight_bits_lose_nothing_that_can_be_told() {
    let folder = std::env::var_os("APP_MODEL_DIR").expect("APP_MODEL_DIR names the all-MiniLM-L6-v2 folder");
    let mut vectors = Vec::new();
    for precision in [Precision::F32, Precision::Int8] {
        let embedder = LocalEmbedder::load(Path::new(&folder), "real", "1", precision, NonZeroUsize::MIN).unwrap();
        vectors.push(embedder.embed(passages(), EmbedPriority::Document).await.unwrap());
    }
    let cosines: Vec<f64> = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| cosine(a, b)).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(mean >= 0.998, "the mean cosine is {mean}: {cosines:?}");
}

#[tokio::test]
async fn questions_and_passages_get_the_models_prompts() {
    let model = TinyModel::new();
    let folder = model.write(Store::F32, "");
    let prompts = r#"{"prompts": {"query": "w9 ", "passage": "w7 w8 "}, "default_prompt_name": null}"#;
    std::fs::write(folder.0.join("config_sentence_transformers.json"), prompts).unwrap();
    let embedder = load(&folder.0, 1).unwrap();
    for (priority, ids) in [(EmbedPriority::Query, vec![2, 9, 5, 3]), (EmbedPriority::Document, vec![2, 7, 8, 5, 3])] {
        let vectors = embedder.embed(vec!["w5".to_owned()], priority).await.unwrap();
        assert_close(&vectors[0], &model.vector(&ids, true));
    }
}

#[test]
fn a_letter_and_its_accent_become_one_character() {
    assert_eq!(prepare("query: ", "cafe\u{301} plan".to_owned()), "query: caf\u{e9} plan");
    assert_eq!(prepare("", "u\u{308}".to_owned()), "\u{fc}");
    assert_eq!(prepare("", "as it is".to_owned()), "as it is");
}

#[tokio::test]
async fn the_default_model_finds_the_passage_across_languages() {
    let folder = std::env::var_os("APP_E5_DIR")
        .expect("APP_E5_DIR names the multilingual-e5-small folder; scripts/test sets it");
    let embedder = LocalEmbedder::load(Path::new(&folder), "e5", "1", Precision::Int8, NonZeroUsize::MIN).unwrap();
    assert_eq!((embedder.model().dim, embedder.model().max_tokens), (384, 512));
    let passages = [
        "The guarantee of the coffee machine lasts twenty-four months from the day of purchase.",
        "Der Garten ist von März bis Oktober für alle Mitglieder geöffnet.",
        "保险涵盖火灾和水灾造成的损失。",
    ];
    let passages = embedder.embed(passages.map(str::to_owned).to_vec(), EmbedPriority::Document).await.unwrap();
    let questions = [
        "Wie lange gilt die Garantie der Kaffeemaschine?",
        "When is the garden open?",
        "Does the insurance cover a fire?",
    ];
    let questions = embedder.embed(questions.map(str::to_owned).to_vec(), EmbedPriority::Query).await.unwrap();
    for (index, question) in questions.iter().enumerate() {
        let best = (0..3).max_by(|a, b| cosine(question, &passages[*a]).total_cmp(&cosine(question, &passages[*b])));
        assert_eq!(best, Some(index));
    }
}
