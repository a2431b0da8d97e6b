//! What lies behind the lines: when faults went on, and when nobody was at work.

use crate::sample::Sample;

/// From when to when, in seconds, and what.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shade {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Kinds of faults; none for the time in which rounds were judged.
    pub(super) faults: Vec<String>,
}

/// All of them, in order; neighbours that are alike are one.
pub(super) fn shades(samples: &[Sample]) -> Vec<Shade> {
    let mut shades: Vec<Shade> = Vec::new();
    for sample in samples.iter().filter(|sample| !sample.faults.is_empty() || !sample.under_load) {
        let from = sample.age - sample.seconds;
        let is_judging = sample.faults.is_empty();
        match shades.last_mut() {
            Some(last) if from - last.to < 0.5 && last.faults.is_empty() == is_judging => {
                last.to = sample.age;
                let new = sample.faults.iter().filter(|fault| !last.faults.contains(fault));
                let new: Vec<String> = new.cloned().collect();
                last.faults.extend(new);
            }
            _ => shades.push(Shade { from, to: sample.age, faults: sample.faults.clone() }),
        }
    }
    shades
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(age: f64, faults: &[&str], under_load: bool) -> Sample {
        let faults = faults.iter().map(ToString::to_string).collect();
        Sample { age, seconds: 5.0, faults, under_load, ..Sample::default() }
    }

    #[test]
    fn faults_that_follow_each_other_are_one_shade_with_all_their_names() {
        let samples = [
            sample(5.0, &[], true),
            sample(10.0, &["kill"], true),
            sample(15.0, &["kill", "delay"], true),
            sample(20.0, &[], true),
            sample(25.0, &[], false),
            sample(30.0, &["rot"], true),
        ];
        let shade = |from, to, faults: &[&str]| Shade {
            from,
            to,
            faults: faults.iter().map(ToString::to_string).collect(),
        };
        let expected =
            [shade(5.0, 15.0, &["kill", "delay"]), shade(20.0, 25.0, &[]), shade(25.0, 30.0, &["rot"])];
        assert_eq!(shades(&samples), expected);
    }
}
