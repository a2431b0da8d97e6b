//! Steps that several scripts take.

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::*;

use crate::script::*;

pub(crate) fn tagged(ids: &[u64], tag: u32) -> Append {
    let mut append = batch(ids, 1);
    append.events.iter_mut().for_each(|event| event.tags = vec![Label(tag)]);
    append
}

pub(crate) fn no_tag(after: u64, tag: u32) -> Condition {
    let filter = Filter { tags: vec![Label(tag)], ..Filter::default() };
    Condition { after: Position(after), items: vec![filter] }
}

pub(crate) fn read_entity(mode: Mode) -> Call {
    Call::Entity(ReadEntity { stream: EntityId(1), from: Version(1), mode })
}

pub(crate) fn subscribe(s: &mut Script) -> Ticket {
    s.call(2, Call::Sub(Subscribe { from: Position(1), filter: Filter::default() }))
}

pub(crate) fn fork(s: &mut Script, point: usize) -> u64 {
    let ticket = s.call(2, Call::Fork(ForkCall::Create));
    let shared = s.log()[..point].to_vec();
    s.logs.insert((Fork(1), P), shared);
    s.ok(2, ticket, Answer::Fork(Forked { fork: Fork(1), points: vec![(P, Position(point as u64))] }))
}

pub(crate) fn decide(s: &mut Script, decision: u64) -> u64 {
    let ticket = s.call(2, Call::Admin(Admin { decision: Decision(decision), action: "grant".into() }));
    s.ok(2, ticket, Answer::Admin)
}

pub(crate) fn audit(seq: u64, decision: u64) -> Fact {
    let prev = if seq == 1 { 0 } else { 9 + seq };
    let decision = Some(Decision(decision));
    Fact::Audit(AuditRecord { seq, decision, prev: Hash(prev), hash: Hash(10 + seq) })
}

pub(crate) fn search(s: &mut Script, answer: Matches) -> u64 {
    let filter = Filter { tags: vec![Label(7)], ..Filter::default() };
    let ticket = s.call(1, Call::Search(Search { via: "search".into(), filter }));
    s.ok(1, ticket, Answer::Search(answer))
}
