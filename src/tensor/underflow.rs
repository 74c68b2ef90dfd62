//! Results too small for a normal number become 0 while a program runs: subnormal numbers take some processors a hundred times as
//! long, and a net that has converged is full of them.
//!
//! On x86-64 operands are taken as they are: a subnormal literal or one from a file keeps its value until it is computed with. On
//! aarch64 they count as 0, too. Threads that help another one take its mode (`threads.rs`).

/// How results below the normal numbers are treated on this thread while it lives; then the mode is again what it was.
pub struct Underflow {
    before: u64,
}

impl Underflow {
    /// They are 0.
    pub fn flushed() -> Underflow {
        let before = mode();
        set_mode(before | FLUSH);
        Underflow { before }
    }

    /// They are subnormal numbers, as in IEEE 754.
    pub fn gradual() -> Underflow {
        let before = mode();
        set_mode(before & !FLUSH);
        Underflow { before }
    }
}

impl Drop for Underflow {
    fn drop(&mut self) {
        set_mode(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
const FLUSH: u64 = 1 << 15;
#[cfg(target_arch = "aarch64")]
const FLUSH: u64 = 1 << 24;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FLUSH: u64 = 0;

/// The register that says how floats are computed.
#[cfg(target_arch = "x86_64")]
pub(super) fn mode() -> u64 {
    let mut register = 0u32;
    // SAFETY: writes the register's 32 bits to where the pointer says, nothing else.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut register, options(nostack, preserves_flags)) };
    u64::from(register)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn set_mode(mode: u64) {
    let register = mode as u32;
    // SAFETY: the bits are those that `mode` gave, but for the one that flushes results; rounding and traps stay as the compiler
    // takes them to be. What it computes itself it may still do without flushing.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &register, options(nostack, preserves_flags)) };
}

#[cfg(target_arch = "aarch64")]
pub(super) fn mode() -> u64 {
    let register: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) register, options(nomem, nostack, preserves_flags)) };
    register
}

#[cfg(target_arch = "aarch64")]
pub(super) fn set_mode(mode: u64) {
    // SAFETY: as on x86-64.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nomem, nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn mode() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn set_mode(_: u64) {}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn small_results_are_zero_for_a_while() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(half() > 0.0);
        {
            let _flushed = Underflow::flushed();
            assert_eq!(half(), 0.0);
            assert_eq!(black_box(f64::MIN_POSITIVE) * black_box(0.25), 0.0);
            let _again = Underflow::flushed();
            assert_eq!(std::thread::spawn(half).join().unwrap(), 0.0);
            let _exact = Underflow::gradual();
            assert!(half() > 0.0);
        }
        assert!(half() > 0.0);
    }
}
