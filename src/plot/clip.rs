//! What of lines and areas lies within the unit square, in which axes place data.

use super::scene::Point;

/// Places this far out are still within: an end of an axis is not exactly 0 or 1.
const SLACK: f64 = 1e-9;

/// True for a place within.
pub fn inside(p: Point) -> bool {
    [p.0, p.1].iter().all(|v| (-SLACK..=1.0 + SLACK).contains(v))
}

/// The part of a straight line that lies within. Liang and Barsky, "A new concept and method for line clipping", 1984.
pub fn segment(a: Point, b: Point) -> Option<(Point, Point)> {
    if inside(a) && inside(b) {
        return Some((a, b));
    }
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (start, end) in [(a.0, b.0), (a.1, b.1)] {
        let step = end - start;
        // How far along the line the two sides are met.
        let (enter, leave) = ((0.0 - start) / step, (1.0 - start) / step);
        if step != 0.0 {
            (from, to) = (from.max(enter.min(leave)), to.min(enter.max(leave)));
        } else if !(-SLACK..=1.0 + SLACK).contains(&start) {
            return None;
        }
    }
    let at = |t: f64| (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
    (from <= to).then(|| (at(from), at(to)))
}

/// The pieces of a line through `points` that lie within.
pub fn line(points: &[Point]) -> Vec<Vec<Point>> {
    if points.iter().all(|p| inside(*p)) {
        return vec![points.to_vec()];
    }
    let mut pieces: Vec<Vec<Point>> = vec![];
    for pair in points.windows(2) {
        let [a, b] = pair else { continue };
        let Some((from, to)) = segment(*a, *b) else { continue };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&from) => piece.push(to),
            _ => pieces.push(vec![from, to]),
        }
    }
    pieces
}

/// The part of a polygon that lies within. Sutherland and Hodgman, "Reentrant polygon clipping", 1974.
pub fn polygon(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    if points.iter().all(|p| inside(*p)) {
        return points;
    }
    // How far within each of the four sides a place lies.
    let sides: [fn(Point) -> f64; 4] = [|p| p.0, |p| 1.0 - p.0, |p| p.1, |p| 1.0 - p.1];
    for depth in sides {
        let mut kept = vec![];
        let mut before = points.last().copied();
        for &p in &points {
            if let Some(q) = before {
                let (d, e) = (depth(q), depth(p));
                if (d >= 0.0) != (e >= 0.0) {
                    let t = d / (d - e);
                    kept.push((q.0 + t * (p.0 - q.0), q.1 + t * (p.1 - q.1)));
                }
                if e >= 0.0 {
                    kept.push(p);
                }
            }
            before = Some(p);
        }
        points = kept;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_the_sides() {
        assert_eq!(segment((-1.0, 0.5), (2.0, 0.5)), Some(((0.0, 0.5), (1.0, 0.5))));
        assert_eq!(segment((0.5, 0.5), (0.5, 3.0)), Some(((0.5, 0.5), (0.5, 1.0))));
        assert_eq!(segment((-1.0, 2.0), (2.0, 2.0)), None);
        assert_eq!(segment((-1.0, 0.5), (0.5, 2.0)), None, "it passes a corner");
        assert_eq!(line(&[(0.25, 0.5), (0.25, 1.5), (0.75, 1.5), (0.75, 0.5), (0.5, 0.5)]).len(), 2);
        assert_eq!(line(&[(0.5, 0.5)]), vec![vec![(0.5, 0.5)]]);
        assert!(line(&[(0.5, 1.5)]).is_empty());
    }

    #[test]
    fn areas_end_at_the_sides() {
        let area = |points: &[Point]| {
            let next = points.iter().cycle().skip(1);
            points.iter().zip(next).map(|(a, b)| a.0 * b.1 - a.1 * b.0).sum::<f64>().abs() / 2.0
        };
        let square = [(-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0)];
        assert_eq!(area(&polygon(&square)), 1.0);
        let diamond = [(0.5, -0.25), (1.25, 0.5), (0.5, 1.25), (-0.25, 0.5)];
        assert!((area(&polygon(&diamond)) - (1.125 - 4.0 * 0.0625)).abs() < 1e-12);
        assert!(polygon(&[(2.0, 2.0), (3.0, 2.0), (3.0, 3.0)]).is_empty());
    }
}
