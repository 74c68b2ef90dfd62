//! Settings and state that operations read: default dtype, random generator.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::tensor::DType;

/// The generator behind `rand`, `randn`, `shuffle`, ...: xoshiro256++, reproducible on every machine.
pub type Rng = Xoshiro256PlusPlus;

/// Shared by all modules of a session.
pub struct Env {
    /// Of new float tensors: `f32` unless `set_dtype` or `--dtype` says otherwise.
    pub dtype: DType,
    pub rng: Rng,
}

impl Default for Env {
    fn default() -> Env {
        Env { dtype: DType::F32, rng: Rng::seed_from_u64(0) }
    }
}

impl Env {
    /// Restarts the generator: `seed(n)`.
    pub fn seed(&mut self, seed: u64) {
        self.rng = Rng::seed_from_u64(seed);
    }
}
