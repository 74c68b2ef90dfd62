//! Calls that are rare keep all registers as they are, so that the code around them has its numbers in registers: another call,
//! in between, puts them away and takes them back.

use std::sync::OnceLock;

use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, Signature, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use crate::native::code::{self, Code};
use crate::native::emit::TRUSTED;
use crate::native::slopes::call_two;

/// Takes two numbers, the address of a function, and that of the place of its result.
pub fn signature() -> Signature {
    let mut signature = Signature::new(CallConv::PreserveAll);
    signature.params.extend([types::F64, types::F64, types::I64, types::I64].map(AbiParam::new));
    signature
}

/// The address of code with that signature.
pub fn address(isa: &OwnedTargetIsa) -> Option<usize> {
    static MADE: OnceLock<Option<Code<f64>>> = OnceLock::new();
    MADE.get_or_init(|| make(isa)).as_ref().map(|code| code.entry as usize)
}

fn make(isa: &OwnedTargetIsa) -> Option<Code<f64>> {
    let mut context = FunctionBuilderContext::new();
    let mut function = Function::new();
    function.signature = signature();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let mut inner = Signature::new(isa.default_call_conv());
    inner.params.extend([types::F64, types::F64, types::I64].map(AbiParam::new));
    inner.returns.push(AbiParam::new(types::F64));
    let inner = b.import_signature(inner);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    b.seal_block(block);
    let [x, y, f, out] = *b.block_params(block) else { return None };
    let callee = b.ins().iconst(types::I64, call_two as *const () as i64);
    let call = b.ins().call_indirect(inner, callee, &[x, y, f]);
    let result = b.inst_results(call)[0];
    b.ins().store(TRUSTED, result, out, 0);
    b.ins().return_(&[]);
    b.finalize(isa.frontend_config());
    code::compile(isa, function)
}
