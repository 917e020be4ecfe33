//! Reads and checks the configuration files of a sentence-transformers folder.

use std::{io::ErrorKind, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    error::{invalid, unreadable, unsupported},
    tokenizer::transformer_folder,
};
use domain::{Failure, ports::EmbedPriority};

const CONFIG: &str = "config.json";

/// How the vectors of a text's tokens are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pooling {
    /// The mean of all vectors.
    #[default]
    Mean,
    /// The vector of the first token.
    FirstToken,
}

/// The properties of a model: `config.json`, the pooling, and the limit on tokens.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ModelConfig {
    model_type: Option<String>,
    hidden_act: Option<String>,
    position_embedding_type: Option<String>,
    /// Features of a token.
    pub hidden_size: usize,
    /// Features between the two dense layers of a feed-forward block.
    pub intermediate_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads, a divisor of `hidden_size`.
    pub num_attention_heads: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Positions in a text.
    pub max_position_embeddings: usize,
    /// Token types, of which only the first is used; 2 if not stated.
    pub type_vocab_size: Option<usize>,
    /// Added to the variance in layer norms; 1e-12 if not stated.
    pub layer_norm_eps: Option<f32>,
    /// How the vectors of tokens are combined.
    #[serde(skip)]
    pub pooling: Pooling,
    /// The most tokens that are read of one text, including special tokens.
    #[serde(skip)]
    pub max_tokens: usize,
}

#[derive(Deserialize, Default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

#[derive(Deserialize, Default)]
struct PoolingConfig {
    pooling_mode: Option<String>,
    #[serde(flatten)]
    modes: std::collections::BTreeMap<String, serde_json::Value>,
}

/// What stands before a text, for a model that was trained so.
#[derive(Debug, Default)]
pub(super) struct Prompts {
    question: String,
    passage: String,
}

/// Where sentence-transformers keeps the prompts.
#[derive(Deserialize, Default)]
struct SentenceTransformersConfig {
    #[serde(default)]
    prompts: std::collections::BTreeMap<String, Option<String>>,
}

impl Prompts {
    /// Reads `config_sentence_transformers.json`. Without it, or without prompts in it, they are empty. The names are those
    /// that sentence-transformers looks for.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let config: SentenceTransformersConfig = read(folder, "config_sentence_transformers.json")?.unwrap_or_default();
        let first =
            |names: &[&str]| names.iter().find_map(|name| config.prompts.get(*name)?.clone()).unwrap_or_default();
        Ok(Self { question: first(&["query"]), passage: first(&["document", "passage", "corpus"]) })
    }

    /// The prompt for questions or for passages.
    pub fn of(&self, priority: EmbedPriority) -> &str {
        match priority {
            EmbedPriority::Query => &self.question,
            EmbedPriority::Document => &self.passage,
        }
    }
}

impl ModelConfig {
    /// Reads the folder's configuration files.
    pub fn load(folder: &Path) -> Result<Self, Failure> {
        let transformer = transformer_folder(folder);
        let mut config: Self =
            read(&transformer, CONFIG)?.ok_or_else(|| unreadable(CONFIG, &ErrorKind::NotFound.into()))?;
        config.check()?;
        let sentence: SentenceConfig = read(&transformer, "sentence_bert_config.json")?.unwrap_or_default();
        let positions = config.max_position_embeddings;
        config.max_tokens = sentence.max_seq_length.unwrap_or(positions);
        if !(3..=positions).contains(&config.max_tokens) {
            let reason = format!("max_seq_length is {}, but the model has {positions} positions", config.max_tokens);
            return Err(invalid("sentence_bert_config.json", reason));
        }
        config.pooling = load_pooling(folder)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Failure> {
        for (what, value, supported) in [
            ("model_type", &self.model_type, "bert"),
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ] {
            if let Some(value) = value.as_deref().filter(|value| *value != supported) {
                return Err(unsupported(format!("{what} \"{value}\"")));
            }
        }
        let sizes = [
            ("hidden_size", self.hidden_size, 1 << 14),
            ("intermediate_size", self.intermediate_size, 1 << 16),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("vocab_size", self.vocab_size, 1 << 24),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 16),
        ];
        for (what, value, most) in sizes {
            if value == 0 || value > most {
                return Err(invalid(CONFIG, format!("{what} is {value}, which is not between 1 and {most}")));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let reason = format!(
                "hidden_size ({}) is not a multiple of num_attention_heads ({})",
                self.hidden_size, self.num_attention_heads
            );
            return Err(invalid(CONFIG, reason));
        }
        Ok(())
    }
}

/// Finds the pooling. If no file names one, it is the mean.
fn load_pooling(folder: &Path) -> Result<Pooling, Failure> {
    let mut path = "1_Pooling".to_owned();
    let modules: Option<Vec<Module>> = read(folder, "modules.json")?;
    for module in modules.into_iter().flatten() {
        match module.kind.rsplit('.').next() {
            Some("Transformer" | "Normalize") => {}
            Some("Pooling") => path = module.path,
            _ => return Err(unsupported(format!("module \"{}\"", module.kind))),
        }
    }
    let Some(config) = read::<PoolingConfig>(folder, &format!("{path}/{CONFIG}"))? else { return Ok(Pooling::Mean) };
    let mut modes: Vec<&str> = config.pooling_mode.iter().map(String::as_str).collect();
    for (name, value) in &config.modes {
        if let (Some(mode), Some(true)) = (name.strip_prefix("pooling_mode_"), value.as_bool()) {
            modes.push(mode);
        }
    }
    match modes.as_slice() {
        [] | ["mean" | "mean_tokens"] => Ok(Pooling::Mean),
        ["cls" | "cls_token"] => Ok(Pooling::FirstToken),
        other => Err(unsupported(format!("pooling \"{}\"", other.join("+")))),
    }
}

/// Reads a JSON file; `None` if it is missing.
fn read<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Option<T>, Failure> {
    let bytes = match std::fs::read(folder.join(file)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file, &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| invalid(file, error))
}
