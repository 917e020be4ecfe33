//! Reads tensors from a safetensors file one at a time, so that the whole file is never in memory.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::error::{invalid, unreadable, unsupported};
use domain::Failure;

const FILE: &str = "model.safetensors";
/// The limit of the safetensors format.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// An open model file.
pub(super) struct Tensors {
    file: BufReader<File>,
    metadata: Metadata,
    /// The position of the first tensor in the file.
    data_start: u64,
    /// The prefix of the names, which a BERT has that was saved as part of a larger model.
    prefix: &'static str,
}

impl Tensors {
    /// Opens `model.safetensors` and reads its header.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let file = File::open(folder.join(FILE)).map_err(|error| unreadable(FILE, &error))?;
        let file_len = file.metadata().map_err(|error| unreadable(FILE, &error))?.len();
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut header_len = [0; 8];
        file.read_exact(&mut header_len).map_err(damaged)?;
        let header_len = u64::from_le_bytes(header_len);
        if header_len > MAX_HEADER_BYTES.min(file_len) {
            return Err(invalid(FILE, "its header is longer than the file"));
        }
        let mut header = Vec::new();
        file.by_ref().take(header_len).read_to_end(&mut header).map_err(damaged)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| invalid(FILE, error))?;
        let data_start = 8 + header_len;
        if file_len != data_start.saturating_add(metadata.data_len() as u64) {
            return Err(invalid(FILE, "it is shorter or longer than its header says"));
        }
        let plain = metadata.info("embeddings.word_embeddings.weight").is_some();
        Ok(Self { file, metadata, data_start, prefix: if plain { "" } else { "bert." } })
    }

    /// Reads the tensor `name`, which must have the shape `shape`, as f32.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Failure> {
        let Some(info) = self.info(name) else {
            return Err(invalid(FILE, format!("it has no tensor {name}")));
        };
        if info.shape != shape {
            let reason = format!("the shape of {name} is {:?}, but by config.json it is {shape:?}", info.shape);
            return Err(invalid(FILE, reason));
        }
        let (start, end) = info.data_offsets;
        let dtype = info.dtype;
        self.file.seek(SeekFrom::Start(self.data_start + start as u64)).map_err(damaged)?;
        let data = self.file.by_ref().take((end - start) as u64);
        let values = match dtype {
            Dtype::F32 => decode(data, shape, f32::from_le_bytes),
            Dtype::F16 => decode(data, shape, |bytes| f16_to_f32(u16::from_le_bytes(bytes))),
            Dtype::BF16 => decode(data, shape, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
            other => return Err(unsupported(format!("weight type {other:?}"))),
        }?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(invalid(FILE, format!("{name} contains a value that is not a finite number")))
        }
    }

    /// Whether the file has a tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(&format!("{}{name}", self.prefix))
    }
}

/// Reads the values of a tensor of this shape.
fn decode<const N: usize>(
    mut data: impl Read,
    shape: &[usize],
    value: impl Fn([u8; N]) -> f32,
) -> Result<Vec<f32>, Failure> {
    let count = shape.iter().product();
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; N];
        data.read_exact(&mut bytes).map_err(damaged)?;
        values.push(value(bytes));
    }
    Ok(values)
}

fn damaged(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        invalid(FILE, "it ends too early")
    } else {
        unreadable(FILE, &error)
    }
}

/// Converts an IEEE half to f32.
fn f16_to_f32(half: u16) -> f32 {
    let exponent = u32::from(half >> 10 & 0x1f);
    let fraction = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // A multiple of 2^-24, the step between subnormal halves.
        0 => f32::from(half & 0x3ff) * f32::from_bits(0x3380_0000),
        0x1f => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if half >> 15 == 0 { magnitude } else { -magnitude }
}
