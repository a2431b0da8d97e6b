//! Looks into a history while it is written: how fast operations end, what goes wrong now, and where the round ends.
//!
//! The history stays what it is, byte for byte. All figures of a soak come from what it says, so that they cannot differ
//! from it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use chronos_history::answer::{Answer, Outcome, Reason};
use chronos_history::fact::{Fact, LogChunk, NemesisValue, Phase};
use chronos_history::line::{Body, Kind};
use chronos_history::{Line, Op, RangeHash, Word};
use parking_lot::Mutex;

use crate::ledger::Ends;
use crate::sample::Latency;

/// A place for a history that lets somebody look into it. What it is told, it passes on.
pub struct Tap<W> {
    to: W,
    line: Vec<u8>,
    pulse: Pulse,
}

/// What was seen. Clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// What has begun and not ended.
    open: BTreeMap<Op, u64>,
    beat: Counting,
    /// What goes on now.
    faults: Vec<NemesisValue>,
    /// Episodes that have begun, by kind.
    episodes: BTreeMap<String, u64>,
    ends: BTreeMap<u8, (u64, RangeHash)>,
    /// When the first operation began, and when the last one ended.
    span: Option<(u64, u64)>,
    operations: u64,
    acked: u64,
}

#[derive(Debug, Default)]
struct Counting {
    ended: u64,
    not_done: u64,
    acked: u64,
    appends: Vec<u64>,
    reads: Vec<u64>,
    faults: Vec<String>,
}

/// What happened since somebody last looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beat {
    /// Operations that ended.
    pub ended: u64,
    /// Of these, those that were not done or of which that is not known. A refusal by a rule is an answer.
    pub not_done: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// How long appends took that were answered.
    pub appends: Latency,
    /// How long reads took that were answered.
    pub reads: Latency,
    /// Kinds of faults that went on at some time.
    pub faults: Vec<String>,
}

/// A history so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Operations that began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Episodes, by kind.
    pub episodes: BTreeMap<String, u64>,
    /// Seconds from the first operation to the last end of one.
    pub seconds: f64,
}

impl<W: Write> Tap<W> {
    /// Passes on to `to`, and shows it to whoever has the pulse.
    pub fn new(to: W, pulse: Pulse) -> Tap<W> {
        Tap { to, line: Vec::new(), pulse }
    }
}

impl<W: Write> Write for Tap<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        for part in bytes[..written].split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if let Some(line) =
                    std::str::from_utf8(&self.line).ok().and_then(|text| Line::parse(text).ok())
                {
                    self.pulse.0.lock().see(&line);
                }
                self.line.clear();
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Pulse {
    /// What happened since the last call.
    #[must_use]
    pub fn beat(&self) -> Beat {
        let mut seen = self.0.lock();
        let going_on: Vec<String> = seen.faults.iter().map(|fault| fault.kind.clone()).collect();
        let next = Counting { faults: going_on, ..Counting::default() };
        let Counting { ended, not_done, acked, appends, reads, mut faults } =
            std::mem::replace(&mut seen.beat, next);
        drop(seen);
        faults.sort();
        faults.dedup();
        let (appends, reads) = (Latency::of(appends), Latency::of(reads));
        Beat { ended, not_done, acked, appends, reads, faults }
    }

    /// Kinds of faults that go on now.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.0.lock().faults.iter().map(|fault| fault.kind.clone()).collect()
    }

    /// What happened since the history began.
    #[must_use]
    pub fn sum(&self) -> Sum {
        let seen = self.0.lock();
        let seconds = seen.span.map_or(0.0, |(first, last)| (last - first) as f64 / 1e9);
        Sum { operations: seen.operations, acked: seen.acked, episodes: seen.episodes.clone(), seconds }
    }

    /// Where each partition ends by the final logs, which begin after these positions.
    #[must_use]
    pub fn ends(&self, heads: &BTreeMap<u8, u64>) -> Ends {
        let seen = self.0.lock();
        let absolute = |(part, (last, hash)): (&u8, &(u64, RangeHash))| {
            (*part, (heads.get(part).copied().unwrap_or(0) + last, hash.get()))
        };
        seen.ends.iter().map(absolute).collect()
    }

    /// Takes in a line that was written by somebody else.
    pub fn see(&self, line: &Line) {
        self.0.lock().see(line);
    }
}

impl Seen {
    fn see(&mut self, line: &Line) {
        match &line.body {
            Body::Call { op, .. } => {
                self.operations += 1;
                self.open.insert(*op, line.time);
                self.span.get_or_insert((line.time, line.time));
            }
            Body::Outcome { op, kind, outcome, .. } => {
                let Some(began) = self.open.remove(op) else { return };
                if let Some((_, last)) = &mut self.span {
                    *last = line.time;
                }
                self.ended(*kind, outcome, line.time - began);
            }
            Body::Fact(Fact::Nemesis(nemesis)) => self.fault(nemesis.phase, &nemesis.value),
            Body::Fact(Fact::Log(chunk)) => self.log(chunk),
            Body::Fact(_) => {}
        }
    }

    fn ended(&mut self, kind: Kind, outcome: &Outcome, took: u64) {
        self.beat.ended += 1;
        match outcome {
            Outcome::Ok(Answer::Append(appended)) => {
                let events = (appended.last.0 + 1).saturating_sub(appended.first.0);
                self.acked += events;
                self.beat.acked += events;
            }
            Outcome::Ok(_) => {}
            Outcome::Fail(refusal) if is_by_a_rule(&refusal.reason) => {}
            Outcome::Fail(_) | Outcome::Unknown(_) => {
                self.beat.not_done += 1;
                return;
            }
        }
        let times = if kind == Kind::Append { &mut self.beat.appends } else { &mut self.beat.reads };
        times.push(took);
    }

    fn fault(&mut self, phase: Phase, value: &NemesisValue) {
        match phase {
            Phase::Start => {
                *self.episodes.entry(value.kind.clone()).or_default() += 1;
                self.beat.faults.push(value.kind.clone());
                self.faults.push(value.clone());
            }
            Phase::End => {
                if let Some(at) = self.faults.iter().position(|open| open == value) {
                    self.faults.remove(at);
                }
            }
        }
    }

    /// Every replica's log is here, one after the other, and the checker says whether they are the same.
    fn log(&mut self, chunk: &LogChunk) {
        let Ok(part) = u8::try_from(chunk.part.0) else { return };
        let end = self.ends.entry(part).or_default();
        if chunk.first.0 == 1 {
            *end = (0, RangeHash::EMPTY);
        }
        for event in &chunk.events {
            end.0 += 1;
            end.1.push(Word::new(event.id, event.entity, event.version, event.tenant, event.hash));
        }
    }
}

/// Whether that is an answer: what was asked for must not be done.
fn is_by_a_rule(reason: &Reason) -> bool {
    matches!(reason, Reason::WrongVersion | Reason::ConditionFailed | Reason::Conflict)
}
