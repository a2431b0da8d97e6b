//! S1 to S10: what is in the logs and what is said about it.

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::*;

use crate::script::*;
use crate::steps::*;

use crate::Bad;

pub(crate) const BAD: &[Bad] = &[
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
    ("S2", "txn-reads-what-is-not-there", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, Call::Txn(vec![Micro::Read(P, None)]));
        let at = s.ok(1, ticket, Answer::Txn(vec![Micro::Read(P, Some(vec![EventId(2)]))]));
        (at, s.end())
    }),
    ("S2", "delivery-of-other-content", |mut s| {
        s.fill([1, 2]);
        let sub = subscribe(&mut s);
        let delivery = Delivery { hash: Hash(4), ..s.delivery(1, 2, 1) };
        let at = s.deliver(&sub, delivery);
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
    ("S3", "final-log-with-a-gap", |mut s| {
        s.fill([1, 2]);
        s.fence();
        (s.here() + 1, s.close().replacen(r#""first":1,"events""#, r#""first":2,"events""#, 1))
    }),
    ("S3", "read-begins-elsewhere", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, Call::Read(Read { from: Position(2), mode: Mode::Strong }));
        let answer = s.range(2, ModeName::Strong);
        let at = s.ok(1, ticket, Answer::Read(answer));
        (at, s.end())
    }),
    ("S3", "entity-read-begins-elsewhere", |mut s| {
        s.fill([1, 2]);
        let ticket =
            s.call(1, Call::Entity(ReadEntity { stream: EntityId(1), from: Version(2), mode: Mode::Strong }));
        let answer = s.entity(1, 2, ModeName::Strong);
        let at = s.ok(1, ticket, Answer::Entity(answer));
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
    ("S7", "two-originals", |mut s| {
        let append = batch(&[1], 1);
        let first = s.call(0, Call::Append(append.clone()));
        let second = s.call(1, Call::Append(append.clone()));
        let answer = s.apply(&append);
        s.ok(0, first, Answer::Append(answer.clone()));
        let at = s.ok(1, second, Answer::Append(answer));
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
    ("S8", "retry-claims-a-write-of-the-past", |mut s| {
        let append = batch(&[1], 1);
        let first = s.call(0, Call::Append(append.clone()));
        let answer = s.apply(&append);
        s.unknown(0, first);
        s.fill([2]);
        let retry = s.call(1, Call::Append(append));
        let at = s.ok(1, retry, Answer::Append(answer));
        (at, s.end())
    }),
    ("S8", "entity-read-before-its-append", |mut s| {
        s.fill([1]);
        let ticket = s.call(1, read_entity(Mode::Strong));
        s.apply(&batch(&[2], 1));
        let early = s.entity(1, 2, ModeName::Strong);
        s.log_mut().pop();
        let at = s.ok(1, ticket, Answer::Entity(early));
        s.fill([2]);
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
];
