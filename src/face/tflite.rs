//! The parts of a TFLite file that networks of convolutions need. A TFLite file is a flatbuffer: tables that point to
//! each other with offsets, none of which is trusted.

use crate::error::DataError;

/// Field numbers of the tables, as in TFLite's `schema.fbs`.
mod field {
    pub const MODEL_OPERATOR_CODES: usize = 1;
    pub const MODEL_SUBGRAPHS: usize = 2;
    pub const MODEL_BUFFERS: usize = 4;
    pub const CODE_BUILTIN_BYTE: usize = 0;
    pub const CODE_BUILTIN: usize = 3;
    pub const GRAPH_TENSORS: usize = 0;
    pub const GRAPH_INPUTS: usize = 1;
    pub const GRAPH_OUTPUTS: usize = 2;
    pub const GRAPH_OPERATORS: usize = 3;
    pub const TENSOR_SHAPE: usize = 0;
    pub const TENSOR_TYPE: usize = 1;
    pub const TENSOR_BUFFER: usize = 2;
    pub const BUFFER_DATA: usize = 0;
    pub const OPERATOR_CODE: usize = 0;
    pub const OPERATOR_INPUTS: usize = 1;
    pub const OPERATOR_OUTPUTS: usize = 2;
    pub const OPERATOR_OPTIONS: usize = 4;
}

const FLOAT16: u8 = 1;

/// A tensor of the graph.
pub(super) struct Tensor {
    pub shape: Vec<usize>,
    /// Its values, if it is a constant of type float32 or float16.
    pub constant: Option<Vec<f32>>,
}

/// An operator of the graph.
pub(super) struct Operator<'a> {
    /// Its number in TFLite's list of built-in operators.
    pub code: u32,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
    options: Option<Table<'a>>,
}

impl Operator<'_> {
    /// A byte of its options, 0 if it is not stored.
    pub fn byte(&self, field: usize) -> Option<u8> {
        self.options.as_ref().map_or(Some(0), |table| table.byte(field))
    }

    /// An integer of its options, 0 if it is not stored.
    pub fn int(&self, field: usize) -> Option<usize> {
        self.options.as_ref().map_or(Some(0), |table| table.int(field))
    }
}

/// The first graph of a file.
pub(super) struct Graph<'a> {
    pub tensors: Vec<Tensor>,
    pub operators: Vec<Operator<'a>>,
    pub inputs: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// Reads the first graph of a TFLite file.
pub(super) fn read(bytes: &[u8]) -> Result<Graph<'_>, DataError> {
    graph(bytes).ok_or_else(|| DataError::new("not a TFLite file, or a damaged one; install anrl again"))
}

fn graph<'a>(bytes: &'a [u8]) -> Option<Graph<'a>> {
    if bytes.get(4..8)? != b"TFL3" {
        return None;
    }
    let model = Table { bytes, at: follow(bytes, 0)? };
    let code = |table: &Table<'_>| {
        Some(table.int(field::CODE_BUILTIN)?.max(table.byte(field::CODE_BUILTIN_BYTE)?.into()) as u32)
    };
    let codes = model.tables(field::MODEL_OPERATOR_CODES)?.iter().map(code).collect::<Option<Vec<_>>>()?;
    let buffers = model.tables(field::MODEL_BUFFERS)?;
    let graph = *model.tables(field::MODEL_SUBGRAPHS)?.first()?;
    let tensor = |table: &Table<'_>| {
        let data = buffers.get(table.int(field::TENSOR_BUFFER)?)?.vector(field::BUFFER_DATA, 1)?;
        let values = match table.byte(field::TENSOR_TYPE)? {
            FLOAT16 => {
                data.chunks_exact(2).map(|pair| half(u16::from_le_bytes([pair[0], pair[1]]))).collect()
            }
            _ => data.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word)).collect::<Vec<_>>(),
        };
        let constant = (!values.is_empty()).then_some(values);
        Some(Tensor { shape: table.ints(field::TENSOR_SHAPE)?, constant })
    };
    let operator = |table: &Table<'a>| {
        Some(Operator {
            code: *codes.get(table.int(field::OPERATOR_CODE)?)?,
            inputs: table.ints(field::OPERATOR_INPUTS)?,
            outputs: table.ints(field::OPERATOR_OUTPUTS)?,
            options: table.table(field::OPERATOR_OPTIONS)?,
        })
    };
    let graph = Graph {
        tensors: graph.tables(field::GRAPH_TENSORS)?.iter().map(tensor).collect::<Option<_>>()?,
        operators: graph.tables(field::GRAPH_OPERATORS)?.iter().map(operator).collect::<Option<_>>()?,
        inputs: graph.ints(field::GRAPH_INPUTS)?,
        outputs: graph.ints(field::GRAPH_OUTPUTS)?,
    };
    let mut used = graph.operators.iter().flat_map(|o| o.inputs.iter().chain(&o.outputs));
    let exist = used.all(|&i| i < graph.tensors.len());
    (exist && graph.inputs.iter().chain(&graph.outputs).all(|&i| i < graph.tensors.len())).then_some(graph)
}

/// The number at a place.
fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*word) as usize)
}

/// The place that the offset at a place points to.
fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    at.checked_add(u32_at(bytes, at)?)
}

/// A table of a flatbuffer.
#[derive(Clone, Copy)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    /// The place of a field: `Some(None)` if it is not stored, `None` if the file is damaged.
    fn place(&self, field: usize) -> Option<Option<usize>> {
        let back = i32::from_le_bytes(*self.bytes.get(self.at..)?.first_chunk()?);
        let fields = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let short = |at: usize| Some(usize::from(u16::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?)));
        let entry = 4 + 2 * field;
        if entry + 2 > short(fields)? {
            return Some(None);
        }
        let offset = short(fields + entry)?;
        Some((offset != 0).then_some(self.at + offset))
    }

    fn byte(&self, field: usize) -> Option<u8> {
        self.place(field)?.map_or(Some(0), |at| self.bytes.get(at).copied())
    }

    fn int(&self, field: usize) -> Option<usize> {
        self.place(field)?.map_or(Some(0), |at| u32_at(self.bytes, at))
    }

    fn table(&self, field: usize) -> Option<Option<Self>> {
        let Some(at) = self.place(field)? else { return Some(None) };
        Some(Some(Self { bytes: self.bytes, at: follow(self.bytes, at)? }))
    }

    /// The bytes of a vector whose elements have `size` bytes; empty if it is not stored.
    fn vector(&self, field: usize, size: usize) -> Option<&'a [u8]> {
        let Some(at) = self.place(field)? else { return Some(&[]) };
        let start = follow(self.bytes, at)?;
        let len = u32_at(self.bytes, start)?.checked_mul(size)?;
        self.bytes.get(start + 4..)?.get(..len)
    }

    fn ints(&self, field: usize) -> Option<Vec<usize>> {
        let words = self.vector(field, 4)?.as_chunks().0;
        Some(words.iter().map(|word| u32::from_le_bytes(*word) as usize).collect())
    }

    fn tables(&self, field: usize) -> Option<Vec<Self>> {
        let Some(at) = self.place(field)? else { return Some(Vec::new()) };
        let first = follow(self.bytes, at)? + 4;
        let len = self.vector(field, 4)?.len() / 4;
        let at = |i: usize| Some(Self { bytes: self.bytes, at: follow(self.bytes, first + 4 * i)? });
        (0..len).map(at).collect()
    }
}

/// The value of a float16.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::{half, read};

    #[test]
    fn half_gives_the_values_of_float16() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (half(bits), ::half::f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_without_panic() {
        let file = include_bytes!("../../python/anrl/faces/weights/face_detection_short_range.tflite");
        let graph = read(file).expect("a whole file");
        assert_eq!((graph.inputs.len(), graph.outputs.len()), (1, 2));
        assert_eq!(graph.tensors[graph.inputs[0]].shape, [1, 128, 128, 3]);
        for len in (0..file.len()).step_by(19_997) {
            assert!(read(&file[..len]).is_err(), "{len}");
        }
        let mut damaged = file.to_vec();
        for at in (8..file.len()).step_by(4_003) {
            damaged[at] ^= 255;
            drop(read(&damaged));
            damaged[at] ^= 255;
        }
    }
}
