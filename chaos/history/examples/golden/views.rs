//! S11 to S14: what readers are shown.

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::*;

use crate::script::*;
use crate::steps::*;

use crate::Bad;

pub(crate) const BAD: &[Bad] = &[
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
    ("S11", "acknowledged-above-the-watermark", |mut s| {
        s.fill([1]);
        let append = batch(&[2], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let right = s.apply(&append);
        let at = s.ok(0, ticket, Answer::Append(Appended { wm: Some(Position(1)), ..right }));
        (at, s.end())
    }),
    ("S11", "watermark-of-a-read-above-everything", |mut s| {
        s.fill([1]);
        let at = s.read(1, Mode::Weak, |s| Range { wm: Position(9), ..s.range(1, ModeName::Weak) });
        (at, s.end())
    }),
    ("S11", "watermark-of-a-node-above-everything", |mut s| {
        s.fill([1]);
        let state = NodeState { committed: Position(9), applied: Position(9), wm: Position(9), ..s.state() };
        let at = s.node(1, Fact::Node(state));
        (at, s.end())
    }),
    ("S11", "entity-read-above-the-watermark", |mut s| {
        s.fill([1, 2]);
        let ticket = s.call(1, read_entity(Mode::Strong));
        let answer = EntityRange { wm: Some(Position(1)), ..s.entity(1, 2, ModeName::Strong) };
        let at = s.ok(1, ticket, Answer::Entity(answer));
        (at, s.end())
    }),
    ("S11", "index-above-the-watermark", |mut s| {
        s.append(0, tagged(&[1], 7));
        let answer = Matches { at: Position(1), count: 1, hash: hash(s.log()), wm: Position(0) };
        let at = search(&mut s, answer);
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
        s.strong(1);
        (at, s.end())
    }),
    ("S13", "watermark-of-a-read-splits-a-batch", |mut s| {
        let append = batch(&[1, 2, 3], 1);
        let ticket = s.call(0, Call::Append(append.clone()));
        let answer = s.apply(&append);
        let at = s.read(1, Mode::Weak, |s| Range { wm: Position(2), ..s.range(0, ModeName::Weak) });
        s.ok(0, ticket, Answer::Append(answer));
        (at, s.end())
    }),
    ("S13", "watermark-of-a-node-splits-a-batch", |mut s| {
        s.append(0, batch(&[1, 2, 3], 1));
        let state = NodeState { wm: Position(2), ..s.state() };
        let at = s.node(1, Fact::Node(state));
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
    ("S14", "delivered-before-it-was-sent", |mut s| {
        s.fill([1]);
        let sub = subscribe(&mut s);
        s.apply(&batch(&[2], 1));
        let early = s.delivery(1, 2, 1);
        s.log_mut().pop();
        let at = s.deliver(&sub, early);
        s.fill([2]);
        (at, s.end())
    }),
];
