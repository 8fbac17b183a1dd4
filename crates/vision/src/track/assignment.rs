//! Who goes with whom: the matching of greatest total weight among the candidate pairs.

use pathfinding::matrix::Matrix;
use pathfinding::prelude::kuhn_munkres;

/// A pair that may be matched; pairs that are not listed never are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub row: usize,
    pub column: usize,
    /// Above 0, at most 1e6; the greater the better.
    pub weight: f64,
}

/// Weights are rounded to this fraction: the solver wants exact arithmetic.
const WEIGHT_STEP: f64 = 1e-9;
const NONE: usize = usize::MAX;

/// Finds matchings; kept between frames for its buffers only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assigner {
    row_group: Vec<usize>,
    column_group: Vec<usize>,
    order: Vec<Candidate>,
}

impl Assigner {
    /// Appends to `pairs` the matching of greatest total weight, as (row, column).
    ///
    /// Rows and columns fall into groups that no candidate connects; in most frames each is one row and one column,
    /// and only what is really ambiguous goes to the Hungarian algorithm (Kuhn 1955, Munkres 1957).
    pub fn assign(
        &mut self,
        rows: usize,
        columns: usize,
        candidates: &[Candidate],
        pairs: &mut Vec<(usize, usize)>,
    ) {
        self.group(rows, columns, candidates);
        self.order.clear();
        self.order.extend_from_slice(candidates);
        let groups = &self.row_group;
        self.order.sort_by_key(|c| (groups[c.row], c.row, c.column));
        for group in self.order.chunk_by(|a, b| groups[a.row] == groups[b.row]) {
            match group {
                [only] => pairs.push((only.row, only.column)),
                several => solve(several, pairs),
            }
        }
    }

    /// Numbers the groups: `row_group[r]` is the smallest row of the group that r belongs to.
    fn group(&mut self, rows: usize, columns: usize, candidates: &[Candidate]) {
        self.row_group.clear();
        self.row_group.extend(0..rows);
        self.column_group.clear();
        self.column_group.resize(columns, NONE);
        for c in candidates {
            let mine = root(&mut self.row_group, c.row);
            match self.column_group[c.column] {
                NONE => self.column_group[c.column] = mine,
                row => {
                    let other = root(&mut self.row_group, row);
                    self.row_group[mine.max(other)] = mine.min(other);
                }
            }
        }
        for row in 0..rows {
            self.row_group[row] = root(&mut self.row_group, row);
        }
    }
}

fn root(parents: &mut [usize], mut row: usize) -> usize {
    while parents[row] != row {
        parents[row] = parents[parents[row]];
        row = parents[row];
    }
    row
}

/// Solves one group; `group` is sorted by row and column.
fn solve(group: &[Candidate], pairs: &mut Vec<(usize, usize)>) {
    let mut rows: Vec<usize> = group.iter().map(|c| c.row).collect();
    rows.dedup();
    let mut columns: Vec<usize> = group.iter().map(|c| c.column).collect();
    columns.sort_unstable();
    columns.dedup();
    let position = |list: &[usize], value| list.partition_point(|&v| v < value);
    // The solver wants no more rows than columns.
    let turned = rows.len() > columns.len();
    let (short, long) = if turned { (&columns, &rows) } else { (&rows, &columns) };
    let mut weights = Matrix::new(short.len(), long.len(), 0i64);
    for c in group {
        let (row, column) = if turned { (c.column, c.row) } else { (c.row, c.column) };
        weights[(position(short, row), position(long, column))] = (c.weight / WEIGHT_STEP) as i64;
    }
    let (_, matched) = kuhn_munkres(&weights);
    for (row, column) in matched.into_iter().enumerate() {
        if weights[(row, column)] > 0 {
            let (row, column) = (short[row], long[column]);
            pairs.push(if turned { (column, row) } else { (row, column) });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best_by_trying_all(rows: usize, used: u32, candidates: &[Candidate]) -> f64 {
        let Some(row) = rows.checked_sub(1) else { return 0.0 };
        let mut best = best_by_trying_all(row, used, candidates);
        for c in candidates.iter().filter(|c| c.row == row && used & (1 << c.column) == 0) {
            best = best.max(c.weight + best_by_trying_all(row, used | (1 << c.column), candidates));
        }
        best
    }

    proptest! {
        #[test]
        fn finds_the_greatest_total(
            rows in 1usize..6,
            columns in 1usize..6,
            weights in prop::collection::vec(prop::option::weighted(0.6, 0.01f64..1.0), 36),
        ) {
            let candidates: Vec<Candidate> = (0..rows * columns)
                .filter_map(|i| {
                    weights[i].map(|weight| Candidate { row: i / columns, column: i % columns, weight })
                })
                .collect();
            let mut pairs = Vec::new();
            Assigner::default().assign(rows, columns, &candidates, &mut pairs);
            let mut total = 0.0;
            for (n, &(row, column)) in pairs.iter().enumerate() {
                prop_assert!(pairs[..n].iter().all(|p| p.0 != row && p.1 != column), "used twice: {pairs:?}");
                let found = candidates.iter().find(|c| c.row == row && c.column == column);
                total += found.expect("only listed pairs are matched").weight;
            }
            prop_assert!((total - best_by_trying_all(rows, 0, &candidates)).abs() < 1e-6);
        }
    }
}
