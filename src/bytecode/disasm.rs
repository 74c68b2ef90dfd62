//! Chunks as text: `dlang dump bytecode`.

use std::fmt::Write;

use crate::bytecode::chunk::{Chunk, Host};
use crate::bytecode::op::{Op, Operand};
use crate::source::SourceMap;

/// A chunk and the functions inside it; with line numbers if `sources` is given.
pub fn disassemble(chunk: &Chunk, sources: Option<&SourceMap>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} ({} parameters, {} captures, {} registers)",
        chunk.name,
        chunk.params.len(),
        chunk.captures,
        chunk.registers
    );
    let mut last_line = 0;
    for (at, op) in chunk.code.iter().enumerate() {
        let mut line = String::new();
        if let Some(sources) = sources {
            let span = chunk.spans[at].span;
            let (number, _) = sources.get(span.source).line_col(span.start);
            line = if number == last_line { "     ".into() } else { format!("{number:4} ") };
            last_line = number;
        }
        let mut text = format!("{line}{at:4}  {:<14}", op.name());
        for (role, operand) in op.operands() {
            let _ = write!(text, " {}", show(chunk, *op, role, operand));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
    for site in &chunk.functions {
        out.push('\n');
        out.push_str(&disassemble(&site.chunk, sources));
    }
    out
}

fn show(chunk: &Chunk, op: Op, role: &str, operand: Operand) -> String {
    match operand {
        Operand::Reg(r) => format!("r{}", r.0),
        Operand::Const(c) => chunk.consts.get(c.0 as usize).map_or("?".into(), crate::show::brief),
        Operand::Name(n) => chunk.names.get(n.0 as usize).map_or("?".into(), |s| format!(".{s}")),
        Operand::Target(t) => format!("->{}", t.0),
        Operand::Count(n) => format!("x{}", n.0),
        Operand::Global(g) => format!("global{}", g.0),
        Operand::Table(t) => {
            let i = t.0 as usize;
            match op {
                Op::Operator { .. } => chunk.operators.get(i).map_or("?".into(), |o| o.symbol().into()),
                Op::Prim1 { .. } => chunk.hosts.get(i).map_or("?".into(), |h| host(*h).into()),
                Op::MakeClosure { .. } => chunk.functions.get(i).map_or("?".into(), |f| f.chunk.name.to_string()),
                Op::Call { .. } | Op::CallMethod { .. } | Op::CallHost { .. } => call(chunk, i),
                _ => format!("{role}{i}"),
            }
        }
    }
}

fn call(chunk: &Chunk, i: usize) -> String {
    let Some(site) = chunk.calls.get(i) else { return "?".into() };
    let mut text = String::new();
    if let Some(h) = site.host {
        text.push_str(host(h));
    }
    if let Some(m) = site.method {
        let _ = write!(text, ".{m}");
    }
    let _ = write!(text, "({}", site.count);
    for name in &site.names {
        let _ = write!(text, " {name}:");
    }
    if site.inout != 0 {
        let _ = write!(text, " &{:b}", site.inout);
    }
    text.push(')');
    text
}

fn host(h: Host) -> &'static str {
    match h {
        Host::Prim(p) => p.name,
        Host::Builtin(b) => b.name,
    }
}
