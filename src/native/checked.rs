//! Sums of products in which a zero wins. That makes a difference only where a zero meets what is infinite or NaN, and then the
//! plain sum is NaN: it is computed first, and again in full where that comes of it, which is rare.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use crate::bytecode::formula::{Formula, Step};
use crate::native::slopes::{Writer, constant, is_inside};
use crate::ops::strong::STRONG;

fn is_strong(step: Step) -> bool {
    matches!(step, Step::Binary(_, _, g) if is_inside(&STRONG, g.inside))
}

/// Whether a formula is such a sum: NaN anywhere is NaN at its end.
pub fn is_sum_of_products(formula: &Formula) -> bool {
    let steps = &formula.steps;
    let carries =
        |step: &Step| matches!(step, Step::Add(..) | Step::Sub(..) | Step::Mul(..) | Step::Neg(_)) || is_strong(*step);
    let is_read = |k: usize| {
        let reads = |step: &Step| {
            let (a, b) = step.operands();
            let value = formula.value(k);
            usize::from(a) == value || b.is_some_and(|b| usize::from(b) == value)
        };
        k + 1 == steps.len() || steps[k + 1..].iter().any(reads)
    };
    steps.iter().any(|step| is_strong(*step)) && steps.iter().all(carries) && (0..steps.len()).all(is_read)
}

impl Writer<'_, '_> {
    /// The value of such a formula of registers and constants.
    pub(super) fn sum_of_products(&mut self, formula: &Formula, operands: &[Value]) -> Value {
        let (quick, is_sure) = self.steps(formula, operands, true);
        if is_sure {
            return quick;
        }
        if let Some(found) = self.seen.checked.get(&quick) {
            return *found;
        }
        let is_nan = self.b.ins().fcmp(FloatCC::Unordered, quick, quick);
        let (rare, join) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(rare);
        let found = self.b.append_block_param(join, types::F64);
        self.b.ins().brif(is_nan, rare, &[], join, &[quick.into()]);
        self.b.switch_to_block(rare);
        self.b.seal_block(rare);
        // Nothing else follows this block.
        let seen = std::mem::take(self.seen);
        let (full, _) = self.steps(formula, operands, false);
        *self.seen = seen;
        self.b.ins().jump(join, &[full.into()]);
        self.b.switch_to_block(join);
        self.b.seal_block(join);
        self.seen.checked.insert(quick, found);
        found
    }

    /// The last value; `plain`: by plain products. Whether there is no zero that would have won.
    fn steps(&mut self, formula: &Formula, operands: &[Value], plain: bool) -> (Value, bool) {
        let (mut v, mut is_sure) = (operands.to_vec(), true);
        for step in &formula.steps {
            let (a, b) = step.operands();
            let operands = [v[usize::from(a)], v[usize::from(b.unwrap_or(a))]];
            let known = operands.map(|x| constant(self.b, x));
            let step = if plain && is_strong(*step) && !known.iter().flatten().any(|x| x.is_finite()) {
                is_sure = false;
                Step::Mul(0, 1)
            } else {
                *step
            };
            v.push(self.once(step, operands, None));
        }
        (v[v.len() - 1], is_sure)
    }
}
