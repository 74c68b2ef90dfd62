//! CSV files: `_load_csv` (one float matrix) and `_read_table` (columns by name), behind the library module `data`.
//!
//! In: a path. Out: tensors of the default dtype, lists of str. Cells are separated by commas and may be quoted; white space around
//! them and empty lines are skipped. Every complaint names file, line (from 1) and column (from 1).

use crate::builtins::csv_rows::{Rows, shown};
use crate::builtins::fail::{self, arity, wrong_kind};
use crate::builtins::files::read_bytes;
use crate::builtins::{Builtin, infer};
use crate::error::{Error, Result};
use crate::ops::prim::{Sig, req};
use crate::show;
use crate::tensor::DType;
use crate::tensor::vecs::float_tensor;
use crate::types::ty::{Dim, TensorTy, Ty};
use crate::value::{Dict, Key, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&LOAD_CSV, &READ_TABLE];

const PATH: Sig = Sig { params: &[req("path")] };

static LOAD_CSV: Builtin = Builtin {
    name: "_load_csv",
    doc: "The numbers of a CSV file as `float[n, m]`; a first row that isn't numbers is the header and is skipped. \
          `_load_csv(\"iris.csv\")`.",
    sig: PATH,
    // f32 or f64, as the default dtype is.
    infer: |_| {
        let dims = [Dim::Some, Dim::Some].into_iter().collect();
        Ok(Ty::Tensor(TensorTy { dtype: None, dims: Some(dims) }))
    },
    run: |vm, args| match args {
        [Value::Str(path)] => load_csv(path, vm.cx.env.dtype),
        [other] => Err(wrong_kind("load_csv", 0, "a path (str)", other)),
        _ => Err(arity("load_csv")),
    },
};

static READ_TABLE: Builtin = Builtin {
    name: "_read_table",
    doc: "The columns of a CSV file by their name in the first row: a dict of `float[n]`, or of lists of str for columns that are not \
          all numbers; an empty cell of a column of numbers is NaN. `_read_table(\"cars.csv\")[\"price\"]`.",
    sig: PATH,
    infer: infer::dict,
    run: |vm, args| match args {
        [Value::Str(path)] => read_table(path, vm.cx.env.dtype),
        [other] => Err(wrong_kind("read_table", 0, "a path (str)", other)),
        _ => Err(arity("read_table")),
    },
};

fn number(cell: &[u8]) -> Option<f64> {
    std::str::from_utf8(cell).ok()?.parse().ok()
}

/// How many columns a table has by the start of its file; `cut`: the file goes on. `None` if that does not tell.
pub fn columns_of(start: &[u8], cut: bool) -> Option<usize> {
    let end = if cut { start.iter().rposition(|b| *b == b'\n')? } else { start.len() };
    let mut rows = Rows::new("", start.get(..end)?);
    if rows.advance().ok()? { Some(rows.cells.len()) } else { None }
}

/// The names of the columns by the start of a file, likewise; `None` if it is no table of named columns, too.
pub fn names_of(start: &[u8], cut: bool) -> Option<Vec<String>> {
    let end = if cut { start.iter().rposition(|b| *b == b'\n')? } else { start.len() };
    let mut rows = Rows::new("", start.get(..end)?);
    if !rows.advance().ok()? {
        return None;
    }
    Some(header(&rows).ok()?.into_iter().map(|column| column.name).collect())
}

/// See [`LOAD_CSV`].
pub fn load_csv(path: &str, dtype: DType) -> Result<Value> {
    let bytes = read_bytes(path)?;
    let mut rows = Rows::new(path, &bytes);
    if !rows.advance()? {
        return Err(Error::new(fail::BAD_TABLE, format!("{} is empty", rows.path)));
    }
    let is_header = rows.cells.iter().any(|cell| !cell.is_empty() && number(cell).is_none());
    if is_header && !rows.advance()? {
        return Err(Error::new(fail::BAD_TABLE, format!("{} has a header but no rows", rows.path)));
    }
    let width = rows.cells.len();
    let mut data = vec![];
    loop {
        for (i, cell) in rows.cells.iter().enumerate() {
            match number(cell) {
                Some(x) => data.push(x),
                None => return Err(not_a_number(&rows, i + 1, cell)),
            }
        }
        if !rows.advance()? {
            break;
        }
    }
    let height = data.len().checked_div(width).unwrap_or(0);
    Ok(Value::tensor(float_tensor(dtype, &[height, width], data)?))
}

#[cold]
fn not_a_number(rows: &Rows<'_>, column: usize, cell: &[u8]) -> Error {
    if cell.is_empty() {
        return rows.problem(column, "the cell is empty".to_string()).help("data.read_table reads empty cells as NaN");
    }
    let error = rows.problem(column, format!("{} is not a number", shown(cell)));
    let separator = [b';', b'\t'].into_iter().find(|s| cell.contains(s));
    match separator {
        Some(_) if rows.width == Some(1) => error.help("cells must be separated by commas"),
        _ => error.help("data.read_table reads columns of text too"),
    }
}

/// A column of a table while it is read.
struct Column {
    name: String,
    /// As long as every cell is a number or empty.
    numbers: Option<Vec<f64>>,
    /// All cells one after the other, and where each ends.
    text: String,
    ends: Vec<usize>,
    any_number: bool,
}

/// See [`READ_TABLE`].
pub fn read_table(path: &str, dtype: DType) -> Result<Value> {
    let bytes = read_bytes(path)?;
    let mut rows = Rows::new(path, &bytes);
    if !rows.advance()? {
        return Err(Error::new(fail::BAD_TABLE, format!("{} is empty", rows.path)));
    }
    let mut columns = header(&rows)?;
    while rows.advance()? {
        for (column, cell) in columns.iter_mut().zip(rows.texts()?) {
            column.push(cell);
        }
    }
    if columns.first().is_none_or(|c| c.ends.is_empty()) {
        return Err(Error::new(fail::BAD_TABLE, format!("{} has a header but no rows", rows.path)));
    }
    let mut table = Dict::with_capacity(columns.len());
    for column in columns {
        table.insert(Key::Str(column.name.as_str().into()), column.value(dtype)?);
    }
    Ok(Value::Dict(table.into()))
}

fn header(rows: &Rows<'_>) -> Result<Vec<Column>> {
    let names = rows.texts()?;
    if names.iter().all(|name| number(name.as_bytes()).is_some()) {
        return Err(rows
            .problem(1, "the first row must name the columns, but it holds only numbers".to_string())
            .help("data.load_csv reads tables without names"));
    }
    for (i, name) in names.iter().enumerate() {
        if let Some(first) = names.iter().take(i).position(|other| other == name) {
            let what = format!("there are two columns called {} ({} and {})", show::quote(name), first + 1, i + 1);
            return Err(rows.problem(i + 1, what));
        }
    }
    let columns = names.iter().map(|name| Column {
        name: name.to_string(),
        numbers: Some(vec![]),
        text: String::new(),
        ends: vec![],
        any_number: false,
    });
    Ok(columns.collect())
}

impl Column {
    fn push(&mut self, cell: &str) {
        if let Some(numbers) = &mut self.numbers {
            match cell.parse() {
                Ok(x) => {
                    numbers.push(x);
                    self.any_number = true;
                }
                Err(_) if cell.is_empty() => numbers.push(f64::NAN),
                Err(_) => self.numbers = None,
            }
        }
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    fn value(self, dtype: DType) -> Result<Value> {
        // A column of empty cells, or of none, is no column of numbers.
        if let (Some(numbers), true) = (self.numbers, self.any_number) {
            return Ok(Value::tensor(float_tensor(dtype, &[numbers.len()], numbers)?));
        }
        let mut start = 0;
        let cells = self.ends.iter().map(|&end| {
            let cell = Value::str(self.text.get(start..end).unwrap_or(""));
            start = end;
            cell
        });
        Ok(Value::list(cells.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins::scratch::Scratch;

    fn file(dir: &Scratch, content: &[u8]) -> String {
        let path = dir.path("t.csv");
        std::fs::write(&path, content).unwrap();
        path
    }

    fn loaded(content: &[u8]) -> Result<(Vec<usize>, Vec<f64>)> {
        let dir =
            Scratch::new(&format!("csv-{:x}", content.iter().fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(*b))));
        let value = load_csv(&file(&dir, content), DType::F64)?;
        let Value::Tensor(_, t) = value else { panic!("not a tensor") };
        Ok((t.shape().to_vec(), t.to_f64s()))
    }

    fn message(content: &[u8]) -> String {
        let error = loaded(content).unwrap_err();
        assert_eq!(error.0.code, fail::BAD_TABLE);
        error.0.message.split_once("t.csv").unwrap().1.to_string()
    }

    #[test]
    fn numbers_with_and_without_a_header() {
        assert_eq!(loaded(b"1,2\n3,4.5\n").unwrap(), (vec![2, 2], vec![1.0, 2.0, 3.0, 4.5]));
        assert_eq!(
            loaded(b"\xef\xbb\xbfa,b\r\n 1 , \"2\"\r\n\r\n3,-4e1").unwrap(),
            (vec![2, 2], vec![1.0, 2.0, 3.0, -40.0])
        );
        assert_eq!(loaded(b"id,2019\n1,2\n").unwrap().0, [1, 2]);
        assert_eq!(loaded(b"5\n6\n").unwrap(), (vec![2, 1], vec![5.0, 6.0]));
    }

    #[test]
    fn bad_cells_are_placed() {
        assert_eq!(message(b"a,b\n1,2\n3,x\n"), ", line 3, column 2: \"x\" is not a number");
        assert_eq!(message(b"1,2\n3,\n"), ", line 2, column 2: the cell is empty");
        assert_eq!(message(b"1,2\n3\n"), ", line 2, column 2: this row has 1 cell, the first row has 2");
        assert_eq!(message(b"1,2\n\n3,4,5\n"), ", line 3, column 3: this row has 3 cells, the first row has 2");
        assert_eq!(message(b"1,2\n3,\xff\n"), ", line 2, column 2: \"\u{fffd}\" is not a number");
    }

    #[test]
    fn nothing_to_read() {
        assert_eq!(message(b""), " is empty");
        assert_eq!(message(b"\n\n"), " is empty");
        assert_eq!(message(b"a,b\n"), " has a header but no rows");
        let dir = Scratch::new("no-csv");
        let error = load_csv(&dir.path("nowhere.csv"), DType::F32).unwrap_err();
        assert_eq!(error.0.code, fail::NO_FILE);
        assert!(error.0.notes[0].contains("nowhere.csv"));
    }

    #[test]
    fn the_default_dtype_is_used() {
        let dir = Scratch::new("csv-dtype");
        assert_eq!(load_csv(&file(&dir, b"1,2\n"), DType::F32).unwrap().type_name(), "f32[1, 2]");
    }

    #[test]
    fn tables_by_column() {
        let dir = Scratch::new("table");
        let path = file(&dir, "x,name,empty\n1,ä,\n,\"b, c\",\n".as_bytes());
        let Value::Dict(table) = read_table(&path, DType::F64).unwrap() else { panic!() };
        let column = |name: &str| table.get(&Key::Str(name.into())).unwrap();
        let Value::Tensor(_, x) = column("x") else { panic!() };
        assert!(x.to_f64s()[0] == 1.0 && x.to_f64s()[1].is_nan());
        assert_eq!(show::repr(column("name")), r#"list("ä", "b, c")"#);
        assert_eq!(show::repr(column("empty")), r#"list("", "")"#);
    }

    #[test]
    fn tables_need_names() {
        let dir = Scratch::new("table-names");
        assert!(read_table(&file(&dir, b"1,2\n3,4\n"), DType::F64).is_err());
        let error = read_table(&file(&dir, b"a,a\n3,4\n"), DType::F64).unwrap_err();
        assert!(error.0.message.contains("two columns called \"a\" (1 and 2)"));
        assert!(read_table(&file(&dir, b"a,b\n3\n"), DType::F64).is_err());
        let error = read_table(&file(&dir, b"a,b\n\xff,1\n"), DType::F64).unwrap_err();
        assert!(error.0.message.contains("line 2, column 1"), "{}", error.0.message);
    }

    #[test]
    fn ten_megabytes_are_quick() {
        let mut content = String::from("a,b,c,d\n");
        while content.len() < 10_000_000 {
            content.push_str("0.123456,-12.5,3e-4,1234567\n");
        }
        let dir = Scratch::new("csv-large");
        let path = file(&dir, content.as_bytes());
        let start = std::time::Instant::now();
        load_csv(&path, DType::F32).unwrap();
        // Generous: the dev profile on a busy machine.
        assert!(start.elapsed().as_secs_f64() < 10.0, "{:?}", start.elapsed());
    }
}
