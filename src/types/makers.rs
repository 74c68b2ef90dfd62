//! Where structs come from: how one is made by others than its constructor (`Dense.new(2, 3)`, `adam(model)`), and where a layer that does
//! not fit was made.

use super::Checker;
use super::env::{MADE_HERE, Problem};
use super::show::show_ty;
use super::ty::{Dim, Dims, StructInfo, Ty};
use crate::diagnostic::{Diagnostic, Label};
use crate::resolve::{FnId, GlobalKind, LoadedModule, Res};
use crate::source::Span;
use crate::syntax::ast::{Arg, Expr, ExprKind, TypeKind};
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

    /// In a method of the library that a problem passes through: where the user's code made the struct that it is a method of,
    /// unless something inside of it was told of.
    pub(super) fn name_maker(&self, problem: &mut Problem) {
        let (module, function) = (&self.frame.module, self.frame.function);
        let d = &problem.diagnostic;
        if !module.is_library
            || !matches!(d.code, "E0301" | "E0303")
            || d.labels.iter().any(|l| l.message.ends_with(MADE_HERE))
        {
            return;
        }
        let Some(function) = module.resolved.functions.get(function.0 as usize) else { return };
        let Some(Some(receiver)) = function.params.first().filter(|_| function.owner.is_some()) else { return };
        let Ty::Struct(s) = self.frame.local(*receiver) else { return };
        if let Some(origin) = s.origin.0.filter(|o| !self.is_library_place(*o)) {
            problem.diagnostic = d.clone().also(origin, format!("this `{}` was made here", s.info.name));
        }
    }

    /// Adds to the problems from `known` on, which a call of a library function in the user's code has, which argument is the value
    /// that does not fit.
    pub(super) fn tell_arguments(
        &mut self,
        known: usize,
        callee: &LoadedModule,
        args: &[Option<Ty>],
        places: &[Option<Span>],
        site: Span,
    ) {
        if self.frame.problems.len() == known || !callee.is_library || self.frame.module.is_library {
            return;
        }
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            let refused = d.code == "E0453";
            if !(refused || matches!(d.code, "E0301" | "E0303")) || d.span() != Some(site) {
                continue;
            }
            for (ty, place) in args.iter().zip(places) {
                let (Some(ty @ Ty::Tensor(_)), Some(place)) = (ty, place) else { continue };
                let remark = format!("this is {}", show_ty(ty));
                let of_it = |l: &Label| l.span.source != place.source && l.message.starts_with(&remark);
                if (refused || d.labels.iter().any(of_it)) && !d.labels.iter().any(|l| l.span == *place) {
                    *d = d.clone().also(*place, remark);
                }
            }
        }
    }

    /// Adds to the problems of `opt.update(&model, g)` from `known` on where the optimizer was made, and what of the call is what.
    pub(super) fn tell_update(&mut self, known: usize, optimizer: &Ty, args: &[Arg], site: Span) {
        let [params, gradient] = args else { return };
        let mut labels = vec![];
        let mut origin_of = |e: &Expr| {
            if let (ExprKind::Name(name), Some(Res::Local(local))) = (&e.kind, self.resolution(e.id))
                && let Some(Some(origin)) = self.frame.origins.get(local.0 as usize)
            {
                labels.push((*origin, format!("`{name}` comes from here")));
            }
        };
        origin_of(&gradient.value);
        if let Ty::Struct(s) = optimizer
            && let Some(origin) = s.origin.0
        {
            labels.push((origin, "this optimizer was made here".to_string()));
        }
        labels.retain(|(place, _)| !self.is_library_place(*place));
        labels.push((params.value.span, "these are the parameters".into()));
        labels.push((gradient.value.span, "this is the gradient".into()));
        for problem in self.frame.problems.iter_mut().skip(known) {
            let d = &mut problem.diagnostic;
            if d.code == "E0439" && d.span() == Some(site) {
                *d = labels.iter().fold(d.clone(), |d, (place, remark)| d.also(*place, remark.clone()));
            }
        }
    }

    /// A layer that was made for another number of features: what to make instead, or what stands before it. `slots` are the layer
    /// and its input.
    pub(super) fn layer_help(&self, slots: &[Option<Ty>]) -> Option<String> {
        let [Some(Ty::Struct(layer)), Some(x), ..] = slots else { return None };
        if !self.modules.get(layer.info.at.module as usize)?.is_library {
            return None;
        }
        let known = |dims: Dims| -> Option<Vec<usize>> {
            dims.iter().map(|d| if let Dim::Known(n) = d { Some(*n) } else { None }).collect()
        };
        let w = known(layer.fields.first()?.dims()?)?;
        let x = x.dims()?;
        let gets = |at: usize| if let Some(Dim::Known(n)) = x.get(at) { Some(*n) } else { None };
        match (&*layer.info.name, w.as_slice()) {
            ("Dense", [takes, gives]) => {
                let gets = gets(x.len().checked_sub(1)?).filter(|n| n != takes)?;
                let rest: Option<Vec<usize>> = known(x.iter().skip(1).copied().collect());
                if x.len() > 2 && rest.is_some_and(|rest| rest.iter().product::<usize>() == *takes) {
                    return Some(format!("it takes rows of {takes} features: put nn.Flatten() before it"));
                }
                Some(format!(
                    "it takes {takes} features and gets {gets}: nn.Dense.new({gets}, {gives}) would take them"
                ))
            }
            ("Conv2d", [gives, takes, height, width]) if x.len() == 4 => {
                let channels = gets(1).filter(|n| n != takes)?;
                if gets(3) == Some(*takes) {
                    return Some("channels come first, as in [batch, channels, h, w]: permute(x, 0, 3, 1, 2)".into());
                }
                let size = if height == width { height.to_string() } else { format!("({height}, {width})") };
                Some(format!(
                    "it takes {takes} channels and gets {channels}: nn.Conv2d.new({channels}, {gives}, {size}) would take them"
                ))
            }
            ("LayerNorm" | "RMSNorm", [takes]) => {
                let gets = gets(x.len().checked_sub(1)?).filter(|n| n != takes)?;
                let name = &layer.info.name;
                Some(format!("it takes {takes} features and gets {gets}: nn.{name}.new({gets}) would take them"))
            }
            ("BatchNorm", [takes]) => {
                let gets = gets(1).filter(|n| n != takes)?;
                Some(format!("it takes {takes} channels and gets {gets}: nn.BatchNorm.new({gets}) would take them"))
            }
            ("RNN" | "GRU" | "LSTM", [takes, states]) => {
                let gets = gets(x.len().checked_sub(1)?).filter(|n| n != takes)?;
                let name = &layer.info.name;
                let parts = match &**name {
                    "LSTM" => 4,
                    "GRU" => 3,
                    _ => 1,
                };
                let size = states / parts;
                Some(format!(
                    "it takes {takes} features and gets {gets}: nn.{name}.new({gets}, {size}) would take them"
                ))
            }
            _ => None,
        }
    }

    /// In the loop over the layers of a `Sequential`: which of them the problems from `known` on are about.
    pub(super) fn name_layer(&mut self, known: usize, index: usize) {
        if self.frame.problems.len() == known || !self.frame.module.is_library {
            return;
        }
        if self.function_in_library() != "nn.Sequential.call" {
            return;
        }
        for problem in self.frame.problems.iter_mut().skip(known) {
            for label in problem.diagnostic.labels.iter_mut().filter(|l| l.message.ends_with(MADE_HERE)) {
                let joint = match &*label.message {
                    inner if inner.starts_with("layers[") => ".",
                    whole if whole.starts_with("this `Sequential`") => " in ",
                    _ => ", ",
                };
                label.message = format!("layers[{index}]{joint}{}", label.message);
            }
            let d = &mut problem.diagnostic;
            if let Some(rest) = d.help.as_deref().and_then(|help| help.strip_prefix("it takes "))
                && !d.labels.iter().any(|l| l.message.ends_with(MADE_HERE))
            {
                d.help = Some(format!("layers[{index}] takes {rest}"));
            }
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
        if let Some(made) = self.maker(info, &[]).filter(|made| made.contains('.')) {
            return made;
        }
        let module = self.modules.get(info.at.module as usize);
        let decl = module.and_then(|m| m.resolved.structs.get(info.at.index as usize)).map(|s| s.decl.clone());
        let fields: Vec<_> = decl.iter().flat_map(|d| d.fields.iter()).collect();
        let required: Vec<&str> = fields.iter().filter(|f| f.default.is_none()).map(|f| &*f.name.name).collect();
        let fields = match (required.as_slice(), fields.first()) {
            ([], Some(first)) => format!("{}: ...", first.name.name),
            (required, _) => required.join(", "),
        };
        // As the program names it: a library module may hand on what another one declares.
        let imported = self.frame.module.resolved.imports.iter().filter_map(|id| self.modules.get(id.0 as usize));
        let mut homes = imported.filter(|m| m.is_library && m.resolved.globals.iter().any(|g| g.name == info.name));
        let path = homes.next().map_or_else(String::new, |m| format!("{}.", m.name));
        format!("{path}{}({fields})", info.name)
    }
}

/// Where the user made a block of layers, another layer inside of it is no remedy: that one must have another size is.
pub(super) fn forget_inner_maker(d: &mut Diagnostic) {
    let Some((fact, remedy)) = d.help.as_deref().and_then(|help| help.split_once(": nn.")) else { return };
    let Some((layer, _)) = remedy.split_once(".new(") else { return };
    let made_by_user = format!("this `{layer}{MADE_HERE}");
    if !d.labels.iter().any(|l| l.message.ends_with(&made_by_user)) {
        d.help = Some(fact.to_string());
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
