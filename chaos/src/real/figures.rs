//! What a history says about speed: how much was done and how long it took, in calm and under faults, and how soon a
//! partition served again whose leader was killed.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_history::Line;
use chronos_history::answer::Outcome;
use chronos_history::fact::{Fact, Nemesis, Phase};
use chronos_history::line::{Body, Kind};
use serde::Serialize;

use crate::plan::{Fault, Plan, Victim};

/// So long after the last fault is over it is not calm yet, in nanoseconds.
const AFTERMATH: u64 = 10_000_000_000;

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// While no fault was in force, nor had been within ten seconds.
    pub calm: Pace,
    /// While one was.
    pub faulty: Pace,
    /// From the kill of a partition's leader to the first append to that partition which began later and was acknowledged.
    pub recovery: Spread,
    /// Leader kills after which no such append was seen before clients ended.
    pub unrecovered: u64,
}

/// How much was done in some of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// How much time that was.
    pub seconds: f64,
    /// Operations that were answered.
    pub done: u64,
    /// In one second.
    pub done_per_second: f64,
    /// Operations that were refused or whose end is unknown.
    pub not_done: u64,
    /// How long those took that were answered.
    pub latency: Spread,
}

/// Times, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Half of them are not longer.
    pub p50_ms: f64,
    /// 99 of 100 are not longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// An operation of a client.
struct Deed {
    part: Option<u32>,
    is_append: bool,
    began: u64,
    ended: u64,
    is_done: bool,
}

impl Figures {
    /// Of the history of a plan.
    pub fn of(plan: &Plan, lines: &[Line]) -> Figures {
        let deeds = deeds(lines);
        let Some(first) = deeds.iter().map(|deed| deed.began).min() else { return Figures::default() };
        let last = first + Duration::from_secs(plan.seconds).as_nanos() as u64;
        let faults = faults(lines);
        let in_force = merged(faults.iter().map(|(from, to, _)| (*from, *to)), first, last);
        let troubled =
            merged(faults.iter().map(|(from, to, _)| (*from, to.saturating_add(AFTERMATH))), first, last);
        let length = |spans: &[(u64, u64)]| spans.iter().map(|(from, to)| to - from).sum::<u64>();
        let within =
            |spans: &[(u64, u64)], at: u64| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
        let begun: Vec<&Deed> = deeds.iter().filter(|deed| (first..last).contains(&deed.began)).collect();
        let of = |nanos, chosen: &dyn Fn(u64) -> bool| {
            Pace::of(nanos, begun.iter().copied().filter(|deed| chosen(deed.began)))
        };
        let recoveries = recoveries(&faults, &deeds, last);
        Figures {
            calm: of(last - first - length(&troubled), &|at| !within(&troubled, at)),
            faulty: of(length(&in_force), &|at| within(&in_force, at)),
            unrecovered: recoveries.iter().filter(|recovery| recovery.is_none()).count() as u64,
            recovery: Spread::of(recoveries.into_iter().flatten()),
        }
    }
}

impl Pace {
    fn of<'a>(nanos: u64, deeds: impl Iterator<Item = &'a Deed>) -> Pace {
        let (done, not): (Vec<&Deed>, Vec<&Deed>) = deeds.partition(|deed| deed.is_done);
        let seconds = nanos as f64 / 1e9;
        Pace {
            seconds,
            done: done.len() as u64,
            done_per_second: if nanos == 0 { 0.0 } else { done.len() as f64 / seconds },
            not_done: not.len() as u64,
            latency: Spread::of(done.iter().map(|deed| deed.ended - deed.began)),
        }
    }
}

impl Spread {
    fn of(nanos: impl Iterator<Item = u64>) -> Spread {
        let mut all: Vec<u64> = nanos.collect();
        all.sort_unstable();
        let Some(last) = all.last() else { return Spread::default() };
        let at =
            |share: f64| all[((all.len() as f64 * share).ceil() as usize).saturating_sub(1)] as f64 / 1e6;
        Spread { count: all.len() as u64, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: *last as f64 / 1e6 }
    }
}

fn deeds(lines: &[Line]) -> Vec<Deed> {
    let mut open = BTreeMap::new();
    let mut deeds = Vec::new();
    for line in lines {
        match &line.body {
            Body::Call { op, scope, .. } => {
                open.insert(*op, (line.time, scope.part));
            }
            Body::Outcome { op, kind, outcome, .. } => {
                let Some((began, part)) = open.remove(op) else { continue };
                deeds.push(Deed {
                    part: part.map(|part| part.0),
                    is_append: *kind == Kind::Append,
                    began,
                    ended: line.time,
                    is_done: matches!(outcome, Outcome::Ok(_)),
                });
            }
            Body::Fact(_) => {}
        }
    }
    deeds
}

/// From when to when which fault was in force; one that did not end, for ever.
fn faults(lines: &[Line]) -> Vec<(u64, u64, Option<Fault>)> {
    let mut faults: Vec<(u64, u64, Option<Fault>)> = Vec::new();
    let mut open: Vec<(usize, &Nemesis)> = Vec::new();
    for line in lines {
        let Body::Fact(Fact::Nemesis(nemesis)) = &line.body else { continue };
        let is_same = |(_, other): &(usize, &Nemesis)| other.value == nemesis.value;
        match nemesis.phase {
            Phase::Start => {
                let told = nemesis.value.args.get("fault");
                let fault = told.and_then(|text| serde_json::from_str(text).ok());
                open.push((faults.len(), nemesis));
                faults.push((line.time, u64::MAX, fault));
            }
            Phase::End => {
                if let Some(at) = open.iter().position(is_same) {
                    faults[open.remove(at).0].1 = line.time;
                }
            }
        }
    }
    faults
}

/// For each kill of a leader, after how many nanoseconds its partition was served.
fn recoveries(faults: &[(u64, u64, Option<Fault>)], deeds: &[Deed], last: u64) -> Vec<Option<u64>> {
    let kills = faults.iter().filter_map(|(at, _, fault)| match fault {
        Some(Fault::Kill { victim: Victim::Leader(part) }) => Some((*at, u32::from(*part))),
        _ => None,
    });
    let recovery = |(at, part): (u64, u32)| {
        let served = deeds.iter().filter(|deed| deed.is_append && deed.is_done && deed.part == Some(part));
        served.filter(|deed| deed.began > at && deed.ended <= last).map(|deed| deed.ended - at).min()
    };
    kills.map(recovery).collect()
}

/// Spans without overlaps, within bounds.
fn merged(spans: impl Iterator<Item = (u64, u64)>, first: u64, last: u64) -> Vec<(u64, u64)> {
    let mut spans: Vec<_> =
        spans.map(|(from, to)| (from.max(first), to.min(last))).filter(|(a, b)| a < b).collect();
    spans.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some((_, end)) if *end >= from => *end = (*end).max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_touch_are_one() {
        let spans = [(5, 7), (1, 3), (2, 4), (4, 5), (9, 20), (30, 40)];
        assert_eq!(merged(spans.into_iter(), 2, 15), [(2, 7), (9, 15)]);
    }

    #[test]
    fn a_spread_names_the_one_in_the_middle_and_the_last_but_one_of_a_hundred() {
        let spread = Spread::of((1..=100).map(|ms| ms * 1_000_000));
        assert_eq!(spread, Spread { count: 100, p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Spread::of([].into_iter()), Spread::default());
    }

    #[test]
    fn a_partition_is_recovered_when_an_append_is_acknowledged_that_began_after_its_leader_died() {
        let kill = |at, part| (at, at, Some(Fault::Kill { victim: Victim::Leader(part) }));
        let deed =
            |part, began, ended, is_done| Deed { part: Some(part), is_append: true, began, ended, is_done };
        let deeds = [
            deed(3, 5, 20, true),
            deed(3, 11, 30, false),
            deed(4, 12, 13, true),
            deed(3, 14, 40, true),
            deed(3, 41, 42, true),
        ];
        assert_eq!(recoveries(&[kill(10, 3), kill(41, 3)], &deeds, 100), [Some(30), None]);
    }
}
