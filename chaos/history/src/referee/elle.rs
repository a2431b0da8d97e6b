//! adya, on the `txn` lines.
//!
//! An event that was sent several times (a retry) is one append to adya: from its first call to its first `ok`, or to
//! the end of the history if nobody was told and the final log has it. adya 0.1.0 does not analyse a history in which
//! an append occurs twice, and calls it valid (it notes `duplicate-appends`, which its verdict then leaves out). So it
//! is never shown one, and a history that cannot be brought into that form is [`Opinion::Unknown`].

use std::collections::{BTreeMap, BTreeSet};

use adya::history::{Interner, Mop, OpType, ReadValue, Scalar};
use adya::{History, Opts, Valid, Workload};

use super::Opinion;
use super::resolved::Resolved;
use crate::answer::{Answer, Outcome};
use crate::call::Call;
use crate::line::{Body, Kind, Line};
use crate::{EventId, Micro, Op};

/// Whether the `txn` operations of a history are strictly serializable, by adya's list-append analysis. A history without
/// any is one of which nothing was looked at.
pub fn serializable(lines: &[Line]) -> Opinion {
    if !lines.iter().any(|line| matches!(line.body, Body::Call { call: Call::Txn(_), .. })) {
        return Opinion::Valid(0);
    }
    let transactions = transactions(lines);
    let mut appended = BTreeSet::new();
    if let Some(twice) = transactions.iter().flat_map(Transaction::appends).find(|id| !appended.insert(*id)) {
        return Opinion::Unknown(format!("event {twice} was sent in different transactions"));
    }
    let judged = transactions.len() as u64;
    let report = adya::check(&shown(&transactions), Workload::ListAppend, &Opts::default());
    match report.valid {
        Valid::True => Opinion::Valid(judged),
        Valid::False => Opinion::Invalid(report.anomaly_types.join(", ")),
        Valid::Unknown => Opinion::Unknown(report.anomaly_types.join(", ")),
    }
}

/// An operation that took effect between two lines.
struct Transaction {
    call: u64,
    end: u64,
    steps: Vec<Micro>,
}

impl Transaction {
    fn appends(&self) -> impl Iterator<Item = EventId> {
        self.steps.iter().filter_map(|step| if let Micro::Append(_, id) = step { Some(*id) } else { None })
    }
}

/// The transactions that took effect, retries joined with what they retry.
fn transactions(lines: &[Line]) -> Vec<Transaction> {
    let mut open: BTreeMap<Op, (u64, &Vec<Micro>)> = BTreeMap::new();
    let (mut reads, mut unanswered) = (Vec::new(), Vec::new());
    let mut appends: BTreeMap<Vec<EventId>, Transaction> = BTreeMap::new();
    for line in lines {
        match &line.body {
            Body::Call { op, call: Call::Txn(steps), .. } => {
                open.insert(*op, (line.index, steps));
            }
            Body::Outcome { op, kind: Kind::Txn, outcome, .. } => {
                let Some((call, steps)) = open.remove(op) else { continue };
                let ended = Transaction { call, end: line.index, steps: steps.clone() };
                match outcome {
                    Outcome::Ok(Answer::Txn(steps)) if ended.appends().next().is_none() => {
                        reads.push(Transaction { steps: steps.clone(), ..ended });
                    }
                    Outcome::Ok(_) => join(&mut appends, ended),
                    Outcome::Fail(_) => {}
                    Outcome::Unknown(_) => unanswered.push(ended),
                }
            }
            _ => {}
        }
    }
    let never_ended =
        open.into_values().map(|(call, steps)| Transaction { call, end: 0, steps: steps.clone() });
    let resolved = Resolved::new(lines);
    for unknown in unanswered.into_iter().chain(never_ended) {
        if unknown.appends().next().is_some() && unknown.appends().all(|id| resolved.has(id)) {
            join(&mut appends, Transaction { end: u64::MAX, ..unknown });
        }
    }
    reads.into_iter().chain(appends.into_values()).collect()
}

/// Adds one attempt: the earliest call and the earliest end count.
fn join(appends: &mut BTreeMap<Vec<EventId>, Transaction>, attempt: Transaction) {
    let ids = attempt.appends().collect();
    let (call, end) = (attempt.call, attempt.end);
    let joined = appends.entry(ids).or_insert(attempt);
    (joined.call, joined.end) = (joined.call.min(call), joined.end.min(end));
}

/// The transactions as adya reads them, each with a process of its own: strict serializability asks for the order in
/// time, which includes that of processes.
fn shown(transactions: &[Transaction]) -> History {
    let mut interner = Interner::default();
    let mut ops = Vec::new();
    for (process, transaction) in (0..).zip(transactions) {
        let value: Vec<Mop> = transaction.steps.iter().map(|step| mop(step, &mut interner)).collect();
        let moments = [(transaction.call, OpType::Invoke), (transaction.end, OpType::Ok)];
        ops.extend(moments.map(|(index, kind)| {
            let (process, value) = (Some(process), value.clone());
            adya::history::Op { index, kind, process, value, time: None }
        }));
    }
    ops.sort_by_key(|op| op.index);
    History::from_ops(ops, interner)
}

fn mop(step: &Micro, interner: &mut Interner) -> Mop {
    let mut number = |number: u64| interner.intern(Scalar::Int(number as i64));
    match step {
        Micro::Append(part, id) => Mop::Append { key: number(u64::from(part.0)), value: number(id.0) },
        Micro::Read(part, ids) => {
            let key = number(u64::from(part.0));
            let ids = ids.as_deref().unwrap_or_default();
            Mop::Read { key, value: ReadValue::List(ids.iter().map(|id| number(id.0)).collect()) }
        }
    }
}
