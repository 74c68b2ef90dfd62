//! Figures, behind the library module `plot`: its struct `Figure` as SVG, PNG or text.
//!
//! In: a `Figure` of the library, whose series are dicts. What the library has checked is not worded for users here.

use crate::builtins::fail::{self, arity, with_article, wrong_kind};
use crate::builtins::safetensors::write_whole;
use crate::builtins::{Builtin, infer};
use crate::cli::color::{ColorChoice, wanted};
use crate::error::{Error, Result};
use crate::ops::prim::{Default, Sig, opt, req};
use crate::plot::figure::{Figure, Matrix, Picture, Series, Shape};
use crate::plot::{layout, raster, svg, terminal};
use crate::show;
use crate::tensor::vecs::f64_tensor;
use crate::tensor::{DType, show_shape};
use crate::types::ty::{Dim, TensorTy, Ty};
use crate::value::{Key, Value};

/// What this file brings.
pub static FAMILY: &[&Builtin] = &[&NUMBERS, &SAVE, &SVG, &TEXT];

static NUMBERS: Builtin = Builtin {
    name: "_plot_numbers",
    doc: "The numbers of a tensor, range, list or tuple as f64, of `rank` axes; `function` and `name` are for the message if they are \
          something else. `_plot_numbers(\"line\", \"y\", list(1, 2), 1)`.",
    sig: Sig { params: &[req("function"), req("name"), req("x"), req("rank")] },
    infer: |args| {
        let dims = match args.get(2) {
            Some(Ty::Tensor(TensorTy { dims: Some(dims), .. })) => dims.clone(),
            Some(Ty::List(_) | Ty::Range | Ty::Tuple(_)) => [Dim::Some].into_iter().collect(),
            _ => return Ok(Ty::Any),
        };
        Ok(Ty::Tensor(TensorTy { dtype: Some(DType::F64), dims: Some(dims) }))
    },
    run: |_, args| {
        let [Value::Str(function), Value::Str(name), x, Value::Int(rank)] = &*args else {
            return Err(arity("_plot_numbers"));
        };
        match numbers(x) {
            Some((shape, data)) if shape.len() as i64 == *rank => Ok(Value::tensor(f64_tensor(&shape, data)?)),
            _ => Err(unfit(function, name, x, *rank)),
        }
    },
};

#[cold]
fn unfit(function: &str, name: &str, x: &Value, rank: i64) -> Error {
    let form = if rank == 1 { "a tensor with one axis or a list of numbers" } else { "a matrix" };
    let error = Error::new(
        fail::ASSERTION,
        format!("plot.{function} takes {form} for {name}, but got {}", with_article(&x.type_name())),
    );
    match x.shape() {
        Some([_, k]) if rank == 1 => {
            error.help(format!("draw the {k} columns one by one: figure.{function}(x, {name}[:, 0])"))
        }
        Some(shape) if shape.len() > 2 => {
            error.help(format!("choose a part of it, such as {name}[0]; its shape is {}", show_shape(shape)))
        }
        _ => error,
    }
}

/// Shape and numbers of a tensor, range, list or tuple.
fn numbers(x: &Value) -> Option<(Vec<usize>, Vec<f64>)> {
    let one = |v: &Value| match v {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Int(i) => Some(*i as f64),
        Value::Float(_, x) => Some(*x),
        _ => None,
    };
    match x {
        Value::Tensor(_, t) => Some((t.shape().to_vec(), t.to_f64s())),
        Value::Range(r) => Some((vec![r.len()], (0..r.len()).map(|i| r.at(i) as f64).collect())),
        Value::List(items) | Value::Tuple(items) => {
            let data: Option<Vec<f64>> = items.iter().map(one).collect();
            Some((vec![items.len()], data?))
        }
        _ => None,
    }
}

static SAVE: Builtin = Builtin {
    name: "_plot_save",
    doc: "Writes a figure as SVG or PNG, by the file's ending. `_plot_save(figure, \"loss.svg\")`.",
    sig: Sig { params: &[req("figure"), req("path")] },
    infer: infer::none,
    run: |_, args| match &*args {
        [figure, Value::Str(path)] => {
            save(&figure_of(figure)?, path)?;
            Ok(Value::None)
        }
        [_, other] => Err(wrong_kind("save", 1, "a path (str)", other)),
        _ => Err(arity("_plot_save")),
    },
};

fn save(figure: &Figure, path: &str) -> Result<()> {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let scene = layout::scene(figure);
    let bytes = match ending.as_str() {
        "svg" => svg::svg(&scene).into_bytes(),
        "png" => raster::picture(&scene).map_err(|what| {
            Error::new(fail::NO_WRITE, what).help("make width and height smaller, or show fewer images at once")
        })?,
        _ => {
            return Err(Error::new(
                fail::NO_WRITE,
                format!("a figure is written as .svg or .png, but the path is {}", show::quote(path)),
            )
            .help("end the path in .svg (sharp at any size) or .png"));
        }
    };
    write_whole(std::path::Path::new(path), |out| std::io::Write::write_all(out, &bytes))
        .map_err(|e| fail::cannot_write(path, &e))
}

static SVG: Builtin = Builtin {
    name: "_plot_svg",
    doc: "A figure as the text of an SVG file. `_plot_svg(figure)`.",
    sig: Sig { params: &[req("figure")] },
    infer: infer::str,
    run: |_, args| match &*args {
        [figure] => Ok(Value::str(svg::svg(&layout::scene(&figure_of(figure)?)))),
        _ => Err(arity("_plot_svg")),
    },
};

static TEXT: Builtin = Builtin {
    name: "_plot_text",
    doc: "A figure in characters, as wide as the terminal or `width`. `_plot_text(figure, 80)`.",
    sig: Sig { params: &[req("figure"), opt("width", Default::None), opt("color", Default::None)] },
    infer: infer::str,
    run: |vm, args| match &*args {
        [figure, width, color] => {
            let width = match width {
                Value::Int(n) => (*n).clamp(20, 1000) as usize,
                _ if !vm.writes_to_terminal() => 80,
                _ => console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns)),
            };
            let color = match color {
                Value::Bool(color) => *color,
                _ => vm.writes_to_terminal() && wanted(ColorChoice::Auto, true),
            };
            Ok(Value::str(terminal::text(&figure_of(figure)?, width, color)))
        }
        _ => Err(arity("_plot_text")),
    },
};

/// A field of a struct or an entry of a dict.
fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    match of {
        Value::Struct(s) => {
            let i = s.def.fields.iter().position(|f| &*f.name.name() == name)?;
            s.fields.get(i)
        }
        Value::Dict(dict) => dict.get(&Key::Str(name.into())),
        _ => None,
    }
}

#[cold]
fn malformed(what: &str) -> Error {
    Error::new(fail::BAD_ARGUMENT, format!("this figure was not made by `plot`: {what}"))
        .help("make it with plot.figure() and its methods")
}

/// Panels within panels go no deeper.
const DEEPEST: usize = 16;

fn figure_of(value: &Value) -> Result<Figure> {
    figure_at(value, DEEPEST)
}

/// `depth` more panels may hold panels.
fn figure_at(value: &Value, depth: usize) -> Result<Figure> {
    let text = |name: &str| match field(value, name) {
        Some(Value::Str(s)) => Ok(s.to_string()),
        _ => Err(malformed(name)),
    };
    let flag = |name: &str| matches!(field(value, name), Some(Value::Bool(true)));
    let range = |name: &str| match numbers(field(value, name)?)?.1.as_slice() {
        [low, high] => Some((*low, *high)),
        _ => None,
    };
    let size = |name: &str, otherwise: f64| match field(value, name) {
        Some(Value::Int(n)) => (*n as f64).clamp(160.0, 20_000.0),
        _ => otherwise,
    };
    let Some(Value::List(all)) = field(value, "series") else { return Err(malformed("series")) };
    let mut series: Vec<Series> = vec![];
    // What has no color of its own takes the next one.
    let mut next = 0;
    for one in all.iter() {
        let mut new = series_of(one, depth).ok_or_else(|| malformed("series"))?;
        if field(one, "color").is_none_or(|color| matches!(color, Value::None)) {
            new.color = Some(next);
            next += 1;
        }
        series.push(new);
    }
    Ok(Figure {
        title: text("title")?,
        x_label: text("x_label")?,
        y_label: text("y_label")?,
        x_log: flag("x_log"),
        y_log: flag("y_log"),
        x_range: range("x_range"),
        y_range: range("y_range"),
        equal: flag("equal"),
        width: size("width", 720.0),
        height: size("height", 440.0),
        series,
    })
}

fn series_of(value: &Value, depth: usize) -> Option<Series> {
    let vector = |name: &str| numbers(field(value, name)?).filter(|(shape, _)| shape.len() == 1).map(|(_, data)| data);
    let same = |x: &[f64], y: &[f64]| x.len() == y.len();
    let Value::Str(kind) = field(value, "kind")? else { return None };
    let shape = match kind.as_str() {
        "line" | "scatter" => {
            let (x, y) = (vector("x")?, vector("y")?);
            if !same(&x, &y) {
                return None;
            }
            let dashed = matches!(field(value, "dashed"), Some(Value::Bool(true)));
            if kind.as_str() == "line" { Shape::Line { x, y, dashed } } else { Shape::Points { x, y } }
        }
        "spans" | "band" => {
            let (x, low, high) = (vector("x")?, vector("low")?, vector("high")?);
            if !same(&x, &low) || !same(&x, &high) {
                return None;
            }
            if kind.as_str() == "spans" { Shape::Spans { x, low, high } } else { Shape::Band { x, low, high } }
        }
        "rule" => {
            let Some(Value::Float(_, at)) = field(value, "at") else { return None };
            Shape::Rule { at: *at, upright: matches!(field(value, "upright"), Some(Value::Bool(true))) }
        }
        "panels" => {
            let Some(Value::Int(columns)) = field(value, "columns") else { return None };
            let Some(Value::List(figures)) = field(value, "figures") else { return None };
            Shape::Panels {
                figures: figures.iter().map(|one| figure_at(one, depth.checked_sub(1)?).ok()).collect::<Option<_>>()?,
                columns: usize::try_from(*columns).ok()?,
            }
        }
        "histogram" => {
            let Some(Value::Int(left_out)) = field(value, "left_out") else { return None };
            Shape::Bars {
                edges: vector("edges")?,
                counts: vector("counts")?,
                left_out: usize::try_from(*left_out).ok()?,
            }
        }
        "heat_map" => {
            let (shape, values) = numbers(field(value, "z")?)?;
            let [rows, columns] = shape.as_slice() else { return None };
            let ends = |name: &str| vector(name).and_then(|v| Some((*v.first()?, *v.last()?)));
            Shape::Map { cells: Matrix { rows: *rows, columns: *columns, values }, x: ends("x"), y: ends("y") }
        }
        "images" => {
            let Some(Value::Int(columns)) = field(value, "columns") else { return None };
            let Some(Value::List(labels)) = field(value, "labels") else { return None };
            Shape::Images {
                images: pictures(field(value, "x")?)?,
                columns: usize::try_from(*columns).ok()?,
                labels: labels.iter().map(show::display).collect(),
            }
        }
        _ => return None,
    };
    let label = match field(value, "label") {
        Some(Value::Str(label)) => label.to_string(),
        _ => String::new(),
    };
    // A place in the palette; -1 for gray.
    let color = match field(value, "color") {
        Some(Value::Int(i)) => usize::try_from(*i).ok(),
        _ => None,
    };
    Some(Series { label, color, shape })
}

/// `[n, h, w]` or `[n, h, w, c]`
fn pictures(x: &Value) -> Option<Vec<Picture>> {
    let (shape, values) = numbers(x)?;
    let (rows, columns, channels) = match shape.as_slice() {
        [_, h, w] => (*h, *w, 1),
        [_, h, w, c] => (*h, *w, *c),
        _ => return None,
    };
    let size = (rows * columns * channels).max(1);
    Some(values.chunks(size).map(|one| Picture::new(rows, columns, channels, one)).collect())
}
