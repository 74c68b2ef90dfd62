//! Forward and reverse mode of a function of values, as functions of values again: they compose to any order.

use dlang::ad::reverse::sweep;
use dlang::ad::{LevelState, Mode};
use dlang::error::{Error, Result};
use dlang::value::Value;
use dlang::vm::Vm;

/// A function of differentiable values to differentiable values.
pub type Function<'a> = dyn Fn(&mut Vm, &[Value]) -> Result<Vec<Value>> + 'a;

/// Results and their tangents.
pub fn jvp(vm: &mut Vm, f: &Function<'_>, xs: &[Value], us: &[Value]) -> Result<(Vec<Value>, Vec<Value>)> {
    let depth = vm.cx.depth();
    let result = forward(vm, f, xs, us);
    vm.cx.close_to(depth);
    result
}

fn forward(vm: &mut Vm, f: &Function<'_>, xs: &[Value], us: &[Value]) -> Result<(Vec<Value>, Vec<Value>)> {
    let level = vm.cx.open_forward()?;
    let mut lifted = vec![];
    for (x, u) in xs.iter().zip(us) {
        let pair = vm.cx.lift_forward(x, u, level)?;
        lifted.push(
            pair.ok_or_else(|| {
                Error::new("E0400", format!("tangent {u} of {x}", u = u.type_name(), x = x.type_name()))
            })?,
        );
    }
    let inside = f(vm, &lifted)?;
    let mut out = (vec![], vec![]);
    for y in &inside {
        out.1.push(vm.cx.read_tangents(y, level)?);
        out.0.push(vm.cx.strip(y, level)?);
    }
    Ok(out)
}

/// Cotangents of the arguments.
pub fn vjp(vm: &mut Vm, f: &Function<'_>, xs: &[Value], y_bars: &[Value]) -> Result<Vec<Value>> {
    let depth = vm.cx.depth();
    let result = reverse(vm, f, xs, y_bars);
    vm.cx.close_to(depth);
    result
}

fn reverse(vm: &mut Vm, f: &Function<'_>, xs: &[Value], y_bars: &[Value]) -> Result<Vec<Value>> {
    let level = vm.cx.open_reverse(false, None)?;
    let mut lifted = vec![];
    for x in xs {
        lifted.push(vm.cx.lift_reverse(x, level)?);
    }
    let inside = f(vm, &lifted)?;
    let Some(LevelState { mode: Mode::Reverse(mut tape), .. }) = vm.cx.close() else {
        return Err(Error::new("E0400", "a level was closed out of order"));
    };
    let seeds: Vec<_> = inside
        .iter()
        .zip(y_bars)
        .filter(|(y, _)| !y.slot().is_const() && y.slot().level() == level)
        .map(|(y, bar)| (y.slot().node(), bar.clone()))
        .collect();
    let bars = sweep(vm, &mut tape, level, &seeds, true)?;
    let mut x_bars = vec![];
    for (x, inside) in xs.iter().zip(&lifted) {
        x_bars.push(match bars.get(&tape, inside.slot().node()) {
            Some(bar) => bar,
            None => vm.cx.zeros_like(x)?,
        });
    }
    Ok(x_bars)
}

/// `(x, u) -> f'(x) u` as a function.
pub fn pushed<'a>(f: &'a Function<'a>) -> Box<Function<'a>> {
    Box::new(move |vm, all| {
        let (xs, us) = all.split_at(all.len() / 2);
        Ok(jvp(vm, f, xs, us)?.1)
    })
}

/// `(x, y_bar) -> y_bar f'(x)` as a function; `n` is the number of arguments of `f`.
pub fn pulled<'a>(f: &'a Function<'a>, n: usize) -> Box<Function<'a>> {
    Box::new(move |vm, all| {
        let (xs, y_bars) = all.split_at(n);
        vjp(vm, f, xs, y_bars)
    })
}
