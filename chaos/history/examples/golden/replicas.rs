//! S15 to S18: what nodes do among themselves.

use chronos_history::fact::*;
use chronos_history::*;

use crate::script::*;

use crate::Bad;

pub(crate) const BAD: &[Bad] = &[
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
    ("S16", "committed-falls-in-one-life", |mut s| {
        s.fill([1, 2]);
        let (high, one) = (s.state(), Position(1));
        s.node(1, Fact::Node(NodeState { wm: one, applied: one, ..high }));
        let at = s.node(1, Fact::Node(NodeState { committed: one, wm: one, applied: one, ..high }));
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
];
