//! Every kind of line, written and read.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::{Body, Kind, Line, Process, Scope};
use chronos_history::*;

const RUN: &str = include_str!("../golden/vocabulary.jsonl");

fn calls() -> Vec<(Call, Answer)> {
    let event = |id, entity| Event {
        id: EventId(id),
        entity: EntityId(entity),
        hash: Hash(id * 3),
        ..Event::default()
    };
    let tagged = Event { kind: Label(4), tags: vec![Label(1), Label(2)], ..event(553, 901) };
    let filter = Filter { types: vec![Label(4)], tags: vec![Label(1)], streams: vec![EntityId(901)] };
    let appended = |first, last| Appended {
        first: Position(first),
        last: Position(last),
        rev: None,
        revs: Vec::new(),
        term: Some(Term(4)),
        wm: Some(Position(last)),
        dedup: false,
        by: Some((Node(2), Incarnation(3))),
    };
    let single = Append {
        events: vec![event(551, 901), event(552, 901)],
        expects: vec![(EntityId(901), Expect::Rev(Version(12)))],
        ..Append::default()
    };
    let several = Append {
        events: vec![tagged, event(554, 902)],
        expects: vec![(EntityId(902), Expect::None), (EntityId(77), Expect::Exists)],
        fail_if: Some(Condition { after: Position(9), items: vec![filter.clone()] }),
        fence: true,
    };
    let range = Range {
        from: Position(1),
        last: Position(102),
        tail: Position(102),
        count: 102,
        hash: Hash(0xabc),
        wm: Position(101),
        mode: ModeName::Strong,
        term: Some(Term(4)),
        bad: 1,
    };
    let entity = EntityRange {
        from: Version(1),
        last: Version(3),
        rev: Version(3),
        count: 3,
        hash: Hash(9),
        wm: Some(Position(8)),
        mode: ModeName::AsOf,
        bad: 0,
    };
    let found = Found {
        part: Partition(5),
        at: Position(100),
        stream: EntityId(901),
        rev: Version(12),
        hash: Hash(0x9f),
    };
    let delivery = Delivery {
        from: Position(100),
        to: Position(140),
        count: 41,
        hash: Hash(5),
        marker: true,
        conn: 2,
        bad: 0,
    };
    let matches = Matches { at: Position(140), count: 4, hash: Hash(5), wm: Position(141) };
    let txn = vec![Micro::Append(Partition(5), EventId(551)), Micro::Read(Partition(5), None)];
    let read = vec![
        Micro::Append(Partition(5), EventId(551)),
        Micro::Read(Partition(5), Some(vec![EventId(550), EventId(551)])),
    ];
    let with_rev = Appended { rev: Some(Version(14)), ..appended(100, 101) };
    let with_revs = Appended { revs: vec![Version(15), Version(1)], dedup: true, ..appended(102, 103) };
    let entity_call = |mode| Call::Entity(ReadEntity { stream: EntityId(901), from: Version(1), mode });
    let read_call = |mode| Call::Read(Read { from: Position(1), mode });
    vec![
        (Call::Append(single), Answer::Append(with_rev)),
        (Call::Append(several), Answer::Append(with_revs)),
        (read_call(Mode::Strong), Answer::Read(range.clone())),
        (
            read_call(Mode::AtLeast(Position(7))),
            Answer::Read(Range { mode: ModeName::AtLeast, ..range.clone() }),
        ),
        (read_call(Mode::AsOf(Then::Pos(Position(7)))), Answer::Read(range)),
        (entity_call(Mode::AsOf(Then::Rev(Version(3)))), Answer::Entity(entity.clone())),
        (entity_call(Mode::AsOf(Then::Time(-5))), Answer::Entity(entity)),
        (Call::Get(Get { id: EventId(551), mode: Mode::Weak }), Answer::Get(Some(found))),
        (Call::Get(Get { id: EventId(1 << 53), mode: Mode::Strong }), Answer::Get(None)),
        (Call::Sub(Subscribe { from: Position(100), filter: filter.clone() }), Answer::Sub(delivery)),
        (Call::Search(Search { via: "sql".into(), filter }), Answer::Search(matches)),
        (
            Call::Fork(ForkCall::Create),
            Answer::Fork(Forked { fork: Fork(7), points: vec![(Partition(5), Position(100))] }),
        ),
        (Call::Fork(ForkCall::Drop(Fork(7))), Answer::Fork(Forked::default())),
        (Call::Admin(Admin { decision: Decision(3), action: "add-node".into() }), Answer::Admin),
        (Call::Txn(txn), Answer::Txn(read)),
    ]
}

fn facts() -> Vec<Fact> {
    let digest = Digest { count: 64, first: Position(1), last: Position(64), chain: Hash(7) };
    let snapshot = Snapshot {
        part: Partition(5),
        did: SnapshotStep::Installed,
        at: Position(64),
        chain: Hash(7),
        dedup: Hash(8),
        streams: Hash(u64::MAX),
    };
    let event = Logged {
        id: EventId(551),
        entity: EntityId(901),
        version: Version(13),
        hash: Hash(0x9f),
        at: 1_700_000_000_000_000,
        tenant: Tenant(1),
    };
    let nemesis = NemesisValue {
        kind: "oneway".into(),
        nodes: vec![Node(1)],
        from: Some(Node(1)),
        to: vec![Node(2)],
        args: [("ms".to_string(), "50".to_string())].into(),
    };
    let state = NodeState {
        part: Partition(5),
        inc: Incarnation(3),
        role: Role::Leader,
        vote: Some((Term(4), Node(1))),
        end: Some(Position(103)),
        h_at: Some((Position(101), Hash(1))),
        ..NodeState::default()
    };
    let disk = DiskError { part: Partition(5), inc: Incarnation(3), what: "fsync EIO on the log".into() };
    vec![
        Fact::Node(state),
        Fact::Compaction(Compaction { part: Partition(5), before: digest, after: digest }),
        Fact::Snapshot(snapshot),
        Fact::File(FileEvent { part: Partition(5), did: FileStep::Manifest(vec!["a".into()]) }),
        Fact::File(FileEvent { part: Partition(5), did: FileStep::Delete("b".into()) }),
        Fact::Disk(disk),
        Fact::Nemesis(Nemesis { fault: "partition".into(), phase: Phase::Start, value: nemesis }),
        Fact::Nemesis(Nemesis {
            fault: "heal-all".into(),
            phase: Phase::End,
            value: NemesisValue::default(),
        }),
        Fact::Audit(AuditRecord { seq: 1, decision: Some(Decision(3)), prev: Hash(0), hash: Hash(6) }),
        Fact::Scan(Scan { place: "n1 log".into(), tenant: None, canaries: vec![Tenant(1)] }),
        Fact::Log(LogChunk {
            part: Partition(5),
            fork: Fork(7),
            first: Position(1),
            events: vec![event, event],
        }),
    ]
}

fn write_everything() -> String {
    let header = Header { v: 1, partitions: 32, nodes: vec![Node(1), Node(2)], ..Header::default() };
    let mut writer = Writer::new(Vec::new(), header).unwrap();
    let mut client = writer.client();
    let scope = Scope {
        part: Some(Partition(5)),
        fork: Fork(2),
        node: Some(Node(2)),
        session: Some(Session(3)),
        tenant: Some(Tenant(1)),
    };
    for (time, (call, answer)) in (1..).zip(calls()) {
        let ticket = writer.invoke(&mut client, time, scope, call).unwrap();
        writer.ok(&mut client, ticket, time, Response::from(answer).with_canaries(vec![Tenant(1)])).unwrap();
    }
    let admin = || Call::Admin(Admin { decision: Decision(4), action: "drop".into() });
    let refusal = Refusal { reason: Reason::WrongVersion, rev: Some(Version(9)) };
    let ticket = writer.invoke(&mut client, 20, Scope::default(), admin()).unwrap();
    writer.fail(&mut client, ticket, 21, refusal, None).unwrap();
    let ticket = writer.invoke(&mut client, 22, Scope::default(), admin()).unwrap();
    writer.unknown(&mut client, ticket, 23, "deadline").unwrap();
    drop(writer.invoke(&mut client, 24, Scope::default(), admin()).unwrap());
    drop(writer.invoke(&mut client, 25, Scope::default(), admin()).unwrap());
    for fact in facts() {
        writer.fact(30, Process::Node(Node(1)), fact).unwrap();
    }
    let end = End { replicas: vec![(Partition(5), vec![Node(1), Node(2)])], ..End::default() };
    String::from_utf8(writer.finish(31, end).unwrap()).unwrap()
}

#[test]
fn everything_written_is_read_back() {
    let text = write_everything();
    let lines = read_from(Path::new("memory"), text.as_bytes()).unwrap();
    let mut bodies = lines.iter().map(|line| &line.body);
    assert!(matches!(bodies.next(), Some(Body::Fact(Fact::Header(header))) if header.partitions == 32));
    for (call, answer) in calls() {
        let Some(Body::Call { scope, call: read, .. }) = bodies.next() else { panic!("no call") };
        assert_eq!((*read).clone(), call);
        assert_eq!(scope.session, Some(Session(3)));
        let Some(Body::Outcome { outcome, canaries, .. }) = bodies.next() else { panic!("no outcome") };
        assert_eq!(*outcome, Outcome::Ok(answer));
        assert_eq!(*canaries, Some(vec![Tenant(1)]));
    }
    let read: Vec<Fact> = bodies
        .filter_map(|body| if let Body::Fact(fact) = body { Some(fact.clone()) } else { None })
        .collect();
    assert_eq!(read[..read.len() - 1], facts());
}

#[test]
fn the_format_has_not_changed() {
    assert_eq!(write_everything(), RUN, "a changed format is another version with a golden file of its own");
}

#[test]
fn a_process_number_is_not_used_again_after_an_unknown_outcome_or_none() {
    let text = write_everything();
    let lines = read_from(Path::new("memory"), text.as_bytes()).unwrap();
    let mut of_calls: Vec<u64> = Vec::new();
    for line in &lines {
        if let (Process::Client(process), Body::Call { .. }) = (&line.process, &line.body) {
            of_calls.push(*process);
        }
    }
    assert_eq!(of_calls[of_calls.len() - 4..], [0, 0, 1, 2]);
}

#[test]
fn the_lines_of_the_specification_are_lines() {
    let call = r#"{"index":1,"type":"invoke","process":3,"time":120034,"f":"append","op":17,"part":5,"node":"n2","session":"s3","value":{"stream":901,"ids":[551,552],"hashes":["9f","a1"],"expect":{"rev":12}}}"#;
    let ok = r#"{"index":2,"type":"ok","process":3,"time":125990,"f":"append","op":17,"part":5,"value":{"first":100,"last":101,"rev":14,"term":4,"wm":101,"dedup":false}}"#;
    let info =
        r#"{"index":3,"type":"info","process":4,"time":7,"f":"append","op":18,"part":5,"error":"deadline"}"#;
    let fail = r#"{"index":4,"type":"fail","process":6,"time":8,"f":"append","op":19,"error":"wrong-expected-version"}"#;
    let Body::Call { call: Call::Append(append), .. } = Line::parse(call).unwrap().body else {
        panic!("{call}")
    };
    assert_eq!(append.expects, [(EntityId(901), Expect::Rev(Version(12)))]);
    let Body::Outcome { outcome: Outcome::Ok(Answer::Append(answer)), .. } = Line::parse(ok).unwrap().body
    else {
        panic!("{ok}")
    };
    assert_eq!([answer.version(0), answer.version(1)], [Some(Version(13)), Some(Version(14))]);
    assert!(matches!(
        Line::parse(info).unwrap().body,
        Body::Outcome { kind: Kind::Append, outcome: Outcome::Unknown(_), .. }
    ));
    let Body::Outcome { outcome: Outcome::Fail(refusal), .. } = Line::parse(fail).unwrap().body else {
        panic!("{fail}")
    };
    assert_eq!(refusal, Refusal { reason: Reason::WrongVersion, rev: None });
}

#[test]
fn a_misspelt_field_and_an_unknown_kind_are_refused() {
    let misspelt = r#"{"index":1,"type":"ok","process":3,"time":1,"f":"append","op":1,"value":{"first":1,"last":1,"ref":1,"dedup":false}}"#;
    assert!(Line::parse(misspelt).unwrap_err().to_string().contains("unknown field `ref`"));
    let unknown = r#"{"index":1,"type":"ok","process":3,"time":1,"f":"apend","op":1,"value":{}}"#;
    let error = Line::parse(unknown).unwrap_err().to_string();
    assert_eq!(error, r#"no line of chronos-history/1 has type "ok" with f "apend""#);
}
