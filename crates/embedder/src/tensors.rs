//! Reads tensors from a safetensors file one at a time, so that the whole file is never in memory.
//!
//! A matrix `NAME` may be packed, as scripts/convert_model.py writes it: groups of 32 weights of 4 bits in `NAME.q4`, and the
//! scale of each group in `NAME.q4_scale`.

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

/// Weights in a group of a packed matrix.
const GROUP: usize = 32;
/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 1 << 16;

/// A matrix of which only some rows are needed at a time. If the file has it packed, so it stays.
#[derive(Debug)]
pub(super) enum Table {
    Plain(Vec<f32>),
    Packed(Packed),
}

/// A packed matrix. Byte `i` of a group has weight `i` in its low four bits and weight `i + 16` in its high ones, each plus 8.
#[derive(Debug)]
pub(super) struct Packed {
    groups: Vec<[u8; GROUP / 2]>,
    scales: Vec<f32>,
}

impl Table {
    /// Writes the row `index` to `row`, which has the matrix's width.
    pub fn read_row(&self, index: usize, row: &mut [f32]) {
        let width = row.len();
        match self {
            Self::Plain(values) => row.copy_from_slice(&values[index * width..][..width]),
            Self::Packed(packed) => packed.unpack(index * width / GROUP, row),
        }
    }
}

impl Packed {
    /// Unpacks the groups from `first` on.
    fn unpack(&self, first: usize, values: &mut [f32]) {
        for (values, index) in values.chunks_exact_mut(GROUP).zip(first..) {
            let (scale, group) = (self.scales[index], &self.groups[index]);
            let (low, high) = values.split_at_mut(GROUP / 2);
            for ((low, high), byte) in low.iter_mut().zip(high).zip(group) {
                *low = (f32::from(byte & 15) - 8.0) * scale;
                *high = (f32::from(byte >> 4) - 8.0) * scale;
            }
        }
    }
}

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
        let word_table = "embeddings.word_embeddings.weight";
        let plain = [word_table, &format!("{word_table}.q4")].iter().any(|name| metadata.info(name).is_some());
        Ok(Self { file, metadata, data_start, prefix: if plain { "" } else { "bert." } })
    }

    /// Reads the tensor `name`, which must have the shape `shape`, as f32.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Failure> {
        if let Some(packed) = self.read_packed(name, shape)? {
            let mut values = vec![0.0; shape.iter().product()];
            packed.unpack(0, &mut values);
            return Ok(values);
        }
        let dtype = self.find(name, shape)?;
        let values = match dtype {
            Dtype::F32 => self.decode(name, f32::from_le_bytes),
            Dtype::F16 => self.decode(name, |bytes| f16_to_f32(u16::from_le_bytes(bytes))),
            Dtype::BF16 => self.decode(name, |bytes| f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)),
            other => return Err(unsupported(format!("weight type {other:?}"))),
        }?;
        finite(name, values)
    }

    /// Reads the matrix `name`, which must have the shape `shape`, and leaves it packed if it is.
    pub fn read_table(&mut self, name: &str, shape: &[usize]) -> Result<Table, Failure> {
        match self.read_packed(name, shape)? {
            Some(packed) => Ok(Table::Packed(packed)),
            None => self.read(name, shape).map(Table::Plain),
        }
    }

    fn read_packed(&mut self, name: &str, shape: &[usize]) -> Result<Option<Packed>, Failure> {
        let (groups, scales) = (format!("{name}.q4"), format!("{name}.q4_scale"));
        let &[rows, width] = shape else { return Ok(None) };
        if !self.has(&groups) {
            return Ok(None);
        }
        if !width.is_multiple_of(GROUP) {
            return Err(invalid(FILE, format!("{name} is packed, but its width {width} is not a multiple of {GROUP}")));
        }
        for (part, shape, wanted) in [
            (&groups, &[rows, width / GROUP, GROUP / 2][..], Dtype::U8),
            (&scales, &[rows, width / GROUP][..], Dtype::F16),
        ] {
            let dtype = self.find(part, shape)?;
            if dtype != wanted {
                return Err(unsupported(format!("weight type {dtype:?} of {part}")));
            }
        }
        let groups = self.decode(&groups, |bytes| bytes)?;
        let values = self.decode(&scales, |bytes| f16_to_f32(u16::from_le_bytes(bytes)))?;
        Ok(Some(Packed { groups, scales: finite(&scales, values)? }))
    }

    /// The type of the tensor `name`, which must have the shape `shape`.
    fn find(&self, name: &str, shape: &[usize]) -> Result<Dtype, Failure> {
        let Some(info) = self.info(name) else {
            return Err(invalid(FILE, format!("it has no tensor {name}")));
        };
        if info.shape != shape {
            let reason = format!("the shape of {name} is {:?}, but by config.json it is {shape:?}", info.shape);
            return Err(invalid(FILE, reason));
        }
        Ok(info.dtype)
    }

    /// Reads a tensor, `N` bytes a value.
    fn decode<T, const N: usize>(&mut self, name: &str, value: impl Fn([u8; N]) -> T) -> Result<Vec<T>, Failure> {
        let (start, end) = self.info(name).map_or((0, 0), |info| info.data_offsets);
        self.file.seek(SeekFrom::Start(self.data_start + start as u64)).map_err(damaged)?;
        let mut values = Vec::with_capacity((end - start) / N);
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = end - start;
        while left > 0 {
            let block = &mut block[..left.min(BLOCK_BYTES)];
            self.file.read_exact(block).map_err(damaged)?;
            values.extend(block.as_chunks().0.iter().map(|bytes| value(*bytes)));
            left -= block.len();
        }
        Ok(values)
    }

    /// Whether the file has a tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.metadata.info(&format!("{}{name}", self.prefix))
    }
}

/// Refuses values that would spoil every vector.
fn finite(name: &str, values: Vec<f32>) -> Result<Vec<f32>, Failure> {
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(invalid(FILE, format!("{name} contains a value that is not a finite number")))
    }
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

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use domain::Code;

    const NAME: &str = "embeddings.word_embeddings.weight";

    /// Writes a packed matrix of two rows of 64 weights, of which the first group of the second row is 0, 1, … in halves.
    fn packed(width: usize, scale_type: Dtype) -> Result<Table, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut groups = [[0x88_u8; 16]; 4];
        groups[2] = std::array::from_fn(|i| u8::try_from(i | (15 - i) << 4).unwrap());
        // 1/2 as an IEEE half.
        let scales = [0x00, 0x38].repeat(4);
        let views = [
            (format!("{NAME}.q4"), TensorView::new(Dtype::U8, vec![2, 2, 16], groups.as_flattened()).unwrap()),
            (format!("{NAME}.q4_scale"), TensorView::new(scale_type, vec![2, 2], &scales).unwrap()),
        ];
        std::fs::write(folder.path().join(FILE), safetensors::serialize(views, None).unwrap()).unwrap();
        Tensors::open(folder.path())?.read_table(NAME, &[2, width])
    }

    #[test]
    fn rows_of_a_packed_matrix_are_unpacked() {
        let table = packed(64, Dtype::F16).unwrap();
        let mut row = [f32::NAN; 64];
        table.read_row(0, &mut row);
        assert_eq!(row, [0.0; 64]);
        table.read_row(1, &mut row);
        let expected: Vec<f32> = (0..16).chain((0..16).rev()).map(|q| (q as f32 - 8.0) / 2.0).collect();
        assert_eq!((&row[..32], &row[32..]), (&*expected, &[0.0; 32][..]));
    }

    #[test]
    fn a_packed_matrix_of_another_shape_or_type_is_refused() {
        assert_eq!(packed(96, Dtype::F16).unwrap_err().code, Code::ModelInvalid);
        assert_eq!(packed(60, Dtype::F16).unwrap_err().code, Code::ModelInvalid);
        assert_eq!(packed(64, Dtype::BF16).unwrap_err().code, Code::ModelUnsupported);
    }
}
