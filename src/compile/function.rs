//! One function: its registers, its parameters' defaults and annotations, its body.

use crate::bytecode::chunk::{CaptureSource, Chunk, FunctionSite, Home, ParamInfo, Variable};
use crate::bytecode::op::{Op, Reg, Table};
use crate::bytecode::writer::{Label, Writer};
use crate::compile::ModuleContext;
use crate::resolve::{CaptureFrom, FnId, Function, LocalId, Res};
use crate::source::Span;
use crate::symbol::Symbol;
use crate::syntax::ast::{Expr, ExprKind, FnDecl, NodeId, Pattern};
use crate::value::Value;

/// Compiles one function.
pub struct FnCompiler<'a> {
    pub context: &'a ModuleContext<'a>,
    pub id: FnId,
    pub function: &'a Function,
    pub writer: Writer,
    /// Register of each local.
    registers: Vec<Reg>,
    /// First register above the locals.
    first_temp: u32,
    next_temp: u32,
    highest: u32,
    pub loops: Vec<LoopLabels>,
    /// How many `try` bodies stand around.
    pub tries: usize,
    /// Numbers that stand in registers while a loop runs.
    pub loop_constants: Vec<(Value, Reg)>,
    /// Registers of the parts of the formula that is being compiled, by node.
    pub leaves: Vec<(NodeId, Reg)>,
    /// The functions that locals hold for good.
    pub lambdas: Vec<(LocalId, FnId)>,
    /// The operations of a formula are compiled one by one.
    pub one_by_one: bool,
    /// Slices and margins are no parts of formulas.
    pub no_windows: bool,
    pub span: Span,
}

/// Where `break` and `continue` go, and how many `try` bodies they leave.
pub struct LoopLabels {
    pub exit: Label,
    pub again: Label,
    pub tries: usize,
}

impl<'a> FnCompiler<'a> {
    /// Compiles a function of the context's module. `Err` is the place of a function that is too large.
    pub fn compile(context: &'a ModuleContext<'a>, id: FnId) -> Result<Chunk, Span> {
        let loaded = context.program.module(context.module);
        let function = &loaded.resolved.functions[id.0 as usize];
        let owner = function.owner.map(|i| &loaded.resolved.structs[i as usize]);
        let span = match (&function.decl, owner) {
            (Some(decl), _) => decl.span,
            (None, Some(owner)) => owner.decl.name.span,
            (None, None) => loaded.tree.span,
        };
        let mut this = FnCompiler {
            context,
            id,
            function,
            writer: Writer::default(),
            registers: vec![],
            first_temp: 0,
            next_temp: 0,
            highest: 0,
            loops: vec![],
            tries: 0,
            loop_constants: vec![],
            leaves: vec![],
            lambdas: vec![],
            one_by_one: false,
            no_windows: false,
            span,
        };
        this.writer.chunk.name = function.name.clone();
        this.writer.chunk.span = span;
        this.place_locals();
        match (&function.decl, owner) {
            (Some(decl), _) => this.declared(&decl.clone()),
            (None, Some(owner)) => this.constructor(owner),
            (None, None) => this.body_of_module(&loaded.tree.stmts),
        }
        this.finish()
    }

    fn finish(mut self) -> Result<Chunk, Span> {
        let Ok(registers) = u16::try_from(self.highest.max(self.first_temp) + 1) else { return Err(self.span) };
        self.writer.chunk.registers = registers;
        let mut chunk = self.writer.finish().map_err(|_| self.span)?;
        let is_library = self.context.program.module(self.context.module).is_library;
        crate::bytecode::moves::spare(&mut chunk, !is_library);
        // The run loop relies on it.
        if let Err(what) = crate::bytecode::verify::verify(&chunk) {
            panic!("the compiler made bad code: {what}");
        }
        Ok(chunk)
    }

    fn place_locals(&mut self) {
        let function = self.function;
        let params = function.params.len() as u32;
        let captures = function.captures.len() as u32;
        let mut registers = vec![None; function.locals.len()];
        for (i, param) in function.params.iter().enumerate() {
            if let Some(local) = param {
                registers[local.0 as usize] = Some(i as u32);
            }
        }
        for (i, capture) in function.captures.iter().enumerate() {
            registers[capture.local.0 as usize] = Some(params + i as u32);
        }
        let mut next = params + captures;
        self.registers = registers
            .into_iter()
            .map(|r| {
                let r = r.unwrap_or_else(|| {
                    next += 1;
                    next - 1
                });
                Reg(r.min(u32::from(u16::MAX)) as u16)
            })
            .collect();
        self.first_temp = next;
        self.next_temp = next;
        self.highest = next;
        self.writer.chunk.captures = captures as u16;
    }

    fn declared(&mut self, decl: &FnDecl) {
        for (i, param) in decl.params.iter().enumerate() {
            let name = param.pattern.name().map_or_else(|| format!("_{i}").into(), |n| n.name.clone());
            self.writer.chunk.params.push(ParamInfo { name: Symbol::new(&name), has_default: param.default.is_some() });
            if param.inout {
                self.writer.chunk.inout |= 1u64.checked_shl(i as u32).unwrap_or(0);
            }
        }
        for (i, param) in decl.params.iter().enumerate().filter(|(_, param)| param.default.is_none()) {
            self.bind_dim(i, param.ty.as_ref(), param.pattern.span());
        }
        for (i, param) in decl.params.iter().enumerate() {
            let reg = Reg(i as u16);
            if let Some(default) = &param.default {
                self.default(reg, default);
                self.bind_dim(i, param.ty.as_ref(), param.pattern.span());
            }
            if let Some(ty) = &param.ty {
                let what = param.pattern.name().map_or("this argument".into(), |n| format!("`{}`", n.name));
                self.check(reg, ty, param.pattern.span(), &what);
            }
        }
        // What was tested before all its dims were known.
        for (i, param) in decl.params.iter().enumerate() {
            if let Some(ty) = &param.ty
                && self.names_later_dim(ty, &decl.params[..=i], &decl.params[i + 1..])
            {
                let what = param.pattern.name().map_or("this argument".into(), |n| format!("`{}`", n.name));
                self.check(Reg(i as u16), ty, param.pattern.span(), &what);
            }
        }
        for (i, param) in decl.params.iter().enumerate() {
            if !matches!(param.pattern, Pattern::Name { .. }) {
                self.unpack(&param.pattern, Reg(i as u16));
            }
        }
        let mark = self.mark();
        let dst = self.temp();
        self.expr(&decl.body, dst);
        if let Some(ret) = &decl.ret {
            self.check(dst, ret, decl.body.span, "the result");
        }
        self.emit(Op::Return { src: dst }, decl.body.span);
        self.release(mark);
    }

    /// Evaluates a default unless the parameter was given.
    pub fn default(&mut self, reg: Reg, default: &Expr) {
        let given = self.writer.label();
        self.writer.emit_jump(Op::SkipIfGiven { param: reg, to: ZERO }, given, default.span);
        self.expr(default, reg);
        self.writer.bind(given);
    }

    // ---- registers ----

    /// Register of a local.
    pub fn reg(&self, local: LocalId) -> Reg {
        self.registers[local.0 as usize]
    }

    /// From here on the local lives in another register: a loop's variable where the loop leaves it.
    pub fn move_local(&mut self, local: LocalId, reg: Reg) {
        self.registers[local.0 as usize] = reg;
    }

    /// True for a register that holds a local, not a temporary.
    pub fn is_local(&self, reg: Reg) -> bool {
        u32::from(reg.0) < self.first_temp
    }

    /// A new temporary, freed by [`FnCompiler::release`].
    pub fn temp(&mut self) -> Reg {
        self.temps(1)
    }

    /// `n` temporaries in a row; the first.
    pub fn temps(&mut self, n: usize) -> Reg {
        let first = self.next_temp;
        self.next_temp += n as u32;
        self.highest = self.highest.max(self.next_temp);
        Reg(first.min(u32::from(u16::MAX)) as u16)
    }

    /// The state of the temporaries.
    pub fn mark(&self) -> u32 {
        self.next_temp
    }

    /// Frees the temporaries taken since.
    pub fn release(&mut self, mark: u32) {
        self.next_temp = mark;
    }

    // ---- emitting ----

    /// Appends an instruction.
    pub fn emit(&mut self, op: Op, span: Span) {
        self.writer.emit(op, span, &[]);
    }

    /// Loads a constant.
    pub fn load(&mut self, dst: Reg, value: Value, span: Span) {
        let value = self.writer.constant(value);
        self.emit(Op::Load { dst, value }, span);
    }

    /// What `resolve` found for a node.
    pub fn res(&self, id: NodeId) -> Res {
        let resolved = &self.context.program.module(self.context.module).resolved;
        resolved.names.get(&id).copied().unwrap_or(Res::Unknown)
    }

    /// Loads what a name stands for.
    pub fn load_res(&mut self, res: Res, dst: Reg, span: Span) {
        match res {
            Res::Local(local) => {
                let src = self.reg(local);
                if src != dst {
                    self.emit(Op::Move { dst, src }, span);
                }
            }
            Res::Global(id) => {
                let global = crate::bytecode::op::GlobalSlot(self.context.global(id));
                self.emit(Op::GetGlobal { dst, global }, span);
            }
            Res::Itself => self.emit(Op::Itself { dst }, span),
            Res::Prim(prim) => self.load(dst, Value::Prim(prim), span),
            Res::Builtin(builtin) => self.load(dst, Value::Builtin(builtin), span),
            Res::Constant(x) => self.load(dst, Value::float(x), span),
            Res::DType(dtype) => self.load(dst, Value::DType(dtype), span),
            Res::Unknown => self.emit(Op::LoadNone { dst }, span),
        }
    }

    /// Notes that the code reads a variable here, and where its value is now.
    pub fn note_variable(&mut self, e: &Expr) {
        let ExprKind::Name(name) = &e.kind else { return };
        let home = match self.res(e.id) {
            Res::Local(local) => Home::Register(self.reg(local)),
            Res::Global(id) => Home::Global(self.context.global(id)),
            _ => return,
        };
        self.writer.chunk.variables.push(Variable { span: e.span, name: name.clone(), home });
    }

    /// Makes a closure of a nested function.
    pub fn closure(&mut self, decl: &FnDecl, dst: Reg) {
        let resolved = &self.context.program.module(self.context.module).resolved;
        let Some(&id) = resolved.function_ids.get(&decl.id) else { return };
        match FnCompiler::compile(self.context, id) {
            Ok(chunk) => {
                let captures = resolved.functions[id.0 as usize].captures.iter().map(|c| match c.from {
                    CaptureFrom::Itself => CaptureSource::Itself,
                    CaptureFrom::Local(local) => CaptureSource::Reg(self.reg(local)),
                    CaptureFrom::Global(global) => CaptureSource::Global(self.context.global(global)),
                });
                let site = FunctionSite { chunk: chunk.into(), captures: captures.collect() };
                self.writer.chunk.functions.push(site);
                let function: Table = self.writer.table(self.writer.chunk.functions.len());
                self.emit(Op::MakeClosure { dst, function }, decl.span);
            }
            // Reported through the limit of this function too.
            Err(_) => self.highest = u32::from(u16::MAX) + 1,
        }
    }
}

/// Target of a jump until its label is bound.
pub const ZERO: crate::bytecode::op::Target = crate::bytecode::op::Target(0);
