//! For tests: a small random model, which can be written to a folder, and a simple implementation of BERT.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

/// Sizes that are multiples of neither a tile nor a panel.
const HIDDEN: usize = 30;
const HEADS: usize = 3;
const WIDE: usize = 52;
const LAYERS: usize = 2;
pub(super) const VOCABULARY: u16 = 64;
pub(super) const POSITIONS: usize = 90;
const EPSILON: f64 = 1e-12;
/// The first tokens of the vocabulary, before the words `w4`, `w5`, …
const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

/// A folder that is removed when the value is dropped.
pub(super) struct Folder(pub PathBuf, #[expect(dead_code, reason = "dropping it removes the folder")] TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        Self(folder.path().to_owned(), folder)
    }

    /// Changes one value of `config.json`.
    pub fn set(&self, key: &str, value: impl Into<serde_json::Value>) {
        let file = self.0.join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config[key] = value.into();
        std::fs::write(file, config.to_string()).unwrap();
    }
}

/// The type that the weights are stored as.
#[derive(Debug, Clone, Copy)]
pub(super) enum Store {
    F32,
    F16,
    BF16,
}

/// The model's tensors, by name.
pub(super) struct TinyModel(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl TinyModel {
    /// Makes the same model in every call. All values are multiples of 2^-8 below 1, so that a half can hold them.
    pub fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let mut tensors = BTreeMap::new();
        let mut add = |name: String, shape: &[usize], middle: f32| {
            let values = (0..shape.iter().product()).map(|_| middle + f32::from(random.i8(-64..64)) / 256.0).collect();
            tensors.insert(name, (shape.to_vec(), values));
        };
        for (name, rows) in [("word", usize::from(VOCABULARY)), ("position", POSITIONS), ("token_type", 2)] {
            add(format!("embeddings.{name}_embeddings.weight"), &[rows, HIDDEN], 0.0);
        }
        let mut norms = vec!["embeddings".to_owned()];
        for layer in 0..LAYERS {
            let layer = format!("encoder.layer.{layer}");
            for (name, outputs, inputs) in [
                ("attention.self.query", HIDDEN, HIDDEN),
                ("attention.self.key", HIDDEN, HIDDEN),
                ("attention.self.value", HIDDEN, HIDDEN),
                ("attention.output.dense", HIDDEN, HIDDEN),
                ("intermediate.dense", WIDE, HIDDEN),
                ("output.dense", HIDDEN, WIDE),
            ] {
                add(format!("{layer}.{name}.weight"), &[outputs, inputs], 0.0);
                add(format!("{layer}.{name}.bias"), &[outputs], 0.0);
            }
            norms.extend([format!("{layer}.attention.output"), format!("{layer}.output")]);
        }
        for norm in norms {
            add(format!("{norm}.LayerNorm.weight"), &[HIDDEN], 0.5);
            add(format!("{norm}.LayerNorm.bias"), &[HIDDEN], 0.0);
        }
        Self(tensors)
    }

    /// Removes a tensor.
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name).unwrap();
        self
    }

    /// Writes the model to a folder, with mean pooling.
    pub fn write(&self, store: Store, prefix: &str) -> Folder {
        let folder = Folder::new();
        let config = serde_json::json!({
            "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN, "intermediate_size": WIDE,
            "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "vocab_size": VOCABULARY,
            "max_position_embeddings": POSITIONS, "layer_norm_eps": EPSILON,
        });
        std::fs::write(folder.0.join("config.json"), config.to_string()).unwrap();
        std::fs::write(folder.0.join("tokenizer.json"), tokenizer().to_string()).unwrap();
        std::fs::write(folder.0.join("1_Pooling/config.json"), r#"{"pooling_mode_mean_tokens": true}"#).unwrap();
        self.write_weights(&folder.0, store, prefix);
        folder
    }

    fn write_weights(&self, folder: &Path, store: Store, prefix: &str) {
        let bytes = self.0.iter().map(|(name, (shape, values))| {
            let bytes: Vec<u8> = match store {
                Store::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Store::F16 => values.iter().flat_map(|value| to_f16(*value).to_le_bytes()).collect(),
                Store::BF16 => values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect(),
            };
            (format!("{prefix}{name}"), shape.clone(), bytes)
        });
        let bytes: Vec<_> = bytes.collect();
        let dtype = match store {
            Store::F32 => Dtype::F32,
            Store::F16 => Dtype::F16,
            Store::BF16 => Dtype::BF16,
        };
        let views =
            bytes.iter().map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
        std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    }

    /// The vector of a text with these tokens: the mean of all tokens, or the first token's.
    pub fn vector(&self, ids: &[u32], mean: bool) -> Vec<f64> {
        let embedding =
            |table: &str, row: usize| self.rows(&format!("embeddings.{table}_embeddings.weight"))[row].clone();
        let mut tokens: Vec<Vec<f64>> = ids
            .iter()
            .enumerate()
            .map(|(position, id)| {
                let sum = add(&embedding("word", *id as usize), &embedding("position", position));
                self.norm("embeddings", &add(&sum, &embedding("token_type", 0)))
            })
            .collect();
        for layer in 0..LAYERS {
            tokens = self.layer(&format!("encoder.layer.{layer}"), &tokens);
        }
        let count = if mean { tokens.len() } else { 1 };
        let pooled = tokens[..count].iter().fold(vec![0.0; HIDDEN], |sum, token| add(&sum, token));
        let length = dot(&pooled, &pooled).sqrt();
        pooled.iter().map(|x| x / length).collect()
    }

    fn layer(&self, name: &str, tokens: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let all = |part: &str| -> Vec<Vec<f64>> {
            tokens.iter().map(|token| self.dense(&format!("{name}.attention.self.{part}"), token)).collect()
        };
        let (queries, keys, values) = (all("query"), all("key"), all("value"));
        let size = HIDDEN / HEADS;
        tokens
            .iter()
            .zip(&queries)
            .map(|(token, query)| {
                let mut context = vec![0.0; HIDDEN];
                for head in (0..HIDDEN).step_by(size) {
                    let part = head..head + size;
                    let score =
                        |key: &Vec<f64>| (dot(&query[part.clone()], &key[part.clone()]) / (size as f64).sqrt()).exp();
                    let weights: Vec<f64> = keys.iter().map(score).collect();
                    let sum: f64 = weights.iter().sum();
                    for (weight, value) in weights.iter().zip(&values) {
                        part.clone().for_each(|i| context[i] += weight / sum * value[i]);
                    }
                }
                let attended = self.dense(&format!("{name}.attention.output.dense"), &context);
                let attended = self.norm(&format!("{name}.attention.output"), &add(token, &attended));
                let wide = self.dense(&format!("{name}.intermediate.dense"), &attended);
                let wide: Vec<f64> = wide.iter().map(|x| x * normal_below(*x)).collect();
                self.norm(
                    &format!("{name}.output"),
                    &add(&attended, &self.dense(&format!("{name}.output.dense"), &wide)),
                )
            })
            .collect()
    }

    fn rows(&self, name: &str) -> Vec<Vec<f64>> {
        let (shape, values) = &self.0[name];
        values.chunks(*shape.last().unwrap()).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
    }

    fn dense(&self, name: &str, input: &[f64]) -> Vec<f64> {
        let bias = &self.rows(&format!("{name}.bias"))[0];
        self.rows(&format!("{name}.weight")).iter().zip(bias).map(|(row, bias)| dot(row, input) + bias).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (scale, shift) = (format!("{name}.LayerNorm.weight"), format!("{name}.LayerNorm.bias"));
        let (scale, shift) = (&self.rows(&scale)[0], &self.rows(&shift)[0]);
        let mean = x.iter().sum::<f64>() / HIDDEN as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / HIDDEN as f64;
        let normal = x.iter().map(|x| (x - mean) / (variance + EPSILON).sqrt());
        normal.zip(scale).zip(shift).map(|((x, scale), shift)| x * scale + shift).collect()
    }
}

/// The normal distribution's Φ(x), by Simpson's rule.
pub(super) fn normal_below(x: f64) -> f64 {
    const STEPS: u32 = 400;
    let width = x / f64::from(STEPS);
    let density = |step: u32| (-(f64::from(step) * width).powi(2) / 2.0).exp();
    let weighted =
        |step: u32| density(step) * if step == 0 || step == STEPS { 1.0 } else { f64::from(2 + step % 2 * 2) };
    0.5 + (0..=STEPS).map(weighted).sum::<f64>() * width / 3.0 / std::f64::consts::TAU.sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Converts a multiple of 2^-8 of at most 10 bits to an IEEE half. Other values are not needed here.
fn to_f16(value: f32) -> u16 {
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits();
    u16::try_from((bits >> 16 & 0x8000) | (((bits >> 23 & 0xff) - 112) << 10) | (bits >> 13 & 0x3ff)).unwrap()
}

/// A tokenizer that splits at spaces; `w4` is token 4. It asks for padding and truncation, as published tokenizers do.
fn tokenizer() -> serde_json::Value {
    let words = (SPECIAL.len()..usize::from(VOCABULARY)).map(|id| (format!("w{id}"), id));
    let vocabulary: BTreeMap<_, _> = SPECIAL.iter().map(|it| it.to_string()).zip(0..).chain(words).collect();
    let special = |id: usize| serde_json::json!({"SpecialToken": {"id": SPECIAL[id], "type_id": 0}});
    serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(2), {"Sequence": {"id": "A", "type_id": 0}}, special(3)],
            "pair": [special(2), {"Sequence": {"id": "A", "type_id": 0}}, special(3), {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    })
}
