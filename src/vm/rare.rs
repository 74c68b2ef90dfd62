//! Instructions that build values, take them apart or are seldom: a function of its own, so that the hot loop stays small
//! enough for its pointers to stay in registers.

use std::rc::Rc;

use crate::ad::Cx;
use crate::ad::batch::is_batched;
use crate::bytecode::chunk::{CaptureSource, Piece};
use crate::bytecode::op::Op;
use crate::error::Result;
use crate::value::{Closure, Value};
use crate::vm::exec::not_yet;
use crate::vm::{arith, fields, items};

/// Executes one instruction that is none of the hot loop's.
#[inline(never)]
pub fn rare(op: Op, regs: &mut [Value], cx: &mut Cx, globals: &[Option<Value>], closure: &Rc<Closure>) -> Result<()> {
    let chunk = &*closure.chunk;
    match op {
        Op::LoadTensor { dst, value } => {
            regs[dst.0 as usize] = arith::literal(cx, &chunk.consts[value.0 as usize])?;
        }
        Op::PeekGlobal { dst, global } => {
            regs[dst.0 as usize] = globals.get(global.0 as usize).cloned().flatten().unwrap_or_default();
        }
        Op::MakeTuple { dst, first, n } => {
            let f = first.0 as usize;
            let tuple = regs[f..f + n.0 as usize].iter_mut().map(std::mem::take).collect();
            regs[dst.0 as usize] = Value::tuple(tuple);
        }
        Op::MakeTensor { dst, first, n } => {
            let f = first.0 as usize;
            let value = arith::brackets(cx, &regs[f..f + n.0 as usize])?;
            regs[dst.0 as usize] = value;
        }
        Op::TakeList { dst, src } => {
            let src = &mut regs[src.0 as usize];
            let value = if let Value::List(_) = src { std::mem::take(src) } else { src.clone() };
            regs[dst.0 as usize] = value;
        }
        Op::MakeList { dst } => regs[dst.0 as usize] = Value::list(vec![]),
        Op::Push { list, src } => {
            let item = regs[src.0 as usize].clone();
            if let Value::List(items) = &mut regs[list.0 as usize] {
                items::grow(Rc::make_mut(items), item)?;
            }
        }
        Op::ListToTensor { dst, list } => {
            let value = match &regs[list.0 as usize] {
                Value::List(items) => arith::brackets(cx, items)?,
                _ => Value::None,
            };
            regs[dst.0 as usize] = value;
        }
        Op::MakeDict { dst, first, site } => {
            let keys = &chunk.dict_keys[site.0 as usize];
            let f = first.0 as usize;
            let entries = keys.iter().cloned().zip(regs[f..f + keys.len()].iter_mut().map(std::mem::take));
            regs[dst.0 as usize] = Value::Dict(Rc::new(entries.collect()));
        }
        Op::MakeRange { dst, lo, hi } => {
            let value = items::range(cx, &regs[lo.0 as usize], &regs[hi.0 as usize], false)?;
            regs[dst.0 as usize] = value;
        }
        Op::MakeRangeInclusive { dst, lo, hi } => {
            let value = items::range(cx, &regs[lo.0 as usize], &regs[hi.0 as usize], true)?;
            regs[dst.0 as usize] = value;
        }
        Op::MakeClosure { dst, function } => {
            let site = &chunk.functions[function.0 as usize];
            let captures = site.captures.iter().map(|source| match *source {
                CaptureSource::Itself => Ok(Value::Fn(closure.clone())),
                CaptureSource::Reg(reg) => Ok(regs[reg.0 as usize].clone()),
                CaptureSource::Global(g) => globals.get(g as usize).cloned().flatten().ok_or_else(not_yet),
            });
            let captures = captures.collect::<Result<Vec<Value>>>()?;
            regs[dst.0 as usize] = Value::Fn(Rc::new(Closure { chunk: site.chunk.clone(), captures }));
        }
        Op::MakeStruct { dst, def } => {
            let value = fields::build(&chunk.consts[def.0 as usize], regs, chunk.params.len())?;
            regs[dst.0 as usize] = value;
        }
        Op::Unpack { first, src, n } => {
            let f = first.0 as usize;
            if let Value::Tuple(items) = &regs[src.0 as usize]
                && items.len() == n.0 as usize
            {
                let items = items.clone();
                for (i, item) in items.iter().enumerate() {
                    regs[f + i].put(item.clone());
                }
                return Ok(());
            }
            let parts = items::unpack(cx, &regs[src.0 as usize], n.0 as usize)?;
            for (i, part) in parts.into_iter().enumerate() {
                regs[f + i] = part;
            }
        }
        Op::Format { dst, first, format } => {
            let pieces = &chunk.formats[format.0 as usize];
            if cx.innermost_batch().is_some() {
                let shown = Piece::count(pieces);
                let from = first.0 as usize;
                if regs[from..from + shown].iter().any(is_batched) {
                    return Err(cx.each_alone());
                }
            }
            let text = items::format(pieces, &regs[first.0 as usize..])?;
            regs[dst.0 as usize] = Value::str(text);
        }
        Op::TakeField { dst, object, name } => {
            let symbol = chunk.names[name.0 as usize];
            let value = fields::take(cx, globals, &mut regs[object.0 as usize], symbol)?;
            regs[dst.0 as usize] = value;
        }
        Op::SetField { object, name, value } => {
            let value = std::mem::take(&mut regs[value.0 as usize]);
            let dtype = cx.env.dtype;
            fields::set(&mut regs[object.0 as usize], chunk.names[name.0 as usize], value, globals, dtype)?;
        }
        Op::SetGrown { object, name, value } => {
            let value = std::mem::take(&mut regs[value.0 as usize]);
            let dtype = cx.env.dtype;
            fields::set_grown(&mut regs[object.0 as usize], chunk.names[name.0 as usize], value, globals, dtype)?;
        }
        Op::TakeItem { dst, object, index } => {
            let key = regs[index.0 as usize].clone();
            let value = items::take(cx, &mut regs[object.0 as usize], &key)?;
            regs[dst.0 as usize] = value;
        }
        Op::SetIndex { object, first, index } => {
            let f = first.0 as usize;
            let item = std::mem::take(&mut regs[f]);
            let mut target = std::mem::take(&mut regs[object.0 as usize]);
            let parts = &chunk.indices[index.0 as usize];
            let result = items::set_index(cx, &mut target, parts, &regs[f + 1..], item);
            regs[object.0 as usize] = target;
            result?;
        }
        // The rest is the hot loop's.
        _ => {}
    }
    Ok(())
}
