//! The BERT encoder: turns the token ids of each text into one vector of length 1, on the calling thread.

use std::{f32::consts::LOG2_E, path::Path};

use super::{
    attention::{Attention, AttentionScratch},
    attention8::{Attention8, Attention8Scratch},
    config::{ModelConfig, Pooling},
    isa::Isa,
    math::LayerNorm,
    panels::{LANES, Linear, PanelSlice, Panels, Row},
    product::{Dense, Finish},
    quantised::{Dense8, Linear8, QuantisedScratch},
    tensors::{Table, Tensors},
    tokenizer::transformer_folder,
};
use domain::Failure;
use kernels::Kernel;

/// Panels that go through a dense layer together in f32, so that their activations stay in the second-level cache. In 8 bits
/// a layer's weights stay there instead, and panels go one by one.
const GROUP: usize = 8;

/// How the dense layers compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// In 8-bit integers: more than twice as fast, at a loss that search cannot tell.
    Int8,
    /// In 32-bit floats.
    F32,
}

/// How the dense layers compute, and by which instructions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers {
    Int8(Kernel),
    F32,
}

impl Numbers {
    pub fn of(precision: Precision) -> Self {
        match precision {
            Precision::Int8 => Self::Int8(Kernel::best()),
            Precision::F32 => Self::F32,
        }
    }

    /// For the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8(kernel) => kernel.name(),
            Self::F32 => "f32",
        }
    }

    fn group(self) -> usize {
        match self {
            Self::Int8(_) => 1,
            Self::F32 => GROUP,
        }
    }

    /// Arranges a dense layer of so many equal parts, whose input comes from the norm `before`, if from any.
    fn linear(self, weight: &[f32], bias: &[f32], inputs: usize, before: Option<&Norm>, parts: usize) -> Weights {
        match self {
            Self::Int8(kernel) => {
                let sizes = before.map(Norm::sizes).unwrap_or_default();
                Weights::Int8(kernel, Linear8::in_parts(weight, bias, inputs, &sizes, parts))
            }
            Self::F32 => Weights::F32(Linear::new(weight, bias, inputs)),
        }
    }
}

/// The weights of a dense layer.
#[derive(Debug)]
enum Weights {
    Int8(Kernel, Vec<Linear8>),
    F32(Linear),
}

/// The weights of a layer norm.
#[derive(Debug)]
struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    qkv: Weights,
    attended: Weights,
    attended_norm: Norm,
    widened: Weights,
    narrowed: Weights,
    narrowed_norm: Norm,
}

/// A model's weights, laid out for this CPU. Threads share it, and each has its own [`Scratch`].
#[derive(Debug)]
pub(super) struct Encoder {
    config: ModelConfig,
    isa: Isa,
    numbers: Numbers,
    words: Table,
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
    attention8: Attention8Scratch,
    quantised: QuantisedScratch,
}

impl Encoder {
    /// Reads the weights of the model in `folder`.
    pub fn load(folder: &Path, config: ModelConfig, isa: Isa, numbers: Numbers) -> Result<Self, Failure> {
        let mut tensors = Tensors::open(&transformer_folder(folder))?;
        let hidden = config.hidden_size;
        let words = tensors.read_table("embeddings.word_embeddings.weight", &[config.vocab_size, hidden])?;
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
        let mut layers: Vec<Layer> = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let before = layers.last().map_or(&norm, |layer| &layer.narrowed_norm);
            layers.push(Layer::load(&mut tensors, &config, index, numbers, before)?);
        }
        Ok(Self { config, isa, numbers, words, positions, norm, layers })
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
            attention8: Attention8Scratch::default(),
            quantised: QuantisedScratch::default(),
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
        wide.resize(self.numbers.group());
        // The unused lanes of the last panel are computed too, with zeros.
        hidden.clear();
        let ids = texts.iter().flat_map(|text| text.iter().enumerate());
        let mut word = vec![0.0; width];
        for (token, (position, id)) in ids.enumerate() {
            self.words.read_row(*id as usize, &mut word);
            let position = &self.positions[position * width..][..width];
            for (feature, (word, position)) in word.iter().zip(position).enumerate() {
                hidden.set(token, feature, word + position);
            }
        }
        self.normalise(hidden, 0, panels, &self.norm);
    }

    fn run_layer(&self, layer: &Layer, texts: &[Vec<u32>], scratch: &mut Scratch) {
        let Scratch { hidden, qkv, context, wide, attention, attention8, quantised } = scratch;
        let panels = hidden.count();
        let group = self.numbers.group();
        let groups = || (0..panels).step_by(group).map(|first| (first, group.min(panels - first)));
        for (first, count) in groups() {
            self.dense(&layer.qkv, hidden.slice(first, count), qkv.slice_mut(first, count), Finish::Set, quantised);
        }
        let heads = self.config.num_attention_heads;
        let head_dim = self.config.hidden_size / heads;
        let mut first = 0;
        for text in texts {
            let len = text.len();
            match self.numbers {
                Numbers::Int8(kernel) => {
                    let scratch = &mut *attention8;
                    self.isa.run(Attention8 { qkv, context, first, len, heads, head_dim, kernel, scratch });
                }
                Numbers::F32 => {
                    let scratch = &mut *attention;
                    self.isa.run(Attention { qkv, context, first, len, heads, head_dim, scratch });
                }
            }
            first += text.len();
        }
        for (first, count) in groups() {
            self.dense(
                &layer.attended,
                context.slice(first, count),
                hidden.slice_mut(first, count),
                Finish::Add,
                quantised,
            );
            self.normalise(hidden, first, count, &layer.attended_norm);
            self.dense(&layer.widened, hidden.slice(first, count), wide.slice_mut(0, count), Finish::Gelu, quantised);
            self.dense(&layer.narrowed, wide.slice(0, count), hidden.slice_mut(first, count), Finish::Add, quantised);
            self.normalise(hidden, first, count, &layer.narrowed_norm);
        }
    }

    fn dense(
        &self,
        layer: &Weights,
        input: PanelSlice<'_>,
        output: &mut [Row],
        finish: Finish,
        scratch: &mut QuantisedScratch,
    ) {
        match layer {
            Weights::Int8(kernel, parts) => {
                self.isa.run(Dense8 { parts, kernel: *kernel, input, output, finish, scratch });
            }
            Weights::F32(layer) => self.isa.run(Dense { layer, input, output, finish }),
        }
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
    /// Loads the layer that follows the norm `before`.
    fn load(
        tensors: &mut Tensors,
        config: &ModelConfig,
        index: usize,
        numbers: Numbers,
        before: &Norm,
    ) -> Result<Self, Failure> {
        let hidden = config.hidden_size;
        let wide = config.intermediate_size;
        let name = format!("encoder.layer.{index}");
        let attended_norm = Norm::load(tensors, &format!("{name}.attention.output"), hidden)?;
        let narrowed_norm = Norm::load(tensors, &format!("{name}.output"), hidden)?;
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
        let qkv = numbers.linear(&weight, &bias, hidden, Some(before), 3);
        let mut linear = |name: &str, outputs: usize, inputs: usize, before: Option<&Norm>| {
            dense(name, outputs, inputs).map(|(weight, bias)| numbers.linear(&weight, &bias, inputs, before, 1))
        };
        let attended = linear("attention.output.dense", hidden, hidden, None)?;
        let widened = linear("intermediate.dense", wide, hidden, Some(&attended_norm))?;
        let narrowed = linear("output.dense", hidden, wide, None)?;
        Ok(Self { qkv, attended, attended_norm, widened, narrowed, narrowed_norm })
    }
}

impl Norm {
    /// About the largest magnitude of each feature that leaves the norm: most values lie within three deviations.
    fn sizes(&self) -> Vec<f32> {
        self.scale.iter().zip(&self.shift).map(|(scale, shift)| 3.0 * scale.abs() + shift.abs()).collect()
    }

    fn load(tensors: &mut Tensors, name: &str, hidden: usize) -> Result<Self, Failure> {
        Ok(Self {
            scale: tensors.read(&format!("{name}.LayerNorm.weight"), &[hidden])?,
            shift: tensors.read(&format!("{name}.LayerNorm.bias"), &[hidden])?,
        })
    }
}
