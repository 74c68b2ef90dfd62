//! Settings and state that operations read: default dtype, random generator.

use rand::{RngCore, SeedableRng};

use crate::tensor::DType;

/// The generator behind `rand`, `randn`, `shuffle`, ...: xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom number
/// generators", 2021), reproducible on every machine. It is written out here because its state must be read and set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    /// Never all zero, where it would stay.
    state: [u64; 4],
}

impl Rng {
    /// All that decides on what comes next.
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// A generator that goes on from a state; none if it is all zero.
    pub fn from_state(state: [u64; 4]) -> Option<Rng> {
        (state != [0; 4]).then_some(Rng { state })
    }
}

impl RngCore for Rng {
    #[inline]
    fn next_u32(&mut self) -> u32 {
        // The upper bits are the better ones.
        (self.next_u64() >> 32) as u32
    }

    #[inline]
    fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        out
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }
}

impl SeedableRng for Rng {
    type Seed = [u8; 32];

    fn from_seed(seed: [u8; 32]) -> Rng {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks(8)) {
            *word = bytes.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b));
        }
        Rng::from_state(state).unwrap_or_else(|| Rng::seed_from_u64(0))
    }

    /// The state is four outputs of SplitMix64, as its authors advise.
    fn seed_from_u64(seed: u64) -> Rng {
        let mut x = seed;
        let state = [(); 4].map(|()| {
            x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Rng { state }
    }
}

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

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_reference() {
        // From the authors' C code, started with 1, 2, 3, 4.
        let mut rng = Rng::from_state([1, 2, 3, 4]).unwrap();
        let first: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
        assert_eq!(first, [41943041, 58720359, 3588806011781223, 3591011842654386]);
        for seed in [0, 1, u64::MAX] {
            let (mut ours, mut theirs) = (Rng::seed_from_u64(seed), Xoshiro256PlusPlus::seed_from_u64(seed));
            for _ in 0..100 {
                assert_eq!(ours.next_u64(), theirs.next_u64());
                assert_eq!(ours.next_u32(), theirs.next_u32());
            }
            let (mut a, mut b) = ([0; 13], [0; 13]);
            ours.fill_bytes(&mut a);
            theirs.fill_bytes(&mut b);
            assert_eq!(a, b);
        }
        let bytes: [u8; 32] = std::array::from_fn(|i| i as u8 * 7);
        assert_eq!(Rng::from_seed(bytes).next_u64(), Xoshiro256PlusPlus::from_seed(bytes).next_u64());
    }

    #[test]
    fn a_state_goes_on() {
        let mut rng = Rng::seed_from_u64(5);
        rng.next_u64();
        let mut again = Rng::from_state(rng.state()).unwrap();
        assert_eq!(rng.next_u64(), again.next_u64());
        assert_eq!(Rng::from_state([0; 4]), None);
        assert_ne!(Rng::from_seed([0; 32]).state(), [0; 4]);
    }
}
