//! Values from JSON text, in one pass over it.
//!
//! Arrays become tensors if they are rectangular and hold only numbers (only ints: an int tensor, else floats), else lists;
//! an empty array is an empty list. Ints of more than 64 bits are floats.
//!
//! Numbers go to one long row, whatever the arrays around them. An array that is numeric so far is a shape: its numbers are
//! the last ones of the row. It becomes a tensor where the outermost numeric array ends, or earlier where a part does not fit.

use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::tensor::DType;
use crate::tensor::vecs::{float_tensor, int_tensor};
use crate::value::{Dict, Key, Value};

/// Why no value came of a text.
pub enum Failure {
    /// It is not JSON.
    Malformed(serde_json::Error),
    /// It is, but the value can't be made.
    Unmakeable(Error),
}

/// The value of a JSON text; floats in arrays get `dtype`.
pub fn read(text: &str, dtype: DType) -> std::result::Result<Value, Failure> {
    let mut reader = Reader { dtype, row: Row::for_text(text), failure: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let part = Next(&mut reader).deserialize(&mut json).and_then(|part| json.end().map(|()| part));
    match (reader.failure.take(), part) {
        (Some(failure), _) => Err(Failure::Unmakeable(failure)),
        (None, Err(e)) => Err(Failure::Malformed(e)),
        (None, Ok(part)) => reader.value(part).map_err(Failure::Unmakeable),
    }
}

/// Numbers as they stand in the text, ints as ints.
struct Row {
    /// An `i64`, or the bits of an `f64`.
    bits: Vec<u64>,
    /// Where a run of numbers of one kind begins, and whether they are ints.
    runs: Vec<(usize, bool)>,
}

impl Row {
    fn for_text(text: &str) -> Row {
        // In long texts numbers are written with many digits.
        Row { bits: Vec::with_capacity(text.len() / 16), runs: vec![] }
    }

    #[inline]
    fn push(&mut self, bits: u64, int: bool) {
        if self.runs.last().is_none_or(|&(_, kind)| kind != int) {
            self.runs.push((self.bits.len(), int));
        }
        self.bits.push(bits);
    }

    fn push_int(&mut self, i: i64) {
        self.push(i.cast_unsigned(), true);
    }

    fn push_float(&mut self, x: f64) {
        self.push(x.to_bits(), false);
    }

    fn truncate(&mut self, len: usize) {
        self.bits.truncate(len);
        while self.runs.pop_if(|(from, _)| *from >= len).is_some() {}
    }

    /// The runs in a part of the row, and whether they are ints.
    fn parts(&self, from: usize, to: usize) -> impl Iterator<Item = (&[u64], bool)> {
        let first = self.runs.partition_point(|&(begin, _)| begin <= from).saturating_sub(1);
        let ends = self.runs.iter().skip(first + 1).map(|&(begin, _)| begin).chain([self.bits.len()]);
        let runs = self.runs.iter().skip(first).zip(ends);
        runs.take_while(move |((begin, _), _)| *begin < to)
            .map(move |(&(begin, int), end)| (&self.bits[begin.max(from)..end.min(to)], int))
    }

    /// A part of the row as a number (of shape `[]`) or tensor.
    fn value(&self, from: usize, shape: &[usize], dtype: DType) -> Result<Value> {
        let count = shape.iter().product();
        let mut parts = self.parts(from, from + count);
        if let (Some((ints, true)), None) = (parts.next(), parts.next()) {
            let ints = ints.iter().map(|i| i.cast_signed());
            return Ok(Value::tensor(int_tensor(shape, ints.collect())?));
        }
        let mut floats = Vec::with_capacity(count);
        for (bits, int) in self.parts(from, from + count) {
            match int {
                true => floats.extend(bits.iter().map(|i| i.cast_signed() as f64)),
                false => floats.extend(bits.iter().map(|&x| f64::from_bits(x))),
            }
        }
        match floats[..] {
            [x] if shape.is_empty() => Ok(Value::float(x)),
            _ => Ok(Value::tensor(float_tensor(dtype, shape, floats)?)),
        }
    }
}

type Shape = SmallVec<[usize; 4]>;

/// What was read last.
enum Part {
    /// A number (of shape `[]`) or numeric array: the last numbers of the row.
    Numeric(Shape),
    Other(Value),
}

struct Reader {
    dtype: DType,
    row: Row,
    /// The first error that is not one of the text.
    failure: Option<Error>,
}

impl Reader {
    /// Takes the last numbers off the row.
    fn value(&mut self, part: Part) -> Result<Value> {
        match part {
            Part::Numeric(shape) => {
                let from = self.row.bits.len().saturating_sub(shape.iter().product());
                let value = self.row.value(from, &shape, self.dtype)?;
                self.row.truncate(from);
                Ok(value)
            }
            Part::Other(value) => Ok(value),
        }
    }

    /// Takes `count` equal parts off the row.
    fn values(&mut self, count: usize, shape: &Shape) -> Result<Vec<Value>> {
        let size: usize = shape.iter().product();
        let from = self.row.bits.len().saturating_sub(count * size);
        let values = (0..count).map(|i| self.row.value(from + i * size, shape, self.dtype)).collect();
        self.row.truncate(from);
        values
    }

    /// Stops reading.
    #[cold]
    fn stop<E: serde_core::de::Error>(&mut self, failure: Error) -> E {
        self.failure = Some(failure);
        E::custom("")
    }
}

/// Reads the next value of any kind.
struct Next<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> std::result::Result<Part, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Next<'_> {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Part, E> {
        Ok(Part::Other(Value::None))
    }

    fn visit_bool<E>(self, b: bool) -> std::result::Result<Part, E> {
        Ok(Part::Other(Value::Bool(b)))
    }

    fn visit_i64<E>(self, i: i64) -> std::result::Result<Part, E> {
        self.0.row.push_int(i);
        Ok(Part::Numeric(Shape::new()))
    }

    fn visit_u64<E>(self, i: u64) -> std::result::Result<Part, E> {
        match i64::try_from(i) {
            Ok(i) => self.0.row.push_int(i),
            Err(_) => self.0.row.push_float(i as f64),
        }
        Ok(Part::Numeric(Shape::new()))
    }

    fn visit_f64<E>(self, x: f64) -> std::result::Result<Part, E> {
        self.0.row.push_float(x);
        Ok(Part::Numeric(Shape::new()))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Part, E> {
        Ok(Part::Other(Value::str(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Part, A::Error> {
        let reader = self.0;
        // Equal numeric parts so far, as long as there is nothing else.
        let (mut count, mut inner) = (0, Shape::new());
        while let Some(part) = seq.next_element_seed(Next(reader))? {
            match part {
                Part::Numeric(shape) if count == 0 || shape == inner => {
                    inner = shape;
                    count += 1;
                }
                odd => {
                    let odd = reader.value(odd).map_err(|e| reader.stop::<A::Error>(e))?;
                    let mut items = reader.values(count, &inner).map_err(|e| reader.stop::<A::Error>(e))?;
                    items.push(odd);
                    while let Some(part) = seq.next_element_seed(Next(reader))? {
                        items.push(reader.value(part).map_err(|e| reader.stop::<A::Error>(e))?);
                    }
                    return Ok(Part::Other(Value::list(items)));
                }
            }
        }
        if count == 0 {
            return Ok(Part::Other(Value::list(vec![])));
        }
        inner.insert(0, count);
        Ok(Part::Numeric(inner))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Part, A::Error> {
        let mut dict = Dict::new();
        while let Some(key) = entries.next_key::<String>()? {
            let part = entries.next_value_seed(Next(self.0))?;
            let value = self.0.value(part).map_err(|e| self.0.stop::<A::Error>(e))?;
            dict.insert(Key::Str(key.into()), value);
        }
        Ok(Part::Other(Value::Dict(dict.into())))
    }
}
