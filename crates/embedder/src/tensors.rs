//! Reads tensors from a safetensors file one by one, so that the file is never in memory whole.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use safetensors::{Dtype, tensor::Metadata};

use super::error::ModelError;

const FILE: &str = "model.safetensors";
/// Source: the format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An open model file.
pub(super) struct Tensors {
    file: BufReader<File>,
    metadata: Metadata,
    /// Where in the file the first tensor begins.
    data_start: u64,
    /// What stands before the names of a BERT saved as part of a larger model.
    prefix: &'static str,
}

impl Tensors {
    /// Opens `model.safetensors` and reads its header.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let file = File::open(folder.join(FILE)).map_err(|error| ModelError::io(FILE, error))?;
        let file_len = file.metadata().map_err(|error| ModelError::io(FILE, error))?.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut header_len = [0; 8];
        file.read_exact(&mut header_len).map_err(damaged)?;
        let header_len = u64::from_le_bytes(header_len);
        if header_len > MAX_HEADER_BYTES.min(file_len) {
            return Err(ModelError::invalid(FILE, "its header is longer than the file"));
        }
        let mut header = Vec::new();
        file.by_ref().take(header_len).read_to_end(&mut header).map_err(damaged)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| ModelError::invalid(FILE, error.to_string()))?;
        let data_start = 8 + header_len;
        if file_len != data_start.saturating_add(metadata.data_len() as u64) {
            return Err(ModelError::invalid(FILE, "it is cut short, or longer than its header says"));
        }
        let plain = metadata.info("embeddings.word_embeddings.weight").is_some();
        Ok(Self { file, metadata, data_start, prefix: if plain { "" } else { "bert." } })
    }

    /// Reads the tensor `name`, which must have the shape `shape`, as f32.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let Some(info) = self.metadata.info(&format!("{}{name}", self.prefix)) else {
            return Err(ModelError::invalid(FILE, format!("it has no tensor {name}")));
        };
        if info.shape != shape {
            let reason = format!("{name} is {:?}, config.json makes it {shape:?}", info.shape);
            return Err(ModelError::invalid(FILE, reason));
        }
        let ((start, end), dtype) = (info.data_offsets, info.dtype);
        self.file.seek(SeekFrom::Start(self.data_start + start as u64)).map_err(damaged)?;
        let data = self.file.by_ref().take((end - start) as u64);
        let values = match dtype {
            Dtype::F32 => decode(data, shape, f32::from_le_bytes),
            Dtype::F16 => decode(data, shape, |bytes| f16_to_f32(u16::from_le_bytes(bytes))),
            Dtype::BF16 => decode(data, shape, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
            other => return Err(ModelError::unsupported(format!("weight type {other:?}"))),
        }?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(ModelError::invalid(FILE, format!("{name} holds a value that is not a number")))
        }
    }

    /// Whether there is a tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.metadata.info(&format!("{}{name}", self.prefix)).is_some()
    }
}

/// Reads as many values as `shape` asks for.
fn decode<const N: usize>(
    mut data: impl Read,
    shape: &[usize],
    value: impl Fn([u8; N]) -> f32,
) -> Result<Vec<f32>, ModelError> {
    let count = shape.iter().product();
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; N];
        data.read_exact(&mut bytes).map_err(damaged)?;
        values.push(value(bytes));
    }
    Ok(values)
}

fn damaged(error: std::io::Error) -> ModelError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        ModelError::invalid(FILE, "it is cut short")
    } else {
        ModelError::io(FILE, error)
    }
}

/// An IEEE half as f32.
fn f16_to_f32(half: u16) -> f32 {
    let (exponent, fraction) = (u32::from(half >> 10 & 0x1f), u32::from(half & 0x3ff));
    let magnitude = match exponent {
        // 2^-24, the smallest step below the normal halves.
        0 => f32::from(half & 0x3ff) * f32::from_bits(0x3380_0000),
        0x1f => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if half >> 15 == 0 { magnitude } else { -magnitude }
}
