//! Constructors: a function whose parameters are the fields, which fills defaults and checks annotations.

use crate::bytecode::chunk::ParamInfo;
use crate::bytecode::op::{Op, Reg};
use crate::compile::FnCompiler;
use crate::resolve::Struct;
use crate::symbol::Symbol;
use crate::value::Value;

impl FnCompiler<'_> {
    /// The VM hands the struct's definition in as the constant `none` of slot 0 (see `vm/load.rs`).
    pub fn constructor(&mut self, owner: &Struct) {
        let decl = owner.decl.clone();
        // Constant 0 is replaced by the definition when the module is loaded.
        self.writer.chunk.consts.push(Value::str(format!("struct {}", decl.name.name)));
        for field in &decl.fields {
            let info = ParamInfo { name: Symbol::new(&field.name.name), has_default: field.default.is_some() };
            self.writer.chunk.params.push(info);
        }
        for (i, field) in decl.fields.iter().enumerate().filter(|(_, field)| field.default.is_none()) {
            self.bind_dim(i, field.ty.as_ref(), field.name.span);
        }
        // Annotations of given fields bind dimension variables before defaults use them.
        for (i, field) in decl.fields.iter().enumerate() {
            if let (Some(ty), None) = (&field.ty, &field.default) {
                self.check(Reg(i as u16), ty, field.name.span, &format!("`{}.{}`", decl.name.name, field.name.name));
            }
        }
        for (i, field) in decl.fields.iter().enumerate() {
            if let Some(default) = &field.default {
                self.default(Reg(i as u16), default);
                if let Some(ty) = &field.ty {
                    self.check(
                        Reg(i as u16),
                        ty,
                        field.name.span,
                        &format!("`{}.{}`", decl.name.name, field.name.name),
                    );
                }
            }
        }
        let dst = self.temp();
        self.emit(Op::MakeStruct { dst, def: crate::bytecode::op::Const(0) }, decl.name.span);
        self.emit(Op::Return { src: dst }, decl.name.span);
    }
}
