use super::*;
use crate::sample::NodeSample;

/// Between two samples.
const STEP: f64 = 5.0;

/// Noise between -1 and 1 that is always the same, each value somewhat like the one before.
struct Dice(u64, f64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let fresh = (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        self.1 = 0.7 * self.1 + 0.5 * fresh;
        self.1
    }
}

/// What grows, by so much in an hour.
#[derive(Clone, Copy, Default)]
struct Growth {
    memory_mib: f64,
    descriptors: f64,
    threads: f64,
    /// In parts of what it is in the beginning.
    latency: f64,
}

/// A run of so many hours on one node, with faults for half of the time, whose process begins anew every `life` hours.
fn run(hours: f64, life: f64, growth: Growth) -> Vec<Sample> {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d, 0.0);
    let mut sample = |i: u32| {
        let age = f64::from(i) * STEP;
        let hour = age / HOUR;
        let (number, in_life) = ((hour / life) as u64, hour % life);
        // It takes ten minutes to take what it needs.
        let warm = 60.0 * (1.0 - (-in_life * 20.0).exp());
        let memory = 200.0 + warm + growth.memory_mib * in_life + dice.roll();
        let process = ProcessSample {
            pid: 100,
            born: number,
            rss_bytes: (memory * MIB) as u64,
            fds: (80.0 + growth.descriptors * in_life + 4.0 * dice.roll()) as u64,
            threads: (20.0 + growth.threads * in_life + dice.roll()) as u64,
        };
        let slow = 1.0 + growth.latency * hour;
        let latency = Latency {
            count: 400,
            p50_ms: (6.0 + 0.6 * dice.roll()) * slow,
            p99_ms: (40.0 + 8.0 * dice.roll()) * slow,
        };
        let is_calm = i % 24 < 12;
        Sample {
            age,
            seconds: STEP,
            under_load: true,
            appends: latency,
            reads: latency,
            faults: if is_calm { Vec::new() } else { vec!["kill".into()] },
            nodes: vec![NodeSample { seat: 1, process: Some(process), disk_bytes: 0 }],
            ..Sample::default()
        }
    };
    (1..=(hours * HOUR / STEP) as u32).map(&mut sample).collect()
}

fn of(samples: &[Sample], what: &str) -> Drift {
    let all = judge(samples, &[1.0]).0;
    let found = all.iter().find(|drift| drift.what.starts_with(what));
    found.unwrap_or_else(|| panic!("{what} is not among {all:?}")).clone()
}

fn is(samples: &[Sample], what: &str) -> Judgement {
    of(samples, what).judgement
}

#[test]
fn a_healthy_run_of_some_hours_is_within_every_limit() {
    let samples = run(6.0, 100.0, Growth::default());
    let drifts = judge(&samples, &[1.0, 1.1, 1.2]);
    assert_eq!(drifts.0.len(), 8);
    for drift in &drifts.0 {
        assert_eq!(drift.judgement, Judgement::Within, "{drift}");
    }
}

#[test]
fn a_healthy_hour_breaks_no_limit_even_where_it_is_too_short_to_tell() {
    let drifts = judge(&run(1.0, 100.0, Growth::default()), &[1.0]);
    assert_eq!(drifts.beyond().next(), None);
}

#[test]
fn some_minutes_say_nothing_about_an_hour() {
    let leak = Growth { memory_mib: 500.0, latency: 5.0, ..Growth::default() };
    let drifts = judge(&run(0.4, 100.0, leak), &[1.0]);
    assert!(drifts.0[..7].iter().all(|drift| drift.judgement == Judgement::Open), "{drifts:?}");
}

#[test]
fn memory_that_leaks_is_found() {
    let leak = Growth { memory_mib: 3.0, ..Growth::default() };
    assert_eq!(is(&run(6.0, 100.0, leak), "memory of node 1"), Judgement::Beyond);
    let big = Growth { memory_mib: 20.0, ..Growth::default() };
    assert_eq!(
        is(&run(1.0, 100.0, big), "memory of node 1"),
        Judgement::Beyond,
        "an hour is enough for a big leak"
    );
}

#[test]
fn a_leak_is_found_over_several_lives_of_a_process() {
    let leak = Growth { memory_mib: 6.0, ..Growth::default() };
    let samples = run(12.0, 2.0, leak);
    let overall = samples.last().unwrap().nodes[0].process.unwrap().rss_bytes;
    assert!(overall < 300 << 20, "no life comes far: {overall}");
    assert_eq!(is(&samples, "memory of node 1"), Judgement::Beyond);
    assert_eq!(is(&run(12.0, 2.0, Growth::default()), "memory of node 1"), Judgement::Within);
}

#[test]
fn descriptors_that_leak_are_found() {
    let leak = Growth { descriptors: 6.0, ..Growth::default() };
    assert_eq!(is(&run(6.0, 100.0, leak), "descriptors of node 1"), Judgement::Beyond);
}

#[test]
fn threads_that_leak_are_found() {
    let leak = Growth { threads: 3.0, ..Growth::default() };
    assert_eq!(is(&run(6.0, 100.0, leak), "threads of node 1"), Judgement::Beyond);
}

#[test]
fn operations_that_become_slower_are_found() {
    let slower = run(6.0, 100.0, Growth { latency: 0.25, ..Growth::default() });
    for what in ["p50 of appends", "p99 of appends", "p50 of reads", "p99 of reads"] {
        assert_eq!(is(&slower, what), Judgement::Beyond, "{}", of(&slower, what));
    }
}

#[test]
fn what_is_slow_under_faults_only_is_not_slow() {
    let mut samples = run(6.0, 100.0, Growth::default());
    let count = samples.len() as f64;
    for (i, sample) in samples.iter_mut().enumerate().filter(|(_, sample)| !sample.faults.is_empty()) {
        sample.appends.p99_ms *= 1.0 + 20.0 * i as f64 / count;
    }
    assert_eq!(is(&samples, "p99 of appends"), Judgement::Within);
}

#[test]
fn a_disk_that_holds_more_than_was_stored_is_found() {
    let disk = |ratios: &[f64]| judge(&run(0.2, 100.0, Growth::default()), ratios).0.pop().unwrap().judgement;
    assert_eq!(disk(&[0.9, 1.2, 1.29]), Judgement::Within);
    assert_eq!(disk(&[0.9, 1.0, 1.1, 1.25, 1.31, 1.35]), Judgement::Beyond);
    assert_eq!(disk(&[5.0, 1.2, 1.2]), Judgement::Within, "what counts is what it comes to");
    assert_eq!(disk(&[]), Judgement::Open);
}

#[test]
fn a_run_that_is_too_short_says_so_and_how_long_one_must_be() {
    let samples = run(1.0, 100.0, Growth { memory_mib: 0.2, ..Growth::default() });
    let drift = of(&samples, "memory of node 1");
    assert_eq!(drift.judgement, Judgement::Open, "{drift}");
    let needed = drift.hours_needed.unwrap();
    assert!((1.0..12.0).contains(&needed), "{drift}");
    let long = run(needed * 2.0, 100.0, Growth { memory_mib: 0.2, ..Growth::default() });
    assert_eq!(is(&long, "memory of node 1"), Judgement::Within, "{}", of(&long, "memory of node 1"));
}
