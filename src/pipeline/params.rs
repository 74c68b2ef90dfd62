//! The `param`s of a script: what they are, and setting them from text.

use crate::pipeline::{Session, Unit};
use crate::syntax::ast::{Expr, ExprKind, Module, StmtKind, TypeExpr, TypeKind, UnOp};
use crate::types::size::Num;
use crate::types::ty::Ty;
use crate::value::Value;

fn type_of(value: &Value) -> Ty {
    match value {
        Value::Int(n) => Ty::Int(Num::Known(*n)),
        Value::Float(..) => Ty::Float,
        Value::Bool(b) => Ty::Bool(Some(*b)),
        Value::Str(s) => Ty::Str(Some(s.as_str().into())),
        Value::None => Ty::None,
        _ => Ty::Any,
    }
}

/// A setting of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamInfo {
    pub name: String,
    /// As `--help` shows it: `int`, `float`, `str`, `bool`.
    pub ty: String,
    /// As written in the script.
    pub default: String,
    pub doc: Option<String>,
}

/// What a param accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Float,
    Bool,
    Str,
    /// Not clear from the script: whatever the text looks like.
    Any,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Bool => "bool",
            Kind::Str => "str",
            Kind::Any => "any",
        }
    }

    fn of(ty: Option<&TypeExpr>, default: &Expr) -> Kind {
        match ty.map(|t| &t.kind) {
            Some(TypeKind::Optional(inner)) => return Kind::of(Some(inner), default),
            Some(TypeKind::Name { module: None, name }) => {
                return match &*name.name {
                    "int" => Kind::Int,
                    "float" => Kind::Float,
                    "bool" => Kind::Bool,
                    "str" => Kind::Str,
                    _ => Kind::Any,
                };
            }
            _ => {}
        }
        match &default.kind {
            ExprKind::Int(_) => Kind::Int,
            ExprKind::Float(_) => Kind::Float,
            ExprKind::Bool(_) => Kind::Bool,
            ExprKind::Str(_) | ExprKind::Format(_) => Kind::Str,
            ExprKind::Unary(UnOp::Neg, x) => Kind::of(None, x),
            _ => Kind::Any,
        }
    }

    fn parse(self, text: &str) -> Option<Value> {
        let number = || text.replace('_', "");
        match self {
            Kind::Int => number().parse().ok().map(Value::Int),
            Kind::Float => number().parse().ok().map(Value::float),
            Kind::Bool => match text {
                "true" | "yes" | "on" | "1" => Some(Value::Bool(true)),
                "false" | "no" | "off" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            Kind::Str => Some(Value::str(text)),
            Kind::Any => [Kind::Int, Kind::Float].into_iter().find_map(|k| k.parse(text)).or_else(|| match text {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                "none" => Some(Value::None),
                _ => Some(Value::str(text)),
            }),
        }
    }
}

/// Chooses values, as texts, for the params of a script.
pub type ChooseParams = Box<dyn Fn(&[ParamInfo]) -> Vec<(String, String)>>;

impl Session {
    /// The params of a script, in order.
    pub fn params(&self, unit: &Unit) -> Vec<ParamInfo> {
        self.params_of(&self.program.module(unit.module).tree)
    }

    /// Tells the checker what the params of the script are in this run.
    pub(super) fn tell_params(&mut self, tree: &Module) {
        let Some(choose) = &self.choose_params else { return };
        let chosen = choose(&self.params_of(tree));
        let given = chosen.iter().filter_map(|(name, text)| {
            tree.stmts.iter().find_map(|stmt| match &stmt.kind {
                StmtKind::Param { name: ident, ty, default, .. } if *ident.name == **name => {
                    let value = Kind::of(ty.as_ref(), default).parse(text);
                    Some((ident.name.clone(), value.as_ref().map_or(Ty::Any, type_of)))
                }
                _ => None,
            })
        });
        let given: Vec<_> = given.collect();
        self.checker.set_params(given);
    }

    fn params_of(&self, tree: &Module) -> Vec<ParamInfo> {
        let params = tree.stmts.iter().filter_map(|stmt| match &stmt.kind {
            StmtKind::Param { name, ty, default, .. } => Some(ParamInfo {
                name: name.name.to_string(),
                ty: Kind::of(ty.as_ref(), default).name().into(),
                default: self.sources.text(default.span).to_string(),
                doc: stmt.doc.clone(),
            }),
            _ => None,
        });
        params.collect()
    }

    /// Sets a param from the text of the command line.
    pub fn set_param(&mut self, unit: &Unit, name: &str, text: &str) -> Result<(), String> {
        let tree = self.program.module(unit.module).tree.clone();
        for stmt in &tree.stmts {
            if let StmtKind::Param { name: ident, ty, default, .. } = &stmt.kind
                && &*ident.name == name
            {
                let kind = Kind::of(ty.as_ref(), default);
                let Some(value) = kind.parse(text) else {
                    return Err(format!("`{text}` is no {}", kind.name()));
                };
                self.vm.overrides.insert(ident.name.clone(), value);
                return Ok(());
            }
        }
        Err(format!("the script has no param `{name}`"))
    }
}
