//! Functions that call themselves, in native code: the arguments go in registers of the processor, the result comes back in
//! [`Frame::item`]. A call that gives 0 has failed, and all around it with it: the machine does the outermost one again.

use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block, Function, InstBuilder, Signature, types};
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::bytecode::op::Reg;
use crate::native::action::Place;
use crate::native::code::{self, Code};
use crate::native::emit::{Emitter, TRUSTED};
use crate::native::frame::{Cell, Frame, Tag};
use crate::native::kind::Kind;
use crate::native::region::Region;

/// What a function gives that is done, that has failed, and that had no room to record.
pub const DONE: u64 = 1;
pub const FAILED: u64 = 0;
pub const FULL: u64 = 2;

/// The parameters that are passed, with their kinds.
fn passed(region: &Region<'_>) -> Vec<(Reg, Kind)> {
    let params = region.frames.first().map_or(0, |own| own.code.params.len());
    let kinds = (0..params).map(|i| (Reg(i as u16), region.entry_kinds[Reg(i as u16)]));
    kinds.filter(|(_, kind)| kind.is_scalar()).collect()
}

/// The frame, then each parameter: a float, its node if it may have one, or an int.
pub fn signature(isa: &OwnedTargetIsa, region: &Region<'_>) -> Signature {
    let mut signature = code::signature(isa);
    for (_, kind) in passed(region) {
        match kind {
            Kind::Float { active } => {
                signature.params.push(AbiParam::new(types::F64));
                signature.params.extend(active.then_some(AbiParam::new(types::I32)));
            }
            _ => signature.params.push(AbiParam::new(types::I64)),
        }
    }
    signature
}

/// Code that takes the arguments from the cells and calls the function.
pub fn first_call(isa: &OwnedTargetIsa, region: &Region<'_>) -> Option<Code<Frame>> {
    let mut context = FunctionBuilderContext::new();
    let mut function = Function::new();
    function.signature = code::signature(isa);
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let callee = b.import_signature(signature(isa, region));
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let frame = b.block_params(block)[0];
    let cells = b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, cells) as i32);
    let mut args = vec![frame];
    for (reg, kind) in passed(region) {
        // One that is never named may hold anything.
        let cell = region.cell(reg);
        let at = |field: usize| (cell.unwrap_or(0) * size_of::<Cell>() + field) as i32;
        match kind {
            Kind::Float { active } => {
                args.push(b.ins().load(types::F64, TRUSTED, cells, at(offset_of!(Cell, float))));
                if active {
                    args.push(b.ins().load(types::I32, TRUSTED, cells, at(offset_of!(Cell, node))));
                }
            }
            _ => args.push(b.ins().load(types::I64, TRUSTED, cells, at(offset_of!(Cell, int)))),
        }
    }
    let address = b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, function) as i32);
    let call = b.ins().call_indirect(callee, address, &args);
    let done = b.inst_results(call)[0];
    b.ins().return_(&[done]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
    code::compile(isa, function)
}

impl Emitter<'_> {
    /// Puts the arguments of a function where its parameters are; these.
    pub(super) fn take_arguments(&mut self, block: Block) -> Option<Vec<Reg>> {
        if self.recursion.is_none() {
            return Some(vec![]);
        }
        let mut args = self.b.block_params(block).to_vec().into_iter().skip(1);
        let mut given = vec![];
        for (reg, kind) in passed(self.region) {
            let value = args.next()?;
            let node = if kind == (Kind::Float { active: true }) { Some(args.next()?) } else { None };
            if self.region.cell(reg).is_none() {
                continue;
            }
            match kind {
                Kind::Float { .. } => self.set_float(reg, value, node)?,
                Kind::Bool => self.set_int(reg, value, Tag::Bool)?,
                _ => self.set_int(reg, value, Tag::Int)?,
            }
            given.push(reg);
        }
        Some(given)
    }

    /// Leaves by `out` if calls are nested too deep.
    pub(super) fn go_deeper(&mut self, out: Block) {
        let frame = self.b.use_var(self.frame);
        let limit = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, limit) as i32);
        let stack = self.b.ins().get_stack_pointer(types::I64);
        let over = self.b.ins().icmp(IntCC::UnsignedLessThan, stack, limit);
        let go = self.b.create_block();
        self.b.ins().brif(over, out, &[], go, &[]);
        self.go_on(go);
    }

    /// Gives up.
    pub(super) fn fail(&mut self, full: bool) {
        let code = self.b.ins().iconst(types::I64, if full { FULL } else { FAILED } as i64);
        self.b.ins().return_(&[code]);
    }

    /// The result, for the caller.
    pub(super) fn give_back(&mut self, src: Reg, place: &Place) -> Option<()> {
        let (vars, frame) = (self.vars(src)?, self.b.use_var(self.frame));
        let field = |offset: usize| (offset_of!(Frame, item) + offset) as i32;
        match place.kinds[src] {
            Kind::Float { active } => {
                let x = self.b.use_var(vars.float);
                self.b.ins().store(TRUSTED, x, frame, field(offset_of!(Cell, float)));
                // The result may have a node on another way.
                let node = if active { self.b.use_var(vars.node) } else { self.b.ins().iconst(types::I32, 0) };
                self.b.ins().store(TRUSTED, node, frame, field(offset_of!(Cell, node)));
            }
            _ => {
                let i = self.b.use_var(vars.int);
                self.b.ins().store(TRUSTED, i, frame, field(offset_of!(Cell, int)));
            }
        }
        self.store_record();
        let done = self.b.ins().iconst(types::I64, DONE as i64);
        self.b.ins().return_(&[done]);
        Some(())
    }

    /// Notes the end of what is recorded, for others.
    fn store_record(&mut self) {
        let Some(record) = self.record else { return };
        let frame = self.b.use_var(self.frame);
        let top = self.b.use_var(record.top);
        self.b.ins().store(TRUSTED, top, frame, offset_of!(Frame, top) as i32);
        if let Some(var) = record.node {
            let node = self.b.use_var(var);
            self.b.ins().store(TRUSTED, node, frame, offset_of!(Frame, node) as i32);
        }
    }

    pub(super) fn recur(&mut self, dst: Reg, args: &[Reg], result: Kind) -> Option<()> {
        self.store_record();
        let frame = self.b.use_var(self.frame);
        let mut values = vec![frame];
        for (arg, (_, kind)) in args.iter().zip(passed(self.region)) {
            let vars = self.vars(*arg)?;
            match kind {
                Kind::Float { active } => {
                    values.push(self.b.use_var(vars.float));
                    if active {
                        values.push(self.b.use_var(vars.node));
                    }
                }
                _ => values.push(self.b.use_var(vars.int)),
            }
        }
        let address = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, function) as i32);
        let call = self.b.ins().call_indirect(self.recursion?, address, &values);
        let done = self.b.inst_results(call)[0];
        let (go, out) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(out);
        let is_done = self.b.ins().icmp_imm_s(IntCC::Equal, done, DONE as i64);
        self.b.ins().brif(is_done, go, &[], out, &[]);
        self.go_on(out);
        self.b.ins().return_(&[done]);
        self.go_on(go);
        if let Some(record) = self.record {
            self.load_record(record);
            if let Some(var) = record.node {
                let node = self.b.ins().load(types::I64, TRUSTED, frame, offset_of!(Frame, node) as i32);
                self.b.def_var(var, node);
            }
        }
        let field = |offset: usize| (offset_of!(Frame, item) + offset) as i32;
        match result {
            Kind::Float { active } => {
                let x = self.b.ins().load(types::F64, TRUSTED, frame, field(offset_of!(Cell, float)));
                let node = self.b.ins().load(types::I32, TRUSTED, frame, field(offset_of!(Cell, node)));
                self.set_float(dst, x, active.then_some(node))
            }
            kind => {
                let i = self.b.ins().load(types::I64, TRUSTED, frame, field(offset_of!(Cell, int)));
                self.set_int(dst, i, if kind == Kind::Bool { Tag::Bool } else { Tag::Int })
            }
        }
    }
}
