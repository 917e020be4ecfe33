//! The BERT encoder: turns the token ids of each text into one vector of length 1, on the calling thread.

use std::{f32::consts::LOG2_E, path::Path};

use super::{
    attention::{Attention, AttentionScratch},
    config::{ModelConfig, Pooling},
    isa::Isa,
    math::LayerNorm,
    panels::{LANES, Linear, PanelSlice, Panels, Row},
    product::{Dense, Finish},
    tensors::Tensors,
    tokenizer::transformer_folder,
};
use domain::Failure;

/// Panels that go through a dense layer together, so that their activations stay in the second-level cache.
const GROUP: usize = 8;

/// The weights of a layer norm.
#[derive(Debug)]
struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    qkv: Linear,
    attended: Linear,
    attended_norm: Norm,
    widened: Linear,
    narrowed: Linear,
    narrowed_norm: Norm,
}

/// A model's weights, laid out for this CPU. Threads share it, and each has its own [`Scratch`].
#[derive(Debug)]
pub(super) struct Encoder {
    config: ModelConfig,
    isa: Isa,
    words: Vec<f32>,
    /// The embedding of each position plus that of the only token type in use.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// The buffers of one thread. They grow to the largest batch so far.
#[derive(Debug)]
pub(super) struct Scratch {
    hidden: Panels,
    qkv: Panels,
    context: Panels,
    wide: Panels,
    attention: AttentionScratch,
}

impl Encoder {
    /// Reads the weights of the model in `folder`.
    pub fn load(folder: &Path, config: ModelConfig, isa: Isa) -> Result<Self, Failure> {
        let mut tensors = Tensors::open(&transformer_folder(folder))?;
        let hidden = config.hidden_size;
        let words = tensors.read("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
        let mut positions =
            tensors.read("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden])?;
        let types = "embeddings.token_type_embeddings.weight";
        if tensors.has(types) {
            let types = tensors.read(types, &[config.type_vocab_size.unwrap_or(2), hidden])?;
            for position in positions.chunks_exact_mut(hidden) {
                position.iter_mut().zip(&types).for_each(|(value, kind)| *value += kind);
            }
        }
        let norm = Norm::load(&mut tensors, "embeddings", hidden)?;
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(&mut tensors, &config, index));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self { config, isa, words, positions, norm, layers })
    }

    /// Makes the buffers for one thread.
    pub fn scratch(&self) -> Scratch {
        let hidden = self.config.hidden_size;
        Scratch {
            hidden: Panels::new(hidden),
            qkv: Panels::new(3 * hidden),
            context: Panels::new(hidden),
            wide: Panels::new(self.config.intermediate_size),
            attention: AttentionScratch::default(),
        }
    }

    /// Returns one vector of length 1 for each text. A text has 1 to `max_tokens` ids, each within the vocabulary.
    pub fn encode(&self, texts: &[Vec<u32>], scratch: &mut Scratch) -> Vec<Vec<f32>> {
        self.embed_tokens(texts, scratch);
        for layer in &self.layers {
            self.run_layer(layer, texts, scratch);
        }
        let mut first = 0;
        let vectors = texts.iter().map(|text| {
            let vector = self.pool(&scratch.hidden, first, text.len());
            first += text.len();
            vector
        });
        vectors.collect()
    }

    fn embed_tokens(&self, texts: &[Vec<u32>], scratch: &mut Scratch) {
        let width = self.config.hidden_size;
        let panels = texts.iter().map(Vec::len).sum::<usize>().div_ceil(LANES);
        let Scratch { hidden, qkv, context, wide, .. } = scratch;
        for matrix in [&mut *hidden, qkv, context] {
            matrix.resize(panels);
        }
        wide.resize(GROUP);
        // The unused lanes of the last panel are computed too, with zeros.
        hidden.clear();
        let ids = texts.iter().flat_map(|text| text.iter().enumerate());
        for (token, (position, id)) in ids.enumerate() {
            let word = &self.words[*id as usize * width..][..width];
            let position = &self.positions[position * width..][..width];
            for (feature, (word, position)) in word.iter().zip(position).enumerate() {
                hidden.set(token, feature, word + position);
            }
        }
        self.normalise(hidden, 0, panels, &self.norm);
    }

    fn run_layer(&self, layer: &Layer, texts: &[Vec<u32>], scratch: &mut Scratch) {
        let Scratch { hidden, qkv, context, wide, attention } = scratch;
        let panels = hidden.count();
        let groups = || (0..panels).step_by(GROUP).map(|first| (first, GROUP.min(panels - first)));
        for (first, count) in groups() {
            self.dense(&layer.qkv, hidden.slice(first, count), qkv.slice_mut(first, count), Finish::Set);
        }
        let heads = self.config.num_attention_heads;
        let head_dim = self.config.hidden_size / heads;
        let mut first = 0;
        for text in texts {
            let scratch = &mut *attention;
            self.isa.run(Attention { qkv, context, first, len: text.len(), heads, head_dim, scratch });
            first += text.len();
        }
        for (first, count) in groups() {
            self.dense(&layer.attended, context.slice(first, count), hidden.slice_mut(first, count), Finish::Add);
            self.normalise(hidden, first, count, &layer.attended_norm);
            self.dense(&layer.widened, hidden.slice(first, count), wide.slice_mut(0, count), Finish::Gelu);
            self.dense(&layer.narrowed, wide.slice(0, count), hidden.slice_mut(first, count), Finish::Add);
            self.normalise(hidden, first, count, &layer.narrowed_norm);
        }
    }

    fn dense(&self, layer: &Linear, input: PanelSlice<'_>, output: &mut [Row], finish: Finish) {
        self.isa.run(Dense { layer, input, output, finish });
    }

    fn normalise(&self, matrix: &mut Panels, first: usize, count: usize, norm: &Norm) {
        let features = matrix.features();
        let rows = matrix.slice_mut(first, count);
        self.isa.run(LayerNorm {
            rows,
            features,
            scale: &norm.scale,
            shift: &norm.shift,
            epsilon: self.config.layer_norm_eps.unwrap_or(1e-12),
        });
    }

    /// Pools the vectors of a text's tokens and scales the result to length 1, so the mean is computed as a sum.
    fn pool(&self, hidden: &Panels, first: usize, len: usize) -> Vec<f32> {
        let mut line = vec![0.0; if self.config.pooling == Pooling::Mean { len } else { 1 }];
        let mut vector: Vec<f32> = (0..self.config.hidden_size)
            .map(|feature| {
                hidden.read(feature, first, &mut line);
                line.iter().sum()
            })
            .collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter_mut().for_each(|x| *x /= length);
        vector
    }
}

impl Layer {
    fn load(tensors: &mut Tensors, config: &ModelConfig, index: usize) -> Result<Self, Failure> {
        let hidden = config.hidden_size;
        let wide = config.intermediate_size;
        let mut dense = |name: &str, outputs: usize, inputs: usize| -> Result<(Vec<f32>, Vec<f32>), Failure> {
            let name = format!("encoder.layer.{index}.{name}");
            let weight = tensors.read(&format!("{name}.weight"), &[outputs, inputs])?;
            Ok((weight, tensors.read(&format!("{name}.bias"), &[outputs])?))
        };
        let (mut weight, mut bias) = dense("attention.self.query", hidden, hidden)?;
        // With this factor the softmax needs no scaling, and can use powers of 2 instead of e.
        #[expect(clippy::cast_precision_loss, reason = "a head has far fewer features than 2^24")]
        let scale = LOG2_E / ((hidden / config.num_attention_heads) as f32).sqrt();
        weight.iter_mut().chain(&mut bias).for_each(|value| *value *= scale);
        for name in ["attention.self.key", "attention.self.value"] {
            let (more_weight, more_bias) = dense(name, hidden, hidden)?;
            weight.extend(more_weight);
            bias.extend(more_bias);
        }
        let qkv = Linear::new(&weight, &bias, hidden);
        let mut linear = |name: &str, outputs: usize, inputs: usize| {
            dense(name, outputs, inputs).map(|(weight, bias)| Linear::new(&weight, &bias, inputs))
        };
        let attended = linear("attention.output.dense", hidden, hidden)?;
        let widened = linear("intermediate.dense", wide, hidden)?;
        let narrowed = linear("output.dense", hidden, wide)?;
        let name = format!("encoder.layer.{index}");
        let attended_norm = Norm::load(tensors, &format!("{name}.attention.output"), hidden)?;
        let narrowed_norm = Norm::load(tensors, &format!("{name}.output"), hidden)?;
        Ok(Self { qkv, attended, attended_norm, widened, narrowed, narrowed_norm })
    }
}

impl Norm {
    fn load(tensors: &mut Tensors, name: &str, hidden: usize) -> Result<Self, Failure> {
        Ok(Self {
            scale: tensors.read(&format!("{name}.LayerNorm.weight"), &[hidden])?,
            shift: tensors.read(&format!("{name}.LayerNorm.bias"), &[hidden])?,
        })
    }
}
