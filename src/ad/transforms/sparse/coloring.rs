//! Coloring: columns (or rows) of a sparse matrix that share no row (column) are computed by one pass.
//!
//! Greedy, largest first (Coleman and Moré, 1983). A few dense rows among sparse ones would make all columns clash, so rows
//! above some length may go backward while all others go forward.

use crate::ad::transforms::sparse::pattern::Set;

/// Which passes compute which entries.
pub struct Plan {
    /// Columns of each forward pass.
    pub forward: Vec<Vec<usize>>,
    /// Rows of each reverse pass.
    pub reverse: Vec<Vec<usize>>,
    /// For each column its forward pass, for each row its reverse pass.
    pub pass_of_column: Vec<usize>,
    pub pass_of_row: Vec<Option<usize>>,
}

impl Plan {
    pub fn passes(&self) -> usize {
        self.forward.len() + self.reverse.len()
    }
}

/// The plan with the fewest passes among: all forward, all reverse, and the longest rows reverse.
pub fn plan(rows: &[Set], columns: usize) -> Plan {
    const TRIED: usize = 8;
    let mut lengths: Vec<usize> = rows.iter().map(|r| r.len()).filter(|n| *n > 0).collect();
    lengths.sort_unstable();
    lengths.dedup();
    // Rows longer than a limit go backward: none, those of the few greatest lengths, all.
    let mut limits: Vec<usize> = lengths.iter().rev().take(TRIED).copied().collect();
    limits.push(0);
    let mut best: Option<Plan> = None;
    for limit in limits {
        let most = best.as_ref().map_or(usize::MAX, Plan::passes);
        let mut filled = vec![0usize; columns];
        for row in rows.iter().filter(|r| r.len() > limit) {
            row.iter().for_each(|c| filled[*c as usize] += 1);
        }
        // No fewer than the longest row forward, the longest column backward.
        if limit + filled.iter().max().copied().unwrap_or(0) >= most {
            continue;
        }
        let tried = split(rows, columns, limit);
        if tried.passes() < most {
            best = Some(tried);
        }
    }
    best.unwrap_or_else(|| split(rows, columns, 0))
}

fn split(rows: &[Set], columns: usize, limit: usize) -> Plan {
    let short: Vec<(usize, &Set)> = rows.iter().enumerate().filter(|(_, r)| r.len() <= limit).collect();
    let long: Vec<(usize, &Set)> = rows.iter().enumerate().filter(|(_, r)| r.len() > limit).collect();
    let mut of_column: Vec<Vec<usize>> = vec![vec![]; columns];
    let lines: Vec<Vec<usize>> = short.iter().map(|(_, r)| r.iter().map(|c| *c as usize).collect()).collect();
    for (i, line) in lines.iter().enumerate() {
        line.iter().for_each(|c| of_column[*c].push(i));
    }
    let (pass_of_column, forward) = colors(&of_column, &lines);
    // The same for rows, with the roles exchanged.
    let members: Vec<Vec<usize>> = long.iter().map(|(_, r)| r.iter().map(|c| *c as usize).collect()).collect();
    let mut sharing: Vec<Vec<usize>> = vec![vec![]; columns];
    for (i, member) in members.iter().enumerate() {
        member.iter().for_each(|c| sharing[*c].push(i));
    }
    let (colored, reverse) = colors(&members, &sharing);
    let mut pass_of_row = vec![None; rows.len()];
    for ((row, _), color) in long.iter().zip(&colored) {
        pass_of_row[*row] = Some(*color);
    }
    let reverse = reverse.into_iter().map(|rows| rows.into_iter().map(|i| long[i].0).collect()).collect();
    Plan { forward, reverse, pass_of_column, pass_of_row }
}

/// Colors of items, where `of[i]` are the groups of item `i` and `members` the items of a group; items of a group differ in
/// color. Also the items of each color; items without a group are in none.
fn colors(of: &[Vec<usize>], members: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let weight = |i: usize| of[i].iter().map(|g| members[*g].len()).sum::<usize>();
    let mut order: Vec<(usize, usize)> = (0..of.len()).map(|i| (weight(i), i)).collect();
    order.sort_by_key(|(weight, i)| (std::cmp::Reverse(*weight), *i));
    let mut color: Vec<Option<usize>> = vec![None; of.len()];
    let mut classes: Vec<Vec<usize>> = vec![];
    // The last item that found a color taken.
    let mut taken: Vec<usize> = vec![];
    for (stamp, (_, i)) in order.into_iter().enumerate() {
        if of[i].is_empty() {
            continue;
        }
        for other in of[i].iter().flat_map(|g| &members[*g]) {
            if let Some(c) = color[*other] {
                taken[c] = stamp + 1;
            }
        }
        let free = taken.iter().position(|t| *t != stamp + 1).unwrap_or(taken.len());
        if free == taken.len() {
            taken.push(0);
            classes.push(vec![]);
        }
        color[i] = Some(free);
        classes[free].push(i);
    }
    (color.into_iter().map(|c| c.unwrap_or(0)).collect(), classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(rows: &[Vec<u32>], columns: usize) -> (usize, usize) {
        let rows: Vec<Set> = rows.iter().map(|r| r.as_slice().into()).collect();
        let plan = plan(&rows, columns);
        for (class, row) in plan.forward.iter().flat_map(|class| rows.iter().map(move |row| (class, row))) {
            let clashes = class.iter().filter(|c| row.contains(&(**c as u32))).count();
            assert!(clashes < 2 || plan.pass_of_row.iter().any(Option::is_some), "two columns of a row in one pass");
        }
        (plan.forward.len(), plan.reverse.len())
    }

    #[test]
    fn as_many_passes_as_the_structure_needs() {
        let n = 1000u32;
        let tridiagonal: Vec<Vec<u32>> = (0..n).map(|i| (i.saturating_sub(1)..(i + 2).min(n)).collect()).collect();
        assert_eq!(passes(&tridiagonal, n as usize), (3, 0));
        let diagonal: Vec<Vec<u32>> = (0..n).map(|i| vec![i]).collect();
        assert_eq!(passes(&diagonal, n as usize), (1, 0));
        // A dense row and a dense column around a diagonal.
        let arrow: Vec<Vec<u32>> = (0..n).map(|i| if i == 0 { (0..n).collect() } else { vec![0, i] }).collect();
        assert_eq!(passes(&arrow, n as usize), (2, 1));
        assert_eq!(passes(&[(0..n).collect()], n as usize), (0, 1));
        let column: Vec<Vec<u32>> = (0..n).map(|_| vec![0]).collect();
        assert_eq!(passes(&column, 1), (1, 0));
        let dense: Vec<Vec<u32>> = (0..20).map(|_| (0..30).collect()).collect();
        assert_eq!(passes(&dense, 30), (0, 20));
        assert_eq!(passes(&[vec![], vec![]], 3), (0, 0));
        assert_eq!(passes(&[], 0), (0, 0));
    }
}
