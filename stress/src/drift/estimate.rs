//! A slope, and how far it can be trusted.
//!
//! The estimator is Theil's and Sen's: the median of the slopes between all pairs of points. Almost a third of the points may
//! be anything. Its interval is Sen's (Estimates of the regression coefficient based on Kendall's tau, 1968). Pairs are
//! made within one group only, and the groups pooled, as Hirsch and Slack do with seasons (A nonparametric trend test for
//! seasonal data with serial dependence, 1984): a process that was started again begins anew, and only what one process did
//! over time is a slope. What is measured in a row is alike, which makes fewer points of many: the variance is widened by the
//! correlation of neighbours (von Storch, 1995; Yue and Wang, 2004).

use crate::sample::median;

/// Of the normal distribution, for an interval that holds the true value in 99 of 100 cases.
const Z: f64 = 2.576;
/// Neighbours are never taken to be more alike than that: with fewer points than this leaves, nothing can be said at all.
const ALIKE_MAX: f64 = 0.9;
/// Points of a group without which it says nothing about a slope.
const POINTS_MIN: usize = 8;

/// How much something grows in one unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The estimate.
    pub is: f64,
    /// It is hardly less.
    pub low: f64,
    /// It is hardly more.
    pub high: f64,
}

/// The slope of points (time, value) in groups; none if no group has enough.
#[must_use]
pub fn slope(groups: &[Vec<(f64, f64)>]) -> Option<Slope> {
    let groups: Vec<&[(f64, f64)]> =
        groups.iter().map(Vec::as_slice).filter(|group| group.len() >= POINTS_MIN).collect();
    let mut slopes: Vec<f64> = groups.iter().flat_map(|group| pairs(group)).collect();
    slopes.sort_unstable_by(f64::total_cmp);
    let is = median(slopes.clone())?;
    let variance: f64 = groups.iter().map(|group| variance(group.len()) * inflation(group, is)).sum();
    let width = Z * variance.sqrt();
    let count = slopes.len() as f64;
    let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
    Some(Slope { is, low: at(((count - width) / 2.0).floor()), high: at(((count + width) / 2.0).ceil()) })
}

fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = f64> {
    points.iter().enumerate().flat_map(|(i, (t, value))| {
        points[i + 1..]
            .iter()
            .filter(move |(later, _)| later > t)
            .map(move |(later, other)| (other - value) / (later - t))
    })
}

/// Of Kendall's statistic over so many points that have no trend.
fn variance(points: usize) -> f64 {
    let n = points as f64;
    n * (n - 1.0) * (2.0 * n + 5.0) / 18.0
}

/// By how much the variance is wider than that of points that know nothing of each other.
fn inflation(points: &[(f64, f64)], slope: f64) -> f64 {
    let level: Vec<f64> = points.iter().map(|(t, value)| value - slope * t).collect();
    let middle = median(level.clone()).unwrap_or(0.0);
    let rest: Vec<f64> = level.iter().map(|value| value - middle).collect();
    let all: f64 = rest.iter().map(|r| r * r).sum();
    if all <= f64::EPSILON {
        return 1.0;
    }
    let beside: f64 = rest.windows(2).map(|two| two[0] * two[1]).sum();
    let alike = (beside / all).clamp(0.0, ALIKE_MAX);
    (1.0 + alike) / (1.0 - alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that look like noise and are always the same.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        }
    }

    fn line(count: u32, slope: f64, noise: &mut dyn FnMut() -> f64) -> Vec<(f64, f64)> {
        (0..count).map(|i| (f64::from(i), 50.0 + slope * f64::from(i) + noise())).collect()
    }

    #[test]
    fn a_straight_line_has_its_slope_and_no_doubt() {
        let slope = slope(&[line(30, 2.0, &mut || 0.0)]).unwrap();
        assert!((slope.is - 2.0).abs() < 1e-9 && slope.high - slope.low < 1e-9, "{slope:?}");
    }

    #[test]
    fn a_fifth_of_wild_points_does_not_move_it() {
        let mut points = line(50, 0.5, &mut noise(1));
        for point in points.iter_mut().step_by(5) {
            point.1 = 10_000.0;
        }
        let slope = slope(&[points]).unwrap();
        assert!((slope.is - 0.5).abs() < 0.1, "{slope:?}");
    }

    #[test]
    fn the_interval_holds_the_true_slope_nearly_always() {
        let held = (1..=300).filter(|seed| {
            let slope = slope(&[line(60, 0.01, &mut noise(*seed))]).unwrap();
            (slope.low..=slope.high).contains(&0.01)
        });
        let held = held.count();
        assert!(held >= 290, "only {held} of 300");
    }

    #[test]
    fn what_wanders_has_a_wider_interval_than_what_jumps() {
        let (mut dice, mut at) = (noise(3), 0.0);
        let mut wander = || {
            at = 0.9 * at + 0.436 * dice();
            at
        };
        let wandering = slope(&[line(60, 0.0, &mut wander)]).unwrap();
        let jumping = slope(&[line(60, 0.0, &mut noise(4))]).unwrap();
        let width = |slope: Slope| slope.high - slope.low;
        assert!(width(wandering) > 1.3 * width(jumping), "{wandering:?} {jumping:?}");
    }

    #[test]
    fn a_new_process_begins_anew() {
        let lives: Vec<_> = (0..4)
            .map(|life| {
                (0..20)
                    .map(|i| (f64::from(life * 20 + i), 100.0 - f64::from(life) * 20.0 + f64::from(i)))
                    .collect()
            })
            .collect();
        let within = slope(&lives).unwrap();
        assert!(
            (within.is - 1.0).abs() < 1e-9,
            "{within:?}: each life grows, and the restarts do not hide it"
        );
    }

    #[test]
    fn a_few_points_are_no_slope() {
        assert_eq!(slope(&[line(7, 1.0, &mut || 0.0)]), None);
        assert_eq!(slope(&[]), None);
    }
}
