//! Writes the golden histories: one clean, and many that break one promise each.
//!
//! A file's name says which invariant is broken and on which line that shows: `S1-lost-ack@6.jsonl`. The files are
//! kept and judged by a test; this program is how they came to be, and how more are added.

#![expect(clippy::unwrap_used, reason = "a program for developers")]

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::Process;
use chronos_history::*;

#[allow(unreachable_pub, reason = "shared with tests")]
#[path = "../tests/script/mod.rs"]
mod script;

#[allow(unreachable_pub, reason = "shared with tests")]
#[path = "../tests/model/mod.rs"]
mod model;

use model::{Lie, Plan, lying_history};
use script::*;

/// Which invariant, what breaks it, and a script that does. The script ends by itself and says on which line it shows.
type Bad = (&'static str, &'static str, fn(Script) -> (u64, String));

const BAD: &[Bad] = &[
    ("S1", "lost-ack", |mut s| {
        s.fill([1, 2]);
        s.append(0, batch(&[3], 1));
        let at = s.here();
        s.log_mut().pop();
        (at, s.end())
    }),
    ("S1", "found-then-lost", |mut s| {
        s.fill([1]);
        let lost = s.call(0, Call::Append(batch(&[2], 1)));
        let get = s.call(1, Call::Get(Get { id: EventId(2), mode: Mode::Weak }));
        let found =
            Found { part: P, at: Position(2), stream: EntityId(1), rev: Version(2), hash: Hash(2002) };
        let at = s.ok(1, get, Answer::Get(Some(found)));
        s.unknown(0, lost);
        (at, s.end())
    }),
    ("S2", "wrong-position", |mut s| {
        s.fill([1, 2]);
        let append = batch(&[3], 2);
        let ticket = s.call(0, Call::Append(append.clone()));
        let right = s.apply(&append);
        let at = s.ok(0, ticket, Answer::Append(Appended { first: Position(2), last: Position(2), ..right }));
        (at, s.end())
    }),
    ("S2", "read-of-other-content", |mut s| {
        s.fill([1, 2, 3]);
        let at = s.read(1, Mode::Strong, |s| {
            let mut events = s.log().clone();
            events[1].hash = Hash(77);
            Range { hash: hash(&events), ..s.range(3, ModeName::Strong) }
        });
        (at, s.end())
    }),
    ("S2", "swapped-positions", |mut s| {
        s.fill([1, 2, 3]);
        let at = s.read(1, Mode::Weak, |s| {
            let mut events = s.log().clone();
            events.swap(1, 2);
            Range { hash: hash(&events), ..s.range(3, ModeName::Weak) }
        });
        (at, s.end())
    }),
    ("S2", "got-with-other-content", |mut s| {
        s.fill([1, 2]);
        let get = s.call(1, Call::Get(Get { id: EventId(2), mode: Mode::Strong }));
        let found = Found { part: P, at: Position(2), stream: EntityId(1), rev: Version(2), hash: Hash(1) };
        let at = s.ok(1, get, Answer::Get(Some(found)));
        (at, s.end())
    }),
    ("S3", "ack-with-a-gap", |mut s| {
        s.fill([1]);
        let append = batch(&[2, 3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let right = s.apply(&append);
        let at = s.ok(0, ticket, Answer::Append(Appended { last: Position(4), ..right }));
        (at, s.end())
    }),
    ("S3", "read-with-a-gap", |mut s| {
        s.fill([1, 2, 3]);
        let at = s.read(1, Mode::Strong, |s| {
            let mut events = s.log().clone();
            events.remove(1);
            Range { hash: hash(&events), count: 2, ..s.range(3, ModeName::Strong) }
        });
        (at, s.end())
    }),
    ("S4", "never-sent", |mut s| {
        s.fill([1]);
        s.apply(&batch(&[66], 2));
        s.fill([2]);
        s.strong(1);
        s.fence();
        (s.here() + 1, s.close())
    }),
    ("S4", "other-content-than-sent", |mut s| {
        s.fill([1]);
        let append = batch(&[2], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        s.apply(&append);
        s.log_mut()[1].hash = Hash(5);
        s.unknown(0, ticket);
        s.fence();
        (s.here() + 1, s.close())
    }),
    ("S4", "seen-before-it-was-sent", |mut s| {
        s.fill([1]);
        let ticket = s.call(1, Call::Read(Read { from: Position(1), mode: Mode::Weak }));
        s.apply(&batch(&[2], 1));
        let early = Range { wm: Position(1), ..s.range(2, ModeName::Weak) };
        s.log_mut().pop();
        let at = s.ok(1, ticket, Answer::Read(Range { wm: Position(2), ..early }));
        s.fill([2]);
        (at, s.end())
    }),
    ("S5", "risen-failure", |mut s| {
        s.fill([1]);
        let append = batch(&[2], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        s.apply(&append);
        let at = s.fail(0, ticket, refusal(Reason::Other("quota".into())));
        (at, s.end())
    }),
    ("S6", "twice-in-the-log", |mut s| {
        s.fill([1, 2]);
        s.apply(&batch(&[2], 1));
        let retry = s.call(1, Call::Append(batch(&[2], 1)));
        s.unknown(1, retry);
        s.fence();
        (s.here() + 1, s.close())
    }),
    ("S7", "retry-with-another-answer", |mut s| {
        s.fill([1, 2, 3]);
        let first = s.append(0, batch(&[4], 2));
        let ticket = s.call(1, Call::Append(batch(&[4], 2)));
        let other = Appended { first: Position(3), last: Position(3), dedup: true, ..first };
        let at = s.ok(1, ticket, Answer::Append(other));
        (at, s.end())
    }),
    ("S7", "other-content-accepted", |mut s| {
        let first = s.append(0, batch(&[1], 1));
        let mut other = batch(&[1], 1);
        other.events[0].hash = Hash(3);
        let ticket = s.call(1, Call::Append(other));
        let at = s.ok(1, ticket, Answer::Append(Appended { dedup: true, ..first }));
        (at, s.end())
    }),
    ("S7", "same-content-refused", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, Call::Append(batch(&[2], 1)));
        let at = s.fail(1, ticket, refusal(Reason::Conflict));
        (at, s.end())
    }),
    ("S7", "conflict-with-nothing", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, Call::Append(batch(&[3], 1)));
        let at = s.fail(1, ticket, refusal(Reason::Conflict));
        (at, s.end())
    }),
    ("S8", "stale-read", |mut s| {
        s.fill([1, 2, 3]);
        let at = s.read(1, Mode::Strong, |s| s.range(2, ModeName::Strong));
        (at, s.end())
    }),
    ("S8", "stale-read-after-read", |mut s| {
        let ticket = s.call(0, Call::Append(batch(&[1], 1)));
        let answer = s.apply(&batch(&[1], 1));
        s.strong(1);
        let at = s.read(2, Mode::Strong, |s| s.range(0, ModeName::Strong));
        s.ok(0, ticket, Answer::Append(answer));
        (at, s.end())
    }),
    ("S8", "write-into-the-past", |mut s| {
        let early = s.call(0, Call::Append(batch(&[1], 1)));
        let late = batch(&[2], 2);
        s.apply(&late);
        let answer = s.apply(&batch(&[1], 1));
        let at = s.ok(0, early, Answer::Append(answer));
        let ticket = s.call(1, Call::Append(late));
        s.unknown(1, ticket);
        (at, s.end())
    }),
    ("S8", "entity-read-behind-its-append", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, read_entity(Mode::Strong));
        let stale = s.entity(1, 1, ModeName::Strong);
        let at = s.ok(1, ticket, Answer::Entity(stale));
        (at, s.end())
    }),
    ("S8", "acked-event-not-found", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, Call::Get(Get { id: EventId(1), mode: Mode::Strong }));
        let at = s.ok(1, ticket, Answer::Get(None));
        (at, s.end())
    }),
    ("S9", "wrong-version-accepted", |mut s| {
        s.fill([1, 2]);
        s.append(0, expecting(&[3], 1, Expect::Rev(Version(1))));
        (s.here(), s.end())
    }),
    ("S9", "right-version-refused", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(0, Call::Append(expecting(&[3], 1, Expect::Rev(Version(2)))));
        let at = s.fail(0, ticket, refusal(Reason::WrongVersion));
        (at, s.end())
    }),
    ("S9", "second-creation-accepted", |mut s| {
        s.fill([1]);
        let append = expecting(&[2], 1, Expect::None);
        let ticket = s.call(0, Call::Append(append.clone()));
        let at = s.here();
        s.apply(&append);
        s.unknown(0, ticket);
        (at, s.end())
    }),
    ("S9", "condition-ignored", |mut s| {
        s.append(0, tagged(&[1], 7));
        s.append(0, Append { fail_if: Some(no_tag(0, 7)), ..batch(&[2], 2) });
        (s.here(), s.end())
    }),
    ("S9", "condition-invented", |mut s| {
        s.append(0, tagged(&[1], 7));
        let ticket = s.call(0, Call::Append(Append { fail_if: Some(no_tag(1, 7)), ..batch(&[2], 2) }));
        let at = s.fail(0, ticket, refusal(Reason::ConditionFailed));
        (at, s.end())
    }),
    ("S10", "version-skipped", |mut s| {
        s.fill([1, 2]);
        let append = batch(&[3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        s.apply(&append);
        s.log_mut()[2].version = Version(4);
        s.unknown(0, ticket);
        s.fence();
        (s.here() + 1, s.close())
    }),
    ("S10", "wrong-version-in-the-ack", |mut s| {
        s.fill([1, 2]);
        let append = batch(&[3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let right = s.apply(&append);
        let at = s.ok(0, ticket, Answer::Append(Appended { revs: vec![Version(2)], ..right }));
        (at, s.end())
    }),
    ("S11", "returned-above-the-watermark", |mut s| {
        s.fill([1, 2, 3]);
        let at = s.read(1, Mode::Weak, |s| Range { wm: Position(2), ..s.range(3, ModeName::Weak) });
        (at, s.end())
    }),
    ("S11", "watermark-back", |mut s| {
        s.fill([1, 2, 3]);
        let state = s.state();
        s.node(2, Fact::Node(state.clone()));
        let restarted = NodeState { inc: Incarnation(2), wm: Position(2), ..state };
        let at = s.node(2, Fact::Node(restarted));
        (at, s.end())
    }),
    ("S11", "watermark-above-the-committed", |mut s| {
        s.fill([1, 2, 3]);
        let state = NodeState { committed: Position(2), applied: Position(2), ..s.state() };
        let at = s.node(2, Fact::Node(state));
        (at, s.end())
    }),
    ("S12", "read-not-ones-write", |mut s| {
        s.scope.session = Some(Session(1));
        s.fill([1, 2]);
        let at = s.read(0, Mode::Weak, |s| s.range(1, ModeName::Weak));
        (at, s.end())
    }),
    ("S12", "monotonic-read-broken", |mut s| {
        s.fill([1, 2]);
        s.scope.session = Some(Session(1));
        s.read(1, Mode::Weak, |s| s.range(2, ModeName::Weak));
        let at = s.read(1, Mode::Weak, |s| s.range(1, ModeName::Weak));
        (at, s.end())
    }),
    ("S12", "token-ignored", |mut s| {
        s.fill([1, 2]);
        let at = s.read(1, Mode::AtLeast(Position(2)), |s| s.range(1, ModeName::AtLeast));
        (at, s.end())
    }),
    ("S13", "read-splits-a-batch", |mut s| {
        let append = batch(&[1, 2, 3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let answer = s.apply(&append);
        let at = s.read(1, Mode::Strong, |s| s.range(2, ModeName::Strong));
        s.ok(0, ticket, Answer::Append(answer));
        (at, s.end())
    }),
    ("S13", "torn-batch", |mut s| {
        let append = batch(&[1, 2, 3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let at = s.here();
        s.apply(&append);
        s.log_mut().pop();
        s.unknown(0, ticket);
        (at, s.end())
    }),
    ("S14", "gap-at-a-reconnect", |mut s| {
        s.fill(1..=6);
        let sub = subscribe(&mut s);
        let (first, second) = (s.delivery(1, 3, 1), s.delivery(5, 6, 2));
        s.deliver(&sub, first);
        let at = s.deliver(&sub, second);
        (at, s.end())
    }),
    ("S14", "twice-on-a-connection", |mut s| {
        s.fill(1..=6);
        let sub = subscribe(&mut s);
        let (first, second) = (s.delivery(1, 3, 1), s.delivery(3, 6, 1));
        s.deliver(&sub, first);
        let at = s.deliver(&sub, second);
        (at, s.end())
    }),
    ("S14", "caught-up-too-early", |mut s| {
        s.fill(1..=6);
        let sub = subscribe(&mut s);
        let delivery = Delivery { to: Position(6), marker: true, ..s.delivery(1, 4, 1) };
        let at = s.deliver(&sub, delivery);
        (at, s.end())
    }),
    ("S15", "chains-differ", |mut s| {
        s.fill([1, 2]);
        let state = |hash| NodeState { h_at: Some((Position(2), Hash(hash))), ..s.state() };
        let (mine, theirs) = (state(1), state(2));
        s.node(1, Fact::Node(mine));
        let at = s.node(2, Fact::Node(theirs));
        (at, s.end())
    }),
    ("S15", "final-logs-differ", |mut s| {
        s.fill([1, 2]);
        s.fence();
        let mut other = s.log().clone();
        other[1].hash = Hash(5);
        s.replicas.insert((Node(3), P), other);
        (s.here() + 3, s.close())
    }),
    ("S15", "replica-too-short", |mut s| {
        s.fill([1, 2]);
        s.fence();
        let mut other = s.log().clone();
        other.pop();
        s.replicas.insert((Node(2), P), other);
        (s.here() + 2, s.close())
    }),
    ("S16", "two-leaders", |mut s| {
        s.fill([1]);
        let leader = NodeState { role: Role::Leader, term: Term(4), ..s.state() };
        s.node(1, Fact::Node(leader.clone()));
        let at = s.node(2, Fact::Node(leader));
        (at, s.end())
    }),
    ("S16", "term-back", |mut s| {
        s.fill([1]);
        let state = |term| NodeState { term: Term(term), ..s.state() };
        let (new, old) = (state(4), state(3));
        s.node(1, Fact::Node(new));
        let at = s.node(1, Fact::Node(old));
        (at, s.end())
    }),
    ("S16", "two-votes", |mut s| {
        s.fill([1]);
        let state = |node| NodeState { vote: Some((Term(4), Node(node))), term: Term(4), ..s.state() };
        let (one, other) = (state(1), state(2));
        s.node(3, Fact::Node(one));
        let at = s.node(3, Fact::Node(other));
        (at, s.end())
    }),
    ("S16", "leader-lacks-what-was-committed", |mut s| {
        s.fill([1, 2]);
        let follower = NodeState { term: Term(3), ..s.state() };
        s.node(2, Fact::Node(follower));
        let one = Position(1);
        let marks = NodeState { committed: one, applied: one, wm: one, end: Some(one), ..s.state() };
        let at = s.node(1, Fact::Node(NodeState { role: Role::Leader, term: Term(4), ..marks }));
        (at, s.end())
    }),
    ("S16", "purged-beyond-the-snapshot", |mut s| {
        s.fill([1, 2, 3]);
        let state = NodeState { snap: Position(1), purged: Position(2), ..s.state() };
        let at = s.node(1, Fact::Node(state));
        (at, s.end())
    }),
    ("S17", "compaction-loses-an-event", |mut s| {
        s.fill([1, 2, 3]);
        let before = Digest { count: 3, first: Position(1), last: Position(3), chain: Hash(8) };
        let after = Digest { count: 2, ..before };
        let at = s.node(1, Fact::Compaction(Compaction { part: P, before, after }));
        (at, s.end())
    }),
    ("S17", "deleted-before-the-manifest", |mut s| {
        s.fill([1]);
        let file = |did| Fact::File(FileEvent { part: P, did });
        s.node(1, file(FileStep::Manifest(vec!["a".into(), "b".into()])));
        let at = s.node(1, file(FileStep::Delete("a".into())));
        s.node(1, file(FileStep::Manifest(vec!["c".into()])));
        (at, s.end())
    }),
    ("S18", "snapshot-without-the-ids", |mut s| {
        s.fill([1, 2]);
        let taken = Snapshot {
            part: P,
            did: SnapshotStep::Taken,
            at: Position(2),
            chain: Hash(1),
            dedup: Hash(2),
            streams: Hash(3),
        };
        s.node(1, Fact::Snapshot(taken.clone()));
        let installed = Snapshot { did: SnapshotStep::Installed, dedup: Hash(0), ..taken };
        let at = s.node(2, Fact::Snapshot(installed));
        (at, s.end())
    }),
    ("S19", "the-past-has-changed", |mut s| {
        s.fill([1, 2, 3, 4]);
        let then = Then::Time(s.log()[2].at);
        s.read(1, Mode::AsOf(then), |s| s.range(3, ModeName::AsOf));
        let at = s.read(1, Mode::AsOf(then), |s| s.range(2, ModeName::AsOf));
        (at, s.end())
    }),
    ("S19", "entity-as-of-a-position", |mut s| {
        s.fill([1, 2, 3]);
        let ticket = s.call(1, read_entity(Mode::AsOf(Then::Pos(Position(2)))));
        let wrong = s.entity(1, 3, ModeName::AsOf);
        let at = s.ok(1, ticket, Answer::Entity(wrong));
        (at, s.end())
    }),
    ("S20", "fork-writes-into-its-parent", |mut s| {
        s.fill([1, 2]);
        fork(&mut s, 2);
        let append = batch(&[3], 1);
        s.scope.fork = Fork(1);
        let ticket = s.call(0, Call::Append(append.clone()));
        s.scope.fork = Fork(0);
        s.apply(&append);
        s.unknown(0, ticket);
        s.fence();
        (s.here() + 1, s.close())
    }),
    ("S20", "fork-with-another-past", |mut s| {
        s.fill([1, 2]);
        let at = fork(&mut s, 2);
        s.logs.get_mut(&(Fork(1), P)).unwrap()[1].hash = Hash(5);
        (at, s.end())
    }),
    ("S21", "foreign-canary-in-a-response", |mut s| {
        s.scope.tenant = Some(Tenant(1));
        s.fill([1]);
        let ticket = s.call(1, Call::Read(Read { from: Position(1), mode: Mode::Strong }));
        let answer = Answer::Read(s.range(1, ModeName::Strong));
        let at = s.ok(1, ticket, Response::from(answer).with_canaries(vec![Tenant(1), Tenant(2)]));
        (at, s.end())
    }),
    ("S21", "canary-in-the-node-log", |mut s| {
        s.fill([1]);
        let scan = Scan { place: "n1 log".into(), tenant: None, canaries: vec![Tenant(1)] };
        let at = s.harness(Fact::Scan(scan));
        (at, s.end())
    }),
    ("S22", "bytes-belie-their-checksum", |mut s| {
        s.fill([1, 2]);
        let at = s.read(1, Mode::Weak, |s| Range { bad: 1, hash: Hash(4), ..s.range(2, ModeName::Weak) });
        (at, s.end())
    }),
    ("S22", "rotten-node-omits-silently", |mut s| {
        s.fill([1, 2, 3]);
        let value = NemesisValue { kind: "bit-rot".into(), nodes: vec![Node(1)], ..NemesisValue::default() };
        let fault = Nemesis { fault: Nemesis::DAMAGE.into(), phase: Phase::Start, value };
        s.fact(Process::Named("nemesis".into()), Fact::Nemesis(fault));
        let at = s.read(1, Mode::Weak, |s| Range { count: 2, ..s.range(3, ModeName::Weak) });
        (at, s.end())
    }),
    ("S23", "ack-after-a-failed-fsync", |mut s| {
        s.fill([1]);
        let error = DiskError { part: P, inc: Incarnation(1), what: "fsync EIO on the log".into() };
        s.node(1, Fact::Disk(error));
        let append = batch(&[2], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let right = s.apply(&append);
        let at = s.ok(0, ticket, Answer::Append(Appended { by: Some((Node(1), Incarnation(1))), ..right }));
        (at, s.end())
    }),
    ("S24", "search-misses-an-event", |mut s| {
        s.append(0, tagged(&[1], 7));
        s.fill([2]);
        s.append(0, tagged(&[3], 7));
        let filter = Filter { tags: vec![Label(7)], ..Filter::default() };
        let ticket = s.call(1, Call::Search(Search { via: "search".into(), filter }));
        let answer = Matches { at: Position(3), count: 1, hash: hash(&s.log()[..1]), wm: Position(3) };
        let at = s.ok(1, ticket, Answer::Search(answer));
        (at, s.end())
    }),
    ("S25", "decision-without-a-record", |mut s| {
        s.fill([1]);
        decide(&mut s, 1);
        let at = decide(&mut s, 2);
        s.harness(audit(1, 1));
        (at, s.end())
    }),
    ("S25", "gap-in-the-audit-log", |mut s| {
        s.fill([1]);
        decide(&mut s, 1);
        decide(&mut s, 2);
        s.harness(audit(1, 1));
        let at = s.harness(Fact::Audit(AuditRecord {
            seq: 3,
            decision: Some(Decision(2)),
            prev: Hash(11),
            hash: Hash(13),
        }));
        (at, s.end())
    }),
    ("S26", "time-back", |mut s| {
        s.fill([1, 2, 3]);
        s.log_mut()[1].at = 5;
        s.fence();
        (s.here() + 1, s.close())
    }),
];

fn tagged(ids: &[u64], tag: u32) -> Append {
    let mut append = batch(ids, 1);
    append.events.iter_mut().for_each(|event| event.tags = vec![Label(tag)]);
    append
}

fn no_tag(after: u64, tag: u32) -> Condition {
    let filter = Filter { tags: vec![Label(tag)], ..Filter::default() };
    Condition { after: Position(after), items: vec![filter] }
}

fn read_entity(mode: Mode) -> Call {
    Call::Entity(ReadEntity { stream: EntityId(1), from: Version(1), mode })
}

fn subscribe(s: &mut Script) -> Ticket {
    s.call(2, Call::Sub(Subscribe { from: Position(1), filter: Filter::default() }))
}

fn fork(s: &mut Script, point: usize) -> u64 {
    let ticket = s.call(2, Call::Fork(ForkCall::Create));
    let shared = s.log()[..point].to_vec();
    s.logs.insert((Fork(1), P), shared);
    s.ok(2, ticket, Answer::Fork(Forked { fork: Fork(1), points: vec![(P, Position(point as u64))] }))
}

fn decide(s: &mut Script, decision: u64) -> u64 {
    let ticket = s.call(2, Call::Admin(Admin { decision: Decision(decision), action: "grant".into() }));
    s.ok(2, ticket, Answer::Admin)
}

fn audit(seq: u64, decision: u64) -> Fact {
    let prev = if seq == 1 { 0 } else { 9 + seq };
    let decision = Some(Decision(decision));
    Fact::Audit(AuditRecord { seq, decision, prev: Hash(prev), hash: Hash(10 + seq) })
}

/// Everything there is, done right, so that each check has something to pass.
fn clean(mut s: Script) -> String {
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

/// The three lies of a store with several clients at work, on one partition and on eight.
fn lies() -> impl Iterator<Item = (String, String)> {
    let lies = [
        (Lie::LostAck, "S1-lying-store-loses-an-ack"),
        (Lie::StaleRead, "S8-lying-store-reads-stale"),
        (Lie::WrongPosition, "S2-lying-store-misplaces"),
    ];
    let plans = lies.into_iter().flat_map(|lie| [(lie, 1), (lie, 8)]);
    plans.map(|((lie, name), partitions)| {
        let plan = Plan { operations: 80, clients: 5, partitions, lie: Some(lie), ..Plan::default() };
        let mut told = (0..).map(|seed| lying_history(Plan { seed, ..plan }));
        let (text, at) = told.find_map(|(text, at)| Some((text, at?))).unwrap();
        (format!("{name}-{partitions}@{at}"), text)
    })
}

fn main() -> std::io::Result<()> {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, text) in lies() {
        std::fs::write(golden.join(format!("bad/{name}.jsonl")), text)?;
    }
    for (invariant, name, script) in BAD {
        let (at, text) = script(Script::new());
        std::fs::write(golden.join(format!("bad/{invariant}-{name}@{at}.jsonl")), text)?;
    }
    std::fs::write(golden.join("clean/everything.jsonl"), clean(Script::new()))
}
