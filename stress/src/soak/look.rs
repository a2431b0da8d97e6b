//! Looks at a round while it goes on: samples it, and shows it.

use std::io::Write;
use std::time::Instant;

use chronos_chaos::real::NodeLook;

use crate::proc;
use crate::sample::{NodeSample, Sample, Samples};
use crate::tap::Pulse;
use crate::view::{Standing, View};

/// Whoever looks. It is shown the nodes every second.
pub(super) struct Looker<'a, W> {
    samples: &'a mut Samples,
    view: &'a mut View<W>,
    shown: &'a mut Standing,
    pulse: &'a Pulse,
    round: u16,
    plan_seconds: u64,
    sample_seconds: u64,
    /// How old the soak was when the round began.
    age: f64,
    began: Instant,
    /// When the first operation had begun.
    load_began: Option<Instant>,
    last: Instant,
    taken: Vec<Sample>,
}

/// What was seen of a round.
pub(super) struct Seen {
    pub(super) age: f64,
    pub(super) seconds: f64,
    pub(super) samples: Vec<Sample>,
}

impl<'a, W: Write> Looker<'a, W> {
    pub(super) fn new(
        (samples, view, shown): (&'a mut Samples, &'a mut View<W>, &'a mut Standing),
        pulse: &'a Pulse,
        (round, plan_seconds, sample_seconds): (u16, u64, u64),
        age: f64,
    ) -> Looker<'a, W> {
        let began = instant();
        Looker {
            samples,
            view,
            shown,
            pulse,
            round,
            plan_seconds,
            sample_seconds,
            age,
            began,
            load_began: None,
            last: began,
            taken: Vec::new(),
        }
    }

    pub(super) fn look(&mut self, nodes: &[NodeLook]) {
        if self.load_began.is_none() && self.pulse.sum().operations > 0 {
            self.load_began = Some(instant());
        }
        if self.last.elapsed().as_secs_f64() + 0.5 < self.sample_seconds as f64 {
            return;
        }
        let sample = self.sample(nodes);
        self.shown.phase = match (self.load_began.is_some(), sample.under_load) {
            (false, _) => "beginning".into(),
            (true, true) => "load".into(),
            (true, false) => "judging".into(),
        };
        if let Err(error) = self.samples.write(&sample) {
            self.view.say(&error.to_string());
        }
        self.view.show(&sample, self.shown);
        self.taken.push(sample);
    }

    fn sample(&mut self, nodes: &[NodeLook]) -> Sample {
        let now = instant();
        let seconds = (now - self.last).as_secs_f64();
        self.last = now;
        let under_load = self.load_began.is_some_and(|began| began.elapsed().as_secs() <= self.plan_seconds);
        let beat = self.pulse.beat();
        let node = |node: &NodeLook| NodeSample {
            seat: node.seat,
            process: node.pid.and_then(proc::sample),
            disk_bytes: proc::disk_bytes(&node.data),
        };
        Sample {
            age: self.age + (now - self.began).as_secs_f64(),
            round: self.round,
            seconds,
            under_load,
            ended: beat.ended,
            not_done: beat.not_done,
            acked: beat.acked,
            appends: beat.appends,
            reads: beat.reads,
            faults: beat.faults,
            nodes: nodes.iter().map(node).collect(),
        }
    }

    pub(super) fn finish(self) -> Seen {
        let seconds = self.began.elapsed().as_secs_f64();
        Seen { age: self.age + seconds, seconds, samples: self.taken }
    }
}

#[expect(clippy::disallowed_methods, reason = "a soak is about real time")]
fn instant() -> Instant {
    Instant::now()
}
