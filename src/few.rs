//! Short lists.

use smallvec::{Array, SmallVec};

/// The few items of an iterator. On the paths of every operation: `collect` makes more ado than the items are worth.
#[inline]
pub fn few<A: Array>(items: impl Iterator<Item = A::Item>) -> SmallVec<A> {
    let mut out = SmallVec::new();
    for item in items {
        out.push(item);
    }
    out
}
