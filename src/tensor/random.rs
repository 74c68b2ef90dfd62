//! Random numbers and orders from one generator: uniform, normal, ints below a bound, permutations, weighted picks.
//!
//! In: the generator and how many. Out: buffers or tensors. Every number takes its bits in a fixed way, so a seed gives
//! the same numbers on every machine, and in f32 the same as in f64 up to rounding.

use rand::RngCore;
use rand_distr::{Distribution, StandardNormal};

use super::{DType, Tensor, count};
use crate::env::Rng;

/// Uniform in the open interval (0, 1).
pub fn uniform(rng: &mut Rng) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 52) as f64;
    ((rng.next_u64() >> 12) as f64 + 0.5) * STEP
}

/// As [`uniform`] in f32, where fewer bits keep it below 1.
fn uniform_f32(rng: &mut Rng) -> f32 {
    const STEP: f32 = 1.0 / (1u32 << 23) as f32;
    ((rng.next_u64() >> 41) as f32 + 0.5) * STEP
}

/// Standard normal.
pub fn normal(rng: &mut Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A tensor of uniform floats.
pub fn uniform_tensor(rng: &mut Rng, shape: &[usize], dtype: DType) -> Tensor {
    let n = count(shape);
    match dtype {
        DType::F32 => Tensor::from_vec(shape, (0..n).map(|_| uniform_f32(rng)).collect()),
        _ => Tensor::from_vec(shape, (0..n).map(|_| uniform(rng)).collect()),
    }
}

/// A tensor of normal floats.
pub fn normal_tensor(rng: &mut Rng, shape: &[usize], dtype: DType) -> Tensor {
    Tensor::floats(shape, dtype, (0..count(shape)).map(|_| normal(rng)))
}

/// An int in `0..n`, each with the same chance; 0 for `n` = 0.
pub fn below(rng: &mut Rng, n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    // The high half of bits times n; the low halves that fall short would favour some ints, so they are drawn again.
    let short = n.wrapping_neg() % n;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(n);
        if wide as u64 >= short {
            return (wide >> 64) as u64;
        }
    }
}

/// An int in `lo..hi`; `lo < hi`.
pub fn int_between(rng: &mut Rng, lo: i64, hi: i64) -> i64 {
    lo.wrapping_add(below(rng, hi.wrapping_sub(lo) as u64) as i64)
}

/// The ints `0..n` in random order.
pub fn permutation(rng: &mut Rng, n: usize) -> Vec<i64> {
    let mut order: Vec<i64> = (0..n as i64).collect();
    for i in (1..n).rev() {
        order.swap(i, below(rng, i as u64 + 1) as usize);
    }
    order
}

/// `size` of the ints `0..n`: with replacement, or none twice (then `size <= n`).
pub fn picks(rng: &mut Rng, n: usize, size: usize, replace: bool) -> Vec<i64> {
    if replace {
        return (0..size).map(|_| below(rng, n as u64) as i64).collect();
    }
    let mut order: Vec<i64> = (0..n as i64).collect();
    for i in 0..size.min(n) {
        order.swap(i, i + below(rng, (n - i) as u64) as usize);
    }
    order.truncate(size);
    order
}

/// As [`picks`] with chances in proportion to `weights`, which are finite, not negative, and enough of them positive.
pub fn weighted_picks(rng: &mut Rng, weights: &[f64], size: usize, replace: bool) -> Vec<i64> {
    let mut weights = weights.to_vec();
    let mut out = Vec::with_capacity(size);
    let mut sums = running_sums(&weights);
    for _ in 0..size {
        let total = sums.last().copied().unwrap_or(0.0);
        let u = uniform(rng) * total;
        // Rounding may put u at the total: then the last one with a chance.
        let last = weights.iter().rposition(|&w| w > 0.0).unwrap_or(0);
        let i = sums.partition_point(|&sum| sum <= u).min(last);
        out.push(i as i64);
        if !replace && let Some(weight) = weights.get_mut(i) {
            *weight = 0.0;
            sums = running_sums(&weights);
        }
    }
    out
}

fn running_sums(weights: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    weights
        .iter()
        .map(|w| {
            sum += w;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn rng() -> Rng {
        Rng::seed_from_u64(7)
    }

    #[test]
    fn uniform_is_open_and_even() {
        let rng = &mut rng();
        let xs: Vec<f64> = (0..100_000).map(|_| uniform(rng)).collect();
        assert!(xs.iter().all(|&x| x > 0.0 && x < 1.0));
        let mean = xs.iter().sum::<f64>() / xs.len() as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let var = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / xs.len() as f64;
        assert!((var - 1.0 / 12.0).abs() < 0.001, "{var}");
        // The extreme bits stay inside.
        assert!(((u64::MAX >> 41) as f32 + 0.5) / ((1u32 << 23) as f32) < 1.0);
        assert!(((u64::MAX >> 12) as f64 + 0.5) / ((1u64 << 52) as f64) < 1.0);
    }

    #[test]
    fn dtypes_agree() {
        let narrow = uniform_tensor(&mut rng(), &[100], DType::F32);
        let wide = uniform_tensor(&mut rng(), &[100], DType::F64);
        for (a, b) in narrow.iter_f64().zip(wide.iter_f64()) {
            assert!((a - b).abs() < 2e-7, "{a} {b}");
        }
    }

    #[test]
    fn normal_moments() {
        let xs: Vec<f64> = normal_tensor(&mut rng(), &[100_000], DType::F64).iter_f64().collect();
        let mean = xs.iter().sum::<f64>() / xs.len() as f64;
        let var = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / xs.len() as f64;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.02, "{mean} {var}");
    }

    #[test]
    fn ints_and_orders() {
        let rng = &mut rng();
        let mut seen = [0; 5];
        for _ in 0..10_000 {
            seen[(int_between(rng, -2, 3) + 2) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (1800..2200).contains(&n)), "{seen:?}");
        assert_eq!(int_between(rng, 4, 5), 4);
        int_between(rng, i64::MIN, i64::MAX);
        let mut order = permutation(rng, 100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        let mut some = picks(rng, 10, 10, false);
        some.sort_unstable();
        assert_eq!(some, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn weights() {
        let rng = &mut rng();
        let picked = weighted_picks(rng, &[0.0, 1.0, 3.0, 0.0], 10_000, true);
        let ones = picked.iter().filter(|&&i| i == 1).count();
        assert!(picked.iter().all(|&i| i == 1 || i == 2) && (2300..2700).contains(&ones), "{ones}");
        let mut both = weighted_picks(rng, &[0.0, 1.0, 3.0, 0.0], 2, false);
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
    }
}
