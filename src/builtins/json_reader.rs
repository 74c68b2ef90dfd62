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
use crate::tensor::vecs::{f32_tensor, f64_tensor, int_tensor};
use crate::tensor::{DType, Tensor};
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
    let mut reader = Reader { dtype, row: vec![], failure: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let part = Next(&mut reader).deserialize(&mut json).and_then(|part| json.end().map(|()| part));
    match (reader.failure.take(), part) {
        (Some(failure), _) => Err(Failure::Unmakeable(failure)),
        (None, Err(e)) => Err(Failure::Malformed(e)),
        (None, Ok(part)) => reader.value(part).map_err(Failure::Unmakeable),
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn as_f64(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(x) => x,
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
    row: Vec<Number>,
    /// The first error that is not one of the text.
    failure: Option<Error>,
}

impl Reader {
    /// Takes the last numbers off the row.
    fn value(&mut self, part: Part) -> Result<Value> {
        match part {
            Part::Numeric(shape) => {
                let from = self.row.len().saturating_sub(shape.iter().product());
                let value = numeric(&shape, &self.row[from..], self.dtype)?;
                self.row.truncate(from);
                Ok(value)
            }
            Part::Other(value) => Ok(value),
        }
    }

    /// Takes `count` equal parts off the row.
    fn values(&mut self, count: usize, shape: &Shape) -> Result<Vec<Value>> {
        let size: usize = shape.iter().product();
        let from = self.row.len().saturating_sub(count * size);
        let values =
            (0..count).map(|i| numeric(shape, &self.row[from + i * size..from + (i + 1) * size], self.dtype)).collect();
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

fn numeric(shape: &[usize], numbers: &[Number], dtype: DType) -> Result<Value> {
    if let ([], [number]) = (shape, numbers) {
        return Ok(match *number {
            Number::Int(i) => Value::Int(i),
            Number::Float(x) => Value::float(x),
        });
    }
    let ints = numbers.iter().map(|n| match n {
        Number::Int(i) => Some(*i),
        Number::Float(_) => None,
    });
    let tensor: Tensor = match (ints.collect::<Option<Vec<i64>>>(), dtype) {
        (Some(ints), _) => int_tensor(shape, ints)?,
        (None, DType::F32) => f32_tensor(shape, numbers.iter().map(|n| n.as_f64() as f32).collect())?,
        (None, _) => f64_tensor(shape, numbers.iter().map(|n| n.as_f64()).collect())?,
    };
    Ok(Value::tensor(tensor))
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
        self.0.row.push(Number::Int(i));
        Ok(Part::Numeric(Shape::new()))
    }

    fn visit_u64<E>(self, i: u64) -> std::result::Result<Part, E> {
        self.0.row.push(i64::try_from(i).map_or(Number::Float(i as f64), Number::Int));
        Ok(Part::Numeric(Shape::new()))
    }

    fn visit_f64<E>(self, x: f64) -> std::result::Result<Part, E> {
        self.0.row.push(Number::Float(x));
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
