//! What happened in a run: its history, what the nodes logged, and the verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use chronos_chaos::plan::Plan;
use chronos_chaos::sim;
use chronos_history::answer::{Answer, Appended, ModeName, Outcome};
use chronos_history::call::{Call, Mode};
use chronos_history::fact::{Fact, Logged, Nemesis, Phase};
use chronos_history::line::{Body, Line, Process};
use chronos_history::{Append, Node, Op, Partition};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// A run that is over.
pub(crate) struct Story {
    pub(crate) report: sim::Report,
    pub(crate) verdict: chronos_history::Report,
    pub(crate) lines: Vec<Line>,
    log: String,
}

/// From its beginning to its end a fault is there; nanoseconds.
pub(crate) struct Spell {
    pub(crate) nodes: Vec<Node>,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// An append that was acknowledged.
pub(crate) struct Acknowledged<'a> {
    pub(crate) partition: Partition,
    pub(crate) append: &'a Append,
    pub(crate) answer: &'a Appended,
    pub(crate) sent: u64,
    pub(crate) returned: u64,
}

impl Story {
    pub(crate) fn of(plan: &Plan) -> Story {
        let (history, log) = (Memory::default(), Memory::default());
        let report = {
            let lines = log.clone();
            let subscriber =
                tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).without_time().with_ansi(false);
            let _logging = subscriber.with_writer(move || lines.clone()).finish().set_default();
            sim::run(plan, Box::new(history.clone()), None)
        };
        let lines = chronos_history::read_from(Path::new("history"), &*history.take()).expect("it is one");
        let verdict = chronos_history::check_lines(&lines);
        let log = String::from_utf8(log.take()).expect("nodes log text");
        Story { report, verdict, lines, log }
    }

    /// How often nodes logged something with these words.
    pub(crate) fn logged(&self, words: &str) -> usize {
        self.log.lines().filter(|line| line.contains(words)).count()
    }

    /// What nodes logged last.
    pub(crate) fn end_of_log(&self) -> String {
        let lines: Vec<_> = self.log.lines().filter(|line| !line.contains(" INFO ")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The spells of a kind of fault, in the order of their beginnings.
    pub(crate) fn spells(&self, kind: &str) -> Vec<Spell> {
        let of_kind = |line: &Line| match &line.body {
            Body::Fact(Fact::Nemesis(nemesis)) if nemesis.fault == kind => Some((line.time, nemesis.clone())),
            _ => None,
        };
        let all: Vec<_> = self.lines.iter().filter_map(of_kind).collect();
        let begins = all.iter().enumerate().filter(|(_, (_, nemesis))| nemesis.phase == Phase::Start);
        let spell = |(at, (from, begin)): (usize, &(u64, Nemesis))| {
            let is_end = |of: &Nemesis| of.phase == Phase::End && of.value == begin.value;
            let end = all[at..].iter().find(|(_, nemesis)| is_end(nemesis)).expect("what began was ended");
            Spell { nodes: begin.value.nodes.clone(), from: *from, to: end.0 }
        };
        begins.map(spell).collect()
    }

    /// What was acknowledged, in the order of the answers.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged<'_>> {
        let mut calls: BTreeMap<Op, (u64, Partition, &Append)> = BTreeMap::new();
        let mut all = Vec::new();
        for line in &self.lines {
            match &line.body {
                Body::Call { op, scope, call: Call::Append(append) } => {
                    calls.insert(*op, (line.time, scope.part.expect("appends name their partition"), append));
                }
                Body::Outcome { op, outcome: Outcome::Ok(Answer::Append(answer)), .. } => {
                    let (sent, partition, append) = calls[op];
                    all.push(Acknowledged { partition, append, answer, sent, returned: line.time });
                }
                _ => {}
            }
        }
        all
    }

    /// Appends that were sent before a time and had not ended then.
    pub(crate) fn under_way(&self, at: u64) -> usize {
        self.open(at, |call| matches!(call, Call::Append(_)))
    }

    /// Strong reads that were sent before a time and had not ended then.
    pub(crate) fn reads_under_way(&self, at: u64) -> usize {
        let is_strong = |call: &Call| match call {
            Call::Read(read) => read.mode == Mode::Strong,
            Call::Entity(read) => read.mode == Mode::Strong,
            _ => false,
        };
        self.open(at, is_strong)
    }

    fn open(&self, at: u64, is_such: impl Fn(&Call) -> bool) -> usize {
        let mut open = BTreeSet::new();
        for line in self.lines.iter().take_while(|line| line.time < at) {
            match &line.body {
                Body::Call { op, call, .. } if is_such(call) => open.insert(*op),
                Body::Outcome { op, .. } => open.remove(op),
                _ => false,
            };
        }
        open.len()
    }

    /// Appends to a partition that were sent and acknowledged within a spell.
    pub(crate) fn taken_within(&self, spell: &Spell, partition: Partition) -> usize {
        let all = self.acknowledged();
        let within = |of: &&Acknowledged<'_>| of.sent > spell.from && of.returned < spell.to;
        all.iter().filter(|of| of.partition == partition).filter(within).count()
    }

    /// The partitions that appends were acknowledged in, from a time to a time.
    pub(crate) fn partitions_taking(&self, from: u64, to: u64) -> BTreeSet<Partition> {
        let all = self.acknowledged();
        let within = |of: &&Acknowledged<'_>| of.sent > from && of.returned < to;
        all.iter().filter(within).map(|of| of.partition).collect()
    }

    /// How many strong reads were answered from a time to a time.
    pub(crate) fn strong_reads(&self, from: u64, to: u64) -> usize {
        let is_strong = |line: &&Line| match &line.body {
            Body::Outcome { outcome: Outcome::Ok(Answer::Read(range)), .. } => range.mode == STRONG,
            Body::Outcome { outcome: Outcome::Ok(Answer::Entity(range)), .. } => range.mode == STRONG,
            _ => false,
        };
        self.lines.iter().filter(|line| (from..to).contains(&line.time)).filter(is_strong).count()
    }

    /// Acknowledgements that say that the events had been there before.
    pub(crate) fn recognised(&self) -> usize {
        self.acknowledged().iter().filter(|of| of.answer.dedup).count()
    }

    /// What every node has in every partition in the end, by position from 1.
    pub(crate) fn final_logs(&self) -> BTreeMap<(Node, Partition), Vec<Logged>> {
        let mut all: BTreeMap<_, Vec<Logged>> = BTreeMap::new();
        for line in &self.lines {
            if let (Process::Node(node), Body::Fact(Fact::Log(chunk))) = (&line.process, &line.body) {
                all.entry((*node, chunk.part)).or_default().extend(&chunk.events);
            }
        }
        all
    }

    /// Whoever led the hot partition when a fault of that kind struck it was followed by another one: appends were taken
    /// there while it could take none.
    pub(crate) fn assert_succeeded(&self, kind: &str) {
        let spells = self.spells(kind);
        assert!(!spells.is_empty(), "there was no {kind}");
        for spell in spells {
            let taken = self.taken_within(&spell, crate::script::hot_partition());
            assert!(taken > 0, "{:?} had no successor in {kind} from {} ns on", spell.nodes, spell.from);
        }
    }
}

const STRONG: ModeName = ModeName::Strong;

/// Whatever is written into it, for whoever has a clone.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("who writes does not panic"))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("who writes does not panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
