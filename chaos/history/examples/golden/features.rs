//! S19 to S26: the past, forks, tenants, damage, indexes, audit, time.

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::Process;
use chronos_history::*;

use crate::script::*;
use crate::steps::*;

use crate::Bad;

pub(crate) const BAD: &[Bad] = &[
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
    ("S22", "delivered-bytes-belie-their-checksum", |mut s| {
        s.fill([1, 2]);
        let sub = subscribe(&mut s);
        let delivery = Delivery { bad: 1, ..s.delivery(1, 2, 1) };
        let at = s.deliver(&sub, delivery);
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
    ("S23", "vote-after-a-failed-fsync", |mut s| {
        s.fill([1]);
        let state = |term| NodeState { vote: Some((Term(term), Node(2))), term: Term(term), ..s.state() };
        let (before, after) = (state(1), state(2));
        s.node(1, Fact::Node(before));
        s.node(
            1,
            Fact::Disk(DiskError { part: P, inc: Incarnation(1), what: "fsync EIO on the vote".into() }),
        );
        let at = s.node(1, Fact::Node(after));
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
    ("S24", "index-ahead-of-everything", |mut s| {
        s.append(0, tagged(&[1], 7));
        let answer = Matches { at: Position(5), count: 1, hash: hash(s.log()), wm: Position(5) };
        let at = search(&mut s, answer);
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
    ("S25", "audit-chain-broken", |mut s| {
        s.fill([1]);
        decide(&mut s, 1);
        let decision = Some(Decision(1));
        let at = s.harness(Fact::Audit(AuditRecord { seq: 1, decision, prev: Hash(5), hash: Hash(6) }));
        (at, s.end())
    }),
    ("S25", "record-of-nothing", |mut s| {
        s.fill([1]);
        let at = s.harness(audit(1, 1));
        (at, s.end())
    }),
    ("S26", "time-back", |mut s| {
        s.fill([1, 2, 3]);
        s.log_mut()[1].at = 5;
        s.fence();
        (s.here() + 1, s.close())
    }),
];
