//! `dlang doc [NAME]`: what a builtin or a name of the library does, or the list of modules.

use super::exit::Exit;
use super::out;
use crate::diagnostic::did_you_mean;
use crate::pipeline::doc;
use crate::{builtins, ops, stdlib};

/// Prints one page or the list.
pub fn run(name: Option<&str>) -> Exit {
    let Some(name) = name else {
        let list = doc::modules();
        out::print(&format!(
            "Modules of the library (`dlang doc nn`, `dlang doc nn.Dense`; builtins as well: `dlang doc grad`):\n\n{list}"
        ));
        return Exit::Fine;
    };
    if let Some(page) = doc::page(name) {
        out::print(&format!("{}\n", page.trim_end()));
        return Exit::Fine;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let hint = match stdlib::home_of(last).map(|home| format!("{home}.{last}")).filter(|path| path != name) {
        Some(path) => format!("there is `{path}`: dlang doc {path}"),
        None => {
            let all = stdlib::names()
                .chain(builtins::table().map(|builtin| builtin.name))
                .chain(ops::table().map(|prim| prim.name));
            match did_you_mean(name, all.filter(|name| !name.starts_with('_'))) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`dlang doc` lists the modules".to_string(),
            }
        }
    };
    out::usage_error(&format!("there is no doc on `{name}`"), Some(&hint));
    Exit::Usage
}
