//! Everything there is, done right.

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::*;

use crate::script::*;
use crate::steps::*;

/// Everything there is, done right, so that each check has something to pass.
pub(crate) fn clean(mut s: Script) -> String {
    s.scope.tenant = Some(Tenant(1));
    s.scope.session = Some(Session(1));
    s.append(0, tagged(&[1, 2], 7));
    s.append(0, expecting(&[3], 1, Expect::Rev(Version(2))));
    s.append(0, Append { fail_if: Some(no_tag(2, 7)), ..batch(&[4], 2) });
    let refused = s.call(0, Call::Append(Append { fail_if: Some(no_tag(1, 7)), ..batch(&[5], 2) }));
    s.fail(0, refused, refusal(Reason::ConditionFailed));
    let refused = s.call(0, Call::Append(expecting(&[6], 1, Expect::None)));
    s.fail(0, refused, Refusal { reason: Reason::WrongVersion, rev: Some(Version(3)) });
    unknowns(&mut s);
    reads(&mut s);
    s.scope.session = None;
    facts(&mut s);
    s.scope.tenant = None;
    fork(&mut s, 4);
    s.scope.fork = Fork(1);
    s.append(0, batch(&[50], 3));
    s.strong(1);
    s.scope.fork = Fork(0);
    s.end()
}

/// An unknown append that is found, one that is not, and a retry of the first.
fn unknowns(s: &mut Script) {
    let (found, lost) = (batch(&[10, 11], 3), batch(&[12], 3));
    let ticket = s.call(1, Call::Append(found.clone()));
    let first = s.apply(&found);
    s.unknown(1, ticket);
    let ticket = s.call(1, Call::Append(lost));
    s.unknown(1, ticket);
    let ticket = s.call(1, Call::Append(found));
    s.ok(1, ticket, Answer::Append(Appended { dedup: true, ..first }));
    let mut other = batch(&[10], 3);
    other.events[0].hash = Hash(1);
    let ticket = s.call(2, Call::Append(other));
    s.fail(2, ticket, refusal(Reason::Conflict));
}

fn reads(s: &mut Script) {
    s.strong(1);
    s.read(0, Mode::Weak, |s| s.range(6, ModeName::Weak));
    s.read(2, Mode::AtLeast(Position(3)), |s| s.range(6, ModeName::AtLeast));
    let then = Then::Time(s.log()[2].at);
    s.read(2, Mode::AsOf(then), |s| s.range(3, ModeName::AsOf));
    let ticket = s.call(1, read_entity(Mode::Strong));
    let answer = s.entity(1, 3, ModeName::Strong);
    s.ok(1, ticket, Answer::Entity(answer));
    let ticket = s.call(1, read_entity(Mode::AsOf(Then::Rev(Version(2)))));
    let answer = s.entity(1, 2, ModeName::AsOf);
    s.ok(1, ticket, Answer::Entity(answer));
    let ticket = s.call(1, Call::Get(Get { id: EventId(4), mode: Mode::Strong }));
    let found = Found { part: P, at: Position(4), stream: EntityId(2), rev: Version(1), hash: Hash(4004) };
    s.ok(1, ticket, Response::from(Answer::Get(Some(found))).with_canaries(vec![Tenant(1)]));
    let ticket = s.call(1, Call::Get(Get { id: EventId(12), mode: Mode::Strong }));
    s.ok(1, ticket, Answer::Get(None));
    let filter = Filter { tags: vec![Label(7)], ..Filter::default() };
    let ticket = s.call(1, Call::Search(Search { via: "sql".into(), filter }));
    let found = hash(&s.log()[..2]);
    s.ok(1, ticket, Answer::Search(Matches { at: Position(4), count: 2, hash: found, wm: Position(6) }));
    let sub = subscribe(s);
    let deliveries = [s.delivery(1, 3, 1), s.delivery(4, 4, 1), s.delivery(4, 6, 2)];
    for delivery in deliveries {
        s.deliver(&sub, delivery);
    }
}

fn facts(s: &mut Script) {
    let state = NodeState { h_at: Some((Position(6), Hash(5))), term: Term(2), ..s.state() };
    let (leader, end) = (Role::Leader, Some(Position(6)));
    s.node(2, Fact::Node(state.clone()));
    s.node(2, Fact::Node(NodeState { inc: Incarnation(2), vote: Some((Term(3), Node(1))), ..state }));
    s.node(1, Fact::Node(NodeState { role: leader, end, ..state }));
    let digest = Digest { count: 6, first: Position(1), last: Position(6), chain: Hash(8) };
    s.node(1, Fact::Compaction(Compaction { part: P, before: digest, after: digest }));
    let file = |did| Fact::File(FileEvent { part: P, did });
    s.node(1, file(FileStep::Manifest(vec!["b".into()])));
    s.node(1, file(FileStep::Delete("a".into())));
    let (chain, dedup, streams) = (Hash(1), Hash(2), Hash(3));
    let taken = Snapshot { part: P, did: SnapshotStep::Taken, at: Position(6), chain, dedup, streams };
    s.node(1, Fact::Snapshot(taken.clone()));
    s.node(2, Fact::Snapshot(Snapshot { did: SnapshotStep::Installed, ..taken }));
    let error = DiskError { part: P, inc: Incarnation(1), what: "fsync EIO on the log".into() };
    s.node(3, Fact::Disk(error));
    let append = batch(&[20], 2);
    let ticket = s.call(0, Call::Append(append.clone()));
    let right = s.apply(&append);
    s.ok(0, ticket, Answer::Append(Appended { by: Some((Node(1), Incarnation(1))), ..right }));
    decide(s, 1);
    decide(s, 2);
    s.harness(audit(1, 1));
    s.harness(audit(2, 2));
    s.harness(Fact::Scan(Scan {
        place: "metrics".into(),
        tenant: Some(Tenant(1)),
        canaries: vec![Tenant(1)],
    }));
}
