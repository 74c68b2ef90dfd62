//! How a struct is made by others than its constructor: `Dense.new(2, 3)`, `adam(model)`. Said where the constructor was meant to be one.

use super::Checker;
use super::ty::StructInfo;
use crate::resolve::{FnId, GlobalKind, LoadedModule};
use crate::syntax::ast::TypeKind;
use std::rc::Rc;

impl Checker {
    /// Adds to the problems from `known` on, of a constructor called with other than its fields, how such a struct is made.
    /// `names` are those of the arguments.
    pub(super) fn suggest_maker(&mut self, known: usize, info: &StructInfo, names: &[Rc<str>]) {
        let Some(maker) = self.maker(info, names) else { return self.suggest_list(known, info) };
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            if matches!(d.code, "E0320" | "E0321" | "E0322" | "E0323" | "E0330" | "E0331") {
                d.help = Some(format!("the struct itself takes its fields; one is made by {maker}"));
            }
        }
    }

    /// `Sequential(a, b)`, whose only field is a list.
    fn suggest_list(&mut self, known: usize, info: &StructInfo) {
        let Some(home) = self.modules.get(info.at.module as usize) else { return };
        let Some(declared) = home.resolved.structs.get(info.at.index as usize) else { return };
        let [field] = declared.decl.fields.as_slice() else { return };
        if !matches!(field.ty.as_ref().map(|t| &t.kind), Some(TypeKind::List(_))) {
            return;
        }
        for problem in self.frame.problems.iter_mut().skip(known).filter(|p| p.diagnostic.code == "E0320") {
            problem.diagnostic.help = Some(format!("its field is a list: {}(list(a, b))", info.name));
        }
    }

    /// The call that makes one: a function of the struct that has a parameter of such a name, `new`, or a function of its module that is
    /// called like the struct.
    fn maker(&self, info: &StructInfo, names: &[Rc<str>]) -> Option<String> {
        let home = self.modules.get(info.at.module as usize)?;
        let of_struct = &home.resolved.structs.get(info.at.index as usize)?.methods;
        let made_by = |id: &FnId| parameters(home, *id).filter(|p| p.first().is_none_or(|p| &**p != "self"));
        let takes = |id: &FnId| made_by(id).is_some_and(|all| names.iter().any(|name| all.contains(name)));
        let of_it = of_struct.iter().find(|(_, id)| takes(id));
        let of_it = of_it.or_else(|| of_struct.iter().find(|(name, id)| &**name == "new" && made_by(id).is_some()));
        if let Some((name, id)) = of_it {
            return Some(format!("{}.{name}({})", info.name, required(home, *id)?));
        }
        let lower = info.name.to_lowercase();
        home.resolved.globals.iter().find_map(|global| match global.kind {
            GlobalKind::Function(id) if global.name.replace('_', "") == lower => {
                Some(format!("{}({})", global.name, required(home, id)?))
            }
            _ => None,
        })
    }

    /// How the values of a struct without a function of this name are made.
    pub(super) fn made_by_calling(&self, info: &StructInfo) -> String {
        let fields: Vec<&str> = info.fields.iter().map(|f| &*f.name).collect();
        self.maker(info, &[]).unwrap_or_else(|| format!("{}({})", info.name, fields.join(", ")))
    }
}

fn parameters(home: &LoadedModule, id: FnId) -> Option<Vec<Rc<str>>> {
    let decl = home.resolved.functions.get(id.0 as usize)?.decl.as_ref()?;
    Some(decl.params.iter().map(|p| p.pattern.name().map_or_else(|| "_".into(), |n| n.name.clone())).collect())
}

/// Its parameters without those that have defaults.
fn required(home: &LoadedModule, id: FnId) -> Option<String> {
    let decl = home.resolved.functions.get(id.0 as usize)?.decl.as_ref()?;
    let required = decl.params.iter().filter(|p| p.default.is_none()).filter_map(|p| p.pattern.name());
    Some(required.map(|n| &*n.name).collect::<Vec<_>>().join(", "))
}
