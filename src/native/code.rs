//! Machine code: cranelift turns a function into bytes, which are put into memory that may be executed.

use std::sync::OnceLock;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, Signature, types};
use cranelift_codegen::isa::{OwnedTargetIsa, lookup};
use cranelift_codegen::settings::{Configurable, Flags, builder};
use memmap2::{Mmap, MmapMut};
use target_lexicon::Triple;

/// Machine code that works on an `F`, and the memory it is in. It gives the number of the exit by which it left.
pub struct Code<F> {
    /// Held for what `entry` points to.
    _memory: Mmap,
    pub entry: unsafe extern "C" fn(*mut F) -> u64,
}

/// The machine that runs this; `None` if code cannot be made for it. Only x86-64 so far: others want their instruction caches told
/// about new code.
pub fn isa() -> Option<&'static OwnedTargetIsa> {
    static ISA: OnceLock<Option<OwnedTargetIsa>> = OnceLock::new();
    ISA.get_or_init(|| {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        let mut flags = builder();
        flags.set("opt_level", "speed").ok()?;
        flags.set("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }).ok()?;
        // No code of ours is unwound: what it calls does not panic.
        flags.set("unwind_info", "false").ok()?;
        let mut isa = lookup(Triple::host()).ok()?;
        for feature in features() {
            isa.enable(feature).ok()?;
        }
        isa.finish(Flags::new(flags)).ok()
    })
    .as_ref()
}

/// What cranelift may use. Not `fma`: products and sums are rounded one by one, as everywhere in dlang.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("has_sse3", std::is_x86_feature_detected!("sse3")),
            ("has_ssse3", std::is_x86_feature_detected!("ssse3")),
            ("has_sse41", std::is_x86_feature_detected!("sse4.1")),
            ("has_sse42", std::is_x86_feature_detected!("sse4.2")),
            ("has_avx", std::is_x86_feature_detected!("avx")),
        ];
        known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![]
}

/// The signature of [`Code::entry`].
pub fn signature(isa: &OwnedTargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    signature
}

/// Compiles a function of that signature.
pub fn compile<F>(isa: &OwnedTargetIsa, function: Function) -> Option<Code<F>> {
    let mut context = Context::for_function(function);
    let compiled = context.compile(&**isa, &mut ControlPlane::default()).ok()?;
    if !compiled.buffer.relocs().is_empty() {
        return None;
    }
    let bytes = compiled.code_buffer();
    let mut memory = MmapMut::map_anon(bytes.len()).ok()?;
    memory[..bytes.len()].copy_from_slice(bytes);
    let memory = memory.make_exec().ok()?;
    // SAFETY: the memory holds a function that cranelift compiled with this signature, and lives in `Code`.
    let entry = unsafe { std::mem::transmute::<*const u8, unsafe extern "C" fn(*mut F) -> u64>(memory.as_ptr()) };
    Some(Code { _memory: memory, entry })
}
