//! Completion: names in scope, fields of values, members of modules.

use crate::pipeline::Session;
use crate::resolve::builtin_names;
use crate::syntax::token::KEYWORDS;
use crate::value::Value;

impl Session {
    /// Where the word before `pos` starts, and what it may become.
    pub fn completions(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = line.get(..pos).unwrap_or(line);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let start =
            before.rfind(|c| !is_word(c)).map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        let mut all: Vec<String> = match before[..start].strip_suffix('.') {
            Some(path) => self.members(path),
            None => self.scope(),
        };
        all.retain(|name| name.starts_with(word));
        all.sort();
        all.dedup();
        (start, all)
    }

    fn scope(&self) -> Vec<String> {
        let mut all: Vec<String> = builtin_names::all().map(str::to_string).collect();
        all.extend(KEYWORDS.iter().map(|k| k.to_string()));
        all.extend(self.names.keys().map(|n| n.to_string()));
        all
    }

    /// Members of what the dotted path at the end of `text` stands for.
    fn members(&self, text: &str) -> Vec<String> {
        let path = text.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).next().unwrap_or("");
        let mut steps = path.split('.');
        let first = steps.next().unwrap_or("");
        let Some(id) = self.names.get(first) else { return vec![] };
        let mut value = self.vm.globals.get(self.global_number(*id)).cloned().flatten();
        for step in steps {
            value = value.and_then(|v| member(&v, step));
        }
        match value {
            Some(Value::Struct(s)) => {
                let mut names: Vec<String> = s.def.fields.iter().map(|f| f.name.to_string()).collect();
                names.extend(s.def.methods.borrow().keys().map(|m| m.to_string()));
                names.push("with".into());
                names
            }
            Some(Value::StructType(def)) => def.methods.borrow().keys().map(|m| m.to_string()).collect(),
            Some(Value::Module(m)) => m.exports.keys().map(|s| s.to_string()).collect(),
            Some(Value::Tensor(..)) => {
                let mut names: Vec<String> = ["shape", "rank", "size", "dtype", "t", "to"].map(str::to_string).to_vec();
                names.extend(crate::ops::table().map(|p| p.name.to_string()).filter(|n| !n.starts_with('_')));
                names
            }
            Some(Value::List(_)) => {
                ["push", "pop", "insert", "extend", "len", "map", "filter"].map(Into::into).to_vec()
            }
            Some(Value::Dict(_)) => ["keys", "values", "items", "get", "len"].map(Into::into).to_vec(),
            _ => vec![],
        }
    }
}

fn member(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Struct(s) => s.fields.get(s.def.field(crate::symbol::Symbol::new(name))?).cloned(),
        Value::Dict(d) => d.get(&crate::value::Key::Str(name.into())).cloned(),
        _ => None,
    }
}
