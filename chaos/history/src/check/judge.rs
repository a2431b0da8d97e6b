//! The pass over the lines in the order of time.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::Audit;
use super::filters::Found;
use super::forks::Forks;
use super::map::Map;
use super::oracle::{Oracle, Place};
use super::replicas::Replicas;
use super::storage::Storage;
use super::subscriptions::Progress;
use super::unserved::Unserved;
use crate::answer::{Answer, Outcome, Reason};
use crate::call::Call;
use crate::fact::{Fact, Nemesis, Phase};
use crate::line::{Body, Kind, Line, Process, Scope};
use crate::report::Invariant::{S21, S22};
use crate::report::{At, Report, Tally};
use crate::{Node, Op, Session, Tenant};

pub(super) fn judge(lines: &[Line]) -> Report {
    let mut report = Tally::new(lines.len() as u64);
    let oracle = Oracle::new(lines, &mut report);
    let unserved = Unserved::new(lines, &mut report);
    let mut judge = Judge {
        lines,
        oracle,
        unserved,
        report,
        open: Map::default(),
        sessions: Map::default(),
        retired: BTreeSet::new(),
        damaged: BTreeSet::new(),
        misplaced: BTreeSet::new(),
        failed: Map::default(),
        phantoms_known: false,
        found: BTreeMap::new(),
        forks: Forks::default(),
        replicas: Replicas::default(),
        storage: Storage::default(),
        audit: Audit::default(),
    };
    for line in lines {
        judge.line(line);
    }
    judge.end();
    judge.report.report()
}

pub(super) struct Judge<'h> {
    pub(super) lines: &'h [Line],
    pub(super) oracle: Oracle,
    pub(super) unserved: Unserved<'h>,
    pub(super) report: Tally,
    pub(super) open: Map<Op, Open<'h>>,
    /// The highest position each session has been shown of each log.
    pub(super) sessions: Map<(Session, usize), u64>,
    /// Processes that may still be at work on an operation whose outcome nobody knows.
    pub(super) retired: BTreeSet<u64>,
    /// Nodes whose stored bytes the nemesis has changed.
    pub(super) damaged: BTreeSet<Node>,
    /// Events that an answer put where the final log does not have them.
    pub(super) misplaced: BTreeSet<Place>,
    /// Events of final logs whose appends failed for certain, and where the last of them shows.
    pub(super) failed: Map<Place, At>,
    pub(super) phantoms_known: bool,
    pub(super) found: Found,
    pub(super) forks: Forks,
    pub(super) replicas: Replicas,
    pub(super) storage: Storage,
    pub(super) audit: Audit,
}

/// An operation under way, and what had been proven when it was sent.
pub(super) struct Open<'h> {
    pub(super) index: u64,
    pub(super) scope: &'h Scope,
    pub(super) call: &'h Call,
    /// The log it is about, if it names one.
    pub(super) log: Option<usize>,
    pub(super) floor: u64,
    /// What its session had been shown of the log.
    pub(super) shown: u64,
    /// Of a subscription.
    pub(super) progress: Progress,
}

impl Open<'_> {
    pub(super) fn tenant(&self) -> Tenant {
        self.scope.tenant.unwrap_or_default()
    }
}

impl<'h> Judge<'h> {
    fn line(&mut self, line: &'h Line) {
        match &line.body {
            Body::Call { op, scope, call } => {
                self.is_alive(At { index: line.index, op: Some(*op) }, &line.process);
                self.call(line.index, *op, scope, call);
            }
            Body::Outcome { op, kind, outcome, canaries } => {
                let at = At { index: line.index, op: Some(*op) };
                if let (Outcome::Unknown(_), Process::Client(process)) = (outcome, &line.process) {
                    self.retired.insert(*process);
                }
                self.outcome(at, *op, *kind, outcome, canaries.as_deref());
            }
            Body::Fact(fact) => self.fact(At::line(line.index), &line.process, fact),
        }
    }

    /// Checkers of others take a process for one thread of execution.
    fn is_alive(&mut self, at: At, process: &Process) {
        if let Process::Client(process) = process
            && self.retired.contains(process)
        {
            self.report
                .undecided(at, format!("process {process} goes on after an outcome that nobody knows"));
        }
    }

    fn call(&mut self, index: u64, op: Op, scope: &'h Scope, call: &'h Call) {
        self.report.operations += 1;
        let log = match call {
            Call::Get(get) => {
                self.oracle.place(scope.fork, scope.tenant.unwrap_or_default(), get.id).map(|p| p.log)
            }
            _ => scope.part.and_then(|part| self.oracle.named(scope.fork, part)),
        };
        let floor = log.map_or(0, |log| self.oracle.logs[log].floor);
        let shown = scope.session.zip(log).and_then(|key| self.sessions.get(&key)).copied().unwrap_or(0);
        let (floor, shown) = if log.is_none() { self.unserved.proven(scope, call) } else { (floor, shown) };
        let open = Open { index, scope, call, log, floor, shown, progress: Progress::new(call) };
        let at = At { index, op: Some(op) };
        match call {
            Call::Append(append) => {
                self.unserved.sent(&open, append);
                self.sent(at, &open, append);
            }
            Call::Admin(admin) => self.audit.asked(at, admin, &mut self.report),
            _ => {}
        }
        if self.open.insert(op, open).is_some() {
            self.report.undecided(at, "the operation number has been used before");
        }
    }

    fn outcome(&mut self, at: At, op: Op, kind: Kind, outcome: &Outcome, canaries: Option<&[Tenant]>) {
        let Some(open) = self.open.remove(&op) else {
            return self.report.undecided(at, "an outcome of an operation that is not under way");
        };
        if open.call.kind() != kind {
            return self.report.undecided(at, "an outcome of another kind than the call");
        }
        self.smell(at, &open, canaries);
        match outcome {
            Outcome::Ok(answer) => self.ok(at, op, open, answer),
            Outcome::Fail(refusal) => {
                if refusal.reason == Reason::Corrupt {
                    self.report.check(S22, at, true, String::new);
                }
                if let Call::Append(append) = open.call
                    && !self.unserved.refused(at, &open, append, refusal, &mut self.report)
                {
                    self.refused(at, &open, append, refusal);
                }
                self.audit.ended(at, open.call);
            }
            Outcome::Unknown(_) => {
                self.open.insert(op, open);
            }
        }
    }

    fn ok(&mut self, at: At, op: Op, mut open: Open<'h>, answer: &Answer) {
        if self.unserved.ok(at, &open, answer, &mut self.report) {
            return;
        }
        match (open.call, answer) {
            (Call::Append(append), Answer::Append(answer)) => self.acked(at, &open, append, answer),
            (Call::Read(read), Answer::Read(answer)) => self.read(at, &open, read, answer),
            (Call::Entity(read), Answer::Entity(answer)) => self.read_entity(at, &open, read, answer),
            (Call::Get(get), Answer::Get(answer)) => self.got(at, &open, get, answer.as_ref()),
            (Call::Search(search), Answer::Search(answer)) => self.searched(at, &open, search, answer),
            (Call::Sub(subscribe), Answer::Sub(delivery)) => {
                self.delivered(at, &mut open, subscribe, delivery);
                self.open.insert(op, open);
            }
            (Call::Fork(_), Answer::Fork(answer)) => self.forked(at, &open, answer),
            (Call::Admin(_), Answer::Admin) => self.audit.ended(at, open.call),
            (Call::Txn(_), Answer::Txn(steps)) => self.stepped(at, &open, steps),
            _ => self.report.undecided(at, "an answer of another kind than the call"),
        }
    }

    /// S21.
    fn smell(&mut self, at: At, open: &Open<'_>, canaries: Option<&[Tenant]>) {
        if let (Some(tenant), Some(canaries)) = (open.scope.tenant, canaries) {
            let foreign = canaries.iter().find(|canary| **canary != tenant);
            self.report.check(S21, at, foreign.is_none(), || {
                let foreign = foreign.copied().unwrap_or_default();
                format!("the response to tenant {tenant} holds bytes of tenant {foreign}")
            });
        }
    }

    fn fact(&mut self, at: At, process: &Process, fact: &Fact) {
        let node = if let Process::Node(node) = process { Some(*node) } else { None };
        match (fact, node) {
            (Fact::Header(header), _) => {
                if header.v != 1 || at.index != 0 {
                    self.report.undecided(at, "a history of version 1 begins with its header, and has one");
                }
            }
            (Fact::End(_), _) => {
                if at.index + 1 != self.report.lines {
                    self.report.undecided(at, "the history goes on after its end");
                }
            }
            (Fact::Log(_), _) => {}
            (Fact::Nemesis(nemesis), _) => self.nemesis(nemesis),
            (Fact::Audit(record), _) => self.audit.record(at, record, &mut self.report),
            (Fact::Scan(scan), _) => self.audit.scan(at, scan, &mut self.report),
            (Fact::Node(state), Some(node)) => self.state(at, node, state),
            (Fact::Snapshot(snapshot), Some(node)) => {
                self.storage.snapshot(at, node, snapshot, &mut self.report);
            }
            (Fact::Compaction(rewrite), Some(node)) => {
                self.storage.compaction(at, node, rewrite, &mut self.report);
            }
            (Fact::File(event), Some(node)) => self.storage.file(at, node, event, &mut self.report),
            (Fact::Disk(error), Some(node)) => self.replicas.failed(at, node, error),
            (_, None) => self.report.undecided(at, "a line about a node names no node as its process"),
        }
    }

    fn nemesis(&mut self, nemesis: &Nemesis) {
        if nemesis.fault == Nemesis::DAMAGE && nemesis.phase == Phase::Start {
            self.damaged.extend(&nemesis.value.nodes);
        }
    }

    /// The log an operation is about; says so if there is none to judge it by.
    pub(super) fn log_of(&mut self, at: At, open: &Open<'_>) -> Option<usize> {
        if open.log.is_none() {
            self.report.undecided(at, "no final log of the partition that the operation is about");
        }
        open.log
    }

    pub(super) fn show(&mut self, open: &Open<'_>, log: usize, position: u64) {
        if let Some(session) = open.scope.session {
            let shown = self.sessions.entry((session, log)).or_default();
            *shown = (*shown).max(position);
        }
    }
}
