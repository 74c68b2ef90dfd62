//! Phases in order.

use crate::diagnostic::Diagnostic;
use crate::error::Result;
use crate::source::{SourceMap, Span};
use crate::tensor::DType;
use crate::value::Value;
use crate::vm::Vm;

pub struct Options {
    pub dtype: DType,
    pub seed: u64,
    pub check_nan: bool,
    pub profile: bool,
    pub threads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Script,
    Test,
    Expression,
    Repl,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Tokens,
    Ast,
    Typed,
    Bytecode,
}

pub struct Unit;

pub struct Loaded {
    pub diagnostics: Vec<Diagnostic>,
    pub unit: Option<Unit>,
    pub incomplete: bool,
}

pub struct ParamInfo {
    pub name: String,
    pub ty: String,
    pub default: String,
    pub doc: Option<String>,
}

pub struct Session {
    pub sources: SourceMap,
    pub vm: Vm,
}

impl Session {
    pub fn new(_options: Options) -> Session {
        let cx = crate::ad::Cx { env: crate::env::Env::default() };
        Session { sources: SourceMap::default(), vm: Vm { cx, script_args: vec![] } }
    }

    pub fn load_main(&mut self, name: &str, text: &str, _mode: Mode) -> Loaded {
        let source = self.sources.add(name, text);
        let parsed = crate::syntax::parse(source, text);
        let diagnostics: Vec<Diagnostic> = parsed.problems.iter().map(|p| p.to_diagnostic()).collect();
        Loaded { unit: diagnostics.is_empty().then_some(Unit), diagnostics, incomplete: parsed.incomplete }
    }

    pub fn params(&self, _unit: &Unit) -> Vec<ParamInfo> {
        vec![]
    }

    pub fn set_param(&mut self, _unit: &Unit, _name: &str, _text: &str) -> std::result::Result<(), String> {
        Ok(())
    }

    pub fn run(&mut self, _unit: &Unit) -> Result<Value> {
        Ok(Value::None)
    }

    pub fn tests(&self, _unit: &Unit) -> Vec<String> {
        vec![]
    }

    pub fn run_test(&mut self, _unit: &Unit, _index: usize) -> Result<()> {
        Ok(())
    }

    pub fn type_of(&mut self, _text: &str) -> std::result::Result<String, Vec<Diagnostic>> {
        Ok(String::new())
    }

    pub fn dump(&mut self, _phase: Phase, _name: &str, _text: &str) -> std::result::Result<String, Vec<Diagnostic>> {
        Ok(String::new())
    }

    pub fn completions(&self, _line: &str, pos: usize) -> (usize, Vec<String>) {
        (pos, vec![])
    }

    pub fn names(&self) -> Vec<(String, String)> {
        vec![]
    }

    pub fn doc(&self, _name: &str) -> Option<String> {
        None
    }

    pub fn unit_doc(&self, _unit: &Unit) -> Option<String> {
        None
    }

    pub fn profile_report(&self) -> Option<String> {
        None
    }
}

impl Vm {
    pub fn capture_output(&mut self) {}

    pub fn take_output(&mut self) -> String {
        String::new()
    }

    pub fn flush_out(&mut self) -> Result<()> {
        Ok(())
    }

    pub fn first_nonfinite(&self) -> Option<(Span, String)> {
        None
    }
}
