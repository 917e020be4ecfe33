//! The BERT encoder: token ids in, one unit-length vector a text out, on the calling thread.

use std::{f32::consts::LOG2_E, path::Path};

use super::{
    attention::{Attention, AttentionScratch},
    config::{ModelConfig, Pooling},
    error::ModelError,
    isa::Isa,
    math::LayerNorm,
    panels::{LANES, Linear, Panels},
    product::{Dense, Finish},
    tensors::Tensors,
    tokenizer::transformer_folder,
};

/// Panels that go through a dense layer together: their activations stay in the second-level cache.
const GROUP: usize = 8;

/// A layer norm's factors and summands.
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

/// A model's weights, ready for this CPU. Shared by threads; each brings its own [`Scratch`].
#[derive(Debug)]
pub(super) struct Encoder {
    config: ModelConfig,
    isa: Isa,
    words: Vec<f32>,
    /// What a position adds, the (only) token type included.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

/// A thread's room to work; grows to the largest batch it has seen.
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
    pub fn load(folder: &Path, config: ModelConfig, isa: Isa) -> Result<Self, ModelError> {
        let mut tensors = Tensors::open(&transformer_folder(folder))?;
        let hidden = config.hidden;
        let words = tensors.read("embeddings.word_embeddings.weight", &[config.vocabulary, hidden])?;
        let mut positions = tensors.read("embeddings.position_embeddings.weight", &[config.positions, hidden])?;
        let types = "embeddings.token_type_embeddings.weight";
        if tensors.has(types) {
            let types = tensors.read(types, &[config.token_types, hidden])?;
            for position in positions.chunks_exact_mut(hidden) {
                position.iter_mut().zip(&types).for_each(|(value, kind)| *value += kind);
            }
        }
        let norm = Norm::load(&mut tensors, "embeddings", hidden)?;
        let layers = (0..config.layers).map(|index| Layer::load(&mut tensors, &config, index));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self { config, isa, words, positions, norm, layers })
    }

    /// Room for a thread to work in.
    pub fn scratch(&self) -> Scratch {
        let hidden = self.config.hidden;
        Scratch {
            hidden: Panels::new(hidden),
            qkv: Panels::new(3 * hidden),
            context: Panels::new(hidden),
            wide: Panels::new(self.config.intermediate),
            attention: AttentionScratch::default(),
        }
    }

    /// One vector of length 1 for each text. A text is 1 to `max_tokens` ids, each within the vocabulary.
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
        let width = self.config.hidden;
        let panels = texts.iter().map(Vec::len).sum::<usize>().div_ceil(LANES);
        let Scratch { hidden, qkv, context, wide, .. } = scratch;
        for matrix in [&mut *hidden, qkv, context] {
            matrix.resize(panels);
        }
        wide.resize(GROUP);
        // The last panel's unused lanes are computed with the rest: zeros cost no more than others.
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
            self.dense(&layer.qkv, (hidden, first), (qkv, first), count, Finish::Set);
        }
        let (heads, head_dim) = (self.config.heads, self.config.hidden / self.config.heads);
        let mut first = 0;
        for text in texts {
            let (len, scratch) = (text.len(), &mut *attention);
            self.isa.run(Attention { qkv, context, first, len, heads, head_dim, scratch });
            first += len;
        }
        for (first, count) in groups() {
            self.dense(&layer.attended, (context, first), (hidden, first), count, Finish::Add);
            self.normalise(hidden, first, count, &layer.attended_norm);
            self.dense(&layer.widened, (hidden, first), (wide, 0), count, Finish::Gelu);
            self.dense(&layer.narrowed, (wide, 0), (hidden, first), count, Finish::Add);
            self.normalise(hidden, first, count, &layer.narrowed_norm);
        }
    }

    fn dense(
        &self,
        layer: &Linear,
        (input, from): (&Panels, usize),
        (output, to): (&mut Panels, usize),
        count: usize,
        finish: Finish,
    ) {
        let (input, input_features) = (input.slice(from, count), input.features());
        self.isa.run(Dense { layer, input, input_features, output: output.slice_mut(to, count), finish });
    }

    fn normalise(&self, matrix: &mut Panels, first: usize, count: usize, norm: &Norm) {
        let (features, epsilon) = (matrix.features(), self.config.epsilon);
        let rows = matrix.slice_mut(first, count);
        self.isa.run(LayerNorm { rows, features, scale: &norm.scale, shift: &norm.shift, epsilon });
    }

    /// A text's vector: its tokens' pooled, then brought to length 1 (where the mean needs no division).
    fn pool(&self, hidden: &Panels, first: usize, len: usize) -> Vec<f32> {
        let mut line = vec![0.0; if self.config.pooling == Pooling::Mean { len } else { 1 }];
        let mut vector: Vec<f32> = (0..self.config.hidden)
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
    fn load(tensors: &mut Tensors, config: &ModelConfig, index: usize) -> Result<Self, ModelError> {
        let (hidden, wide) = (config.hidden, config.intermediate);
        let mut dense = |name: &str, outputs: usize, inputs: usize| -> Result<(Vec<f32>, Vec<f32>), ModelError> {
            let name = format!("encoder.layer.{index}.{name}");
            let weight = tensors.read(&format!("{name}.weight"), &[outputs, inputs])?;
            Ok((weight, tensors.read(&format!("{name}.bias"), &[outputs])?))
        };
        let (mut weight, mut bias) = dense("attention.self.query", hidden, hidden)?;
        // The softmax then needs no scaling, and takes powers of two instead of e.
        #[expect(clippy::cast_precision_loss, reason = "a head has far fewer features than 2^24")]
        let scale = LOG2_E / ((hidden / config.heads) as f32).sqrt();
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
    fn load(tensors: &mut Tensors, name: &str, hidden: usize) -> Result<Self, ModelError> {
        Ok(Self {
            scale: tensors.read(&format!("{name}.LayerNorm.weight"), &[hidden])?,
            shift: tensors.read(&format!("{name}.LayerNorm.bias"), &[hidden])?,
        })
    }
}
