use std::{num::NonZeroUsize, path::Path};

use super::{
    LocalEmbedder,
    config::ModelConfig,
    encoder::Encoder,
    isa::Isa,
    load_tokenizer,
    reference::{Folder, POSITIONS, Store, TinyModel, VOCABULARY},
};
use domain::{
    Code, ErrorClass, Failure,
    ports::{EmbedPriority, Embedder},
};

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
    LocalEmbedder::load(folder, "tiny", "3", NonZeroUsize::new(threads).unwrap())
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
            let encoder = Encoder::load(&folder.0, ModelConfig::load(&folder.0).unwrap(), isa).unwrap();
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

#[test]
fn first_token_pooling_takes_the_first_token() {
    let model = TinyModel::new();
    let folder = model.write(Store::F32, "");
    for config in
        [r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#, r#"{"pooling_mode": "cls"}"#]
    {
        std::fs::write(folder.0.join("1_Pooling/config.json"), config).unwrap();
        let encoder = Encoder::load(&folder.0, ModelConfig::load(&folder.0).unwrap(), Isa::best()).unwrap();
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
fn the_tokenizer_neither_truncates_nor_pads() {
    let folder = TinyModel::new().write(Store::F32, "");
    let tokenizer = load_tokenizer(&folder.0).unwrap();
    let ids = ids_of(&[150]).remove(0);
    assert_eq!(tokenizer.encode_fast(text_of(&ids), true).unwrap().get_ids(), ids);
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
