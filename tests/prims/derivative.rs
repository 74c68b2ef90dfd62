//! Derivatives against numbers: tangents against central differences, cotangents against tangents, and the same for
//! the derivatives themselves.

use dlang::error::Result;
use dlang::value::Value;
use dlang::vm::Vm;

use crate::modes::{Function, jvp, pulled, pushed, vjp};
use crate::tally::{Failure, Kind, Tally};
use crate::values::*;

/// Steps of the differences, relative to the size of the arguments; the first that agrees counts.
const STEPS: [f64; 5] = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7];

/// What to check at a point.
#[derive(Clone, Copy)]
pub struct Plan {
    pub kind: [Kind; 2],
    pub directions: usize,
    /// The point may be a kink or a jump: there the function is compared with its transpose only.
    pub kinks: bool,
}

/// Central differences, once extrapolated: `(4 D(h/2) - D(h)) / 3`.
fn difference(vm: &mut Vm, f: &Function<'_>, xs: &[Value], us: &[Value], h: f64) -> Result<Vec<f64>> {
    let mut central = |h: f64| -> Result<Vec<f64>> {
        let (up, down) = (f(vm, &moved(xs, us, h))?, f(vm, &moved(xs, us, -h))?);
        Ok(all_numbers(&up).iter().zip(all_numbers(&down)).map(|(a, b)| (a - b) / (2.0 * h)).collect())
    };
    let (wide, narrow) = (central(h)?, central(h / 2.0)?);
    Ok(wide.iter().zip(narrow).map(|(w, n)| if *w == n { n } else { (4.0 * n - w) / 3.0 }).collect())
}

/// True where the function jumps: what changes over a step does not shrink with it.
fn jumps(vm: &mut Vm, f: &Function<'_>, xs: &[Value], us: &[Value]) -> Result<bool> {
    let h = 1e-9;
    let (up, at, down) = (f(vm, &moved(xs, us, h))?, f(vm, xs)?, f(vm, &moved(xs, us, -h))?);
    let together = |a: &[Value], b: &[Value]| {
        all_numbers(a).iter().zip(all_numbers(b)).all(|(a, b)| (a - b).abs() < 1e-6 * (1.0 + a.abs()))
    };
    Ok(!together(&up, &at) || !together(&at, &down))
}

/// The jvp of `f` against differences, its vjp against its jvp.
pub fn check(
    vm: &mut Vm,
    tally: &mut Tally,
    f: &Function<'_>,
    xs: &[Value],
    plan: Plan,
) -> std::result::Result<(), Failure> {
    let [forth, back] = plan.kind;
    let y = f(vm, xs).map_err(|e| forth.error(&e))?;
    for _ in 0..plan.directions {
        let us = directions(vm, xs);
        let (same, dots) = jvp(vm, f, xs, &us).map_err(|e| forth.error(&e))?;
        if !close(&all_numbers(&same), &all_numbers(&y), 1e-14) || !alike(&dots, &y) {
            return forth.fail(format!("{} became {} with tangent {}", shown(&y), shown(&same), shown(&dots)));
        }
        let got = all_numbers(&dots);
        let sizes = all_numbers(&y);
        let mut right = vec![false; got.len()];
        let mut want = vec![];
        for h in STEPS {
            if right.iter().all(|&r| r) {
                break;
            }
            want = difference(vm, f, xs, &us, h).map_err(|e| forth.error(&e))?;
            for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                let tolerance = 1e-7 * (g.abs() + 1e-3 * (1.0 + sizes[i].abs()));
                right[i] |= (g - w).abs() <= tolerance || (g.is_nan() && w.is_nan()) || !sizes[i].is_finite();
            }
        }
        if !right.iter().all(|&r| r) {
            if plan.kinks && jumps(vm, f, xs, &us).map_err(|e| forth.error(&e))? {
                tally.count(Kind::Kink);
            } else {
                return forth.fail(format!(
                    "at {:?} along {:?}: tangent {got:?}, differences {want:?}",
                    all_numbers(xs),
                    all_numbers(&us)
                ));
            }
        }
        tally.count(forth);
        let y_bars = cotangents(vm, &y);
        let x_bars = vjp(vm, f, xs, &y_bars).map_err(|e| back.error(&e))?;
        if !alike(&x_bars, xs) {
            return back.fail(format!("cotangents {} of arguments {}", shown(&x_bars), shown(xs)));
        }
        let ((a, size_a), (b, size_b)) = (dot(&y_bars, &dots), dot(&x_bars, &us));
        let agree = (a - b).abs() <= 1e-10 * (size_a + size_b) || a == b || (!a.is_finite() && !b.is_finite());
        if !agree {
            return back.fail(format!("at {:?}: <y_bar, jvp> = {a}, <vjp, u> = {b}", all_numbers(xs)));
        }
        tally.count(back);
    }
    Ok(())
}

/// Second derivatives: the vjp and the jvp as functions of all they take, and the four ways to the same number.
pub fn second(
    vm: &mut Vm,
    tally: &mut Tally,
    f: &Function<'_>,
    xs: &[Value],
    kinks: bool,
) -> std::result::Result<(), Failure> {
    let y = f(vm, xs).map_err(|e| Kind::Second.error(&e))?;
    let (y_bars, us) = (cotangents(vm, &y), directions(vm, xs));
    let plan = Plan { kind: [Kind::Second, Kind::SecondBack], directions: 1, kinks };
    let (pull, push) = (pulled(f, xs.len()), pushed(f));
    let at_bar = [xs, &y_bars].concat();
    let at_dot = [xs, &us].concat();
    check(vm, tally, &pull, &at_bar, plan).map_err(|e| e.of("vjp"))?;
    check(vm, tally, &push, &at_dot, plan).map_err(|e| e.of("jvp"))?;
    let along_bar = [us.clone(), zeros(&y_bars)].concat();
    let along_dot = [us.clone(), zeros(&us)].concat();
    let said = |e| Kind::Agree.error(&e);
    let n = xs.len();
    let forward_reverse = jvp(vm, &pull, &at_bar, &along_bar).map_err(said)?.1;
    let forward_forward = jvp(vm, &push, &at_dot, &along_dot).map_err(said)?.1;
    let reverse_forward = vjp(vm, &push, &at_dot, &y_bars).map_err(said)?;
    let reverse_reverse = vjp(vm, &pull, &at_bar, &us).map_err(said)?;
    let ways = [
        dot(&forward_reverse, &us),
        dot(&forward_forward, &y_bars),
        dot(&reverse_forward[..n], &us),
        dot(&reverse_reverse[..n], &us),
    ];
    // Second derivatives that cancel are as exact as the first.
    let slope = jvp(vm, f, xs, &us).map_err(said)?.1;
    let size = ways.iter().map(|w| w.1).fold(dot(&slope, &y_bars).1, f64::max);
    let first = ways[0].0;
    let agree = |w: f64| (w - first).abs() <= 1e-9 * size || (!w.is_finite() && !first.is_finite());
    if !ways.iter().all(|w| agree(w.0)) {
        return Kind::Agree.fail(format!(
            "forward over reverse, forward over forward, reverse over forward, reverse over reverse: {ways:?} at {:?}",
            all_numbers(xs)
        ));
    }
    tally.count(Kind::Agree);
    Ok(())
}

/// Third derivatives: the vjp of the vjp against differences and its own transpose.
pub fn third(vm: &mut Vm, tally: &mut Tally, f: &Function<'_>, xs: &[Value]) -> std::result::Result<(), Failure> {
    let y = f(vm, xs).map_err(|e| Kind::Third.error(&e))?;
    let y_bars = cotangents(vm, &y);
    let pull = pulled(f, xs.len());
    let at = [xs, &y_bars].concat();
    let x_bars = pull(vm, &at).map_err(|e| Kind::Third.error(&e))?;
    let twice = pulled(&pull, at.len());
    let at = [at, cotangents(vm, &x_bars)].concat();
    let plan = Plan { kind: [Kind::Third, Kind::Third], directions: 1, kinks: false };
    check(vm, tally, &twice, &at, plan)
}
