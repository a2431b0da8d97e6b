//! Writes small histories: a store that is right, of one node's worth, and clients that may lie about it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(dead_code, reason = "each of its users needs another part of it")]

use std::collections::BTreeMap;

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::{Process, Scope};
use chronos_history::*;

pub const P: Partition = Partition(0);

/// A history in the making. Times go up by a microsecond a line.
pub struct Script {
    writer: Writer<Vec<u8>>,
    clients: Vec<Client>,
    lines: u64,
    /// What the store holds; change it to make the store lie.
    pub logs: BTreeMap<(Fork, Partition), Vec<Logged>>,
    /// What a replica holds instead.
    pub replicas: BTreeMap<(Node, Partition), Vec<Logged>>,
    pub scope: Scope,
    next_fence: u64,
}

pub fn event(id: u64, entity: u64) -> Event {
    Event { id: EventId(id), entity: EntityId(entity), hash: Hash(id * 1001), ..Event::default() }
}

pub fn batch(ids: &[u64], entity: u64) -> Append {
    Append { events: ids.iter().map(|id| event(*id, entity)).collect(), ..Append::default() }
}

pub fn expecting(ids: &[u64], entity: u64, expect: Expect) -> Append {
    Append { expects: vec![(EntityId(entity), expect)], ..batch(ids, entity) }
}

pub fn word(event: &Logged) -> Word {
    Word::new(event.id, event.entity, event.version, event.tenant, event.hash)
}

pub fn hash<'a>(events: impl IntoIterator<Item = &'a Logged>) -> Hash {
    let mut hash = RangeHash::EMPTY;
    events.into_iter().for_each(|event| hash.push(word(event)));
    hash.get()
}

pub fn refusal(reason: Reason) -> Refusal {
    Refusal { reason, rev: None }
}

impl Script {
    pub fn new() -> Script {
        Script::with(Header::default())
    }

    /// Of a run in which bytes were harmed of which no good copy may be left.
    pub fn beyond_the_atlas() -> Script {
        Script::with(Header { beyond_atlas: true, ..Header::default() })
    }

    fn with(header: Header) -> Script {
        let nodes = vec![Node(1), Node(2), Node(3)];
        let header =
            Header { v: 1, run: "golden".into(), mode: "sim".into(), partitions: 1, nodes, ..header };
        let mut writer = Writer::new(Vec::new(), header).unwrap();
        let clients = (0..4).map(|_| writer.client()).collect();
        let scope = Scope { part: Some(P), node: Some(Node(1)), ..Scope::default() };
        let (logs, replicas) = ([((Fork(0), P), Vec::new())].into(), BTreeMap::new());
        Script { writer, clients, lines: 1, logs, replicas, scope, next_fence: 9001 }
    }

    /// Index of the line written last.
    pub fn here(&self) -> u64 {
        self.lines - 1
    }

    fn time(&mut self) -> u64 {
        self.lines += 1;
        self.lines * 1000
    }

    pub fn log(&self) -> &Vec<Logged> {
        &self.logs[&(self.scope.fork, self.scope.part.unwrap())]
    }

    pub fn log_mut(&mut self) -> &mut Vec<Logged> {
        self.logs.entry((self.scope.fork, self.scope.part.unwrap())).or_default()
    }

    pub fn call(&mut self, client: usize, call: Call) -> Ticket {
        let time = self.time();
        self.writer.invoke(&mut self.clients[client], time, self.scope, call).unwrap()
    }

    pub fn ok(&mut self, client: usize, ticket: Ticket, answer: impl Into<Response>) -> u64 {
        let time = self.time();
        self.writer.ok(&mut self.clients[client], ticket, time, answer).unwrap();
        self.here()
    }

    pub fn fail(&mut self, client: usize, ticket: Ticket, refusal: Refusal) -> u64 {
        let time = self.time();
        self.writer.fail(&mut self.clients[client], ticket, time, refusal, None).unwrap();
        self.here()
    }

    pub fn unknown(&mut self, client: usize, ticket: Ticket) {
        let time = self.time();
        self.writer.unknown(&mut self.clients[client], ticket, time, "deadline").unwrap();
    }

    pub fn deliver(&mut self, ticket: &Ticket, delivery: Delivery) -> u64 {
        let time = self.time();
        self.writer.delivered(ticket, time, delivery, None).unwrap();
        self.here()
    }

    pub fn fact(&mut self, process: Process, fact: Fact) -> u64 {
        let time = self.time();
        self.writer.fact(time, process, fact).unwrap();
        self.here()
    }

    pub fn node(&mut self, node: u32, fact: Fact) -> u64 {
        self.fact(Process::Node(Node(node)), fact)
    }

    pub fn harness(&mut self, fact: Fact) -> u64 {
        self.fact(Process::Named("harness".into()), fact)
    }

    /// What a right store does with an append, and answers.
    pub fn apply(&mut self, append: &Append) -> Appended {
        let (tenant, at) = (self.scope.tenant.unwrap_or_default(), 1_000_000 + self.lines as i64);
        let log = self.log_mut();
        let first = Position(log.len() as u64 + 1);
        let mut revs = Vec::new();
        for event in &append.events {
            let of_entity = |logged: &&Logged| (logged.entity, logged.tenant) == (event.entity, tenant);
            let version = Version(log.iter().filter(of_entity).count() as u64 + 1);
            revs.push(version);
            log.push(Logged { id: event.id, entity: event.entity, version, hash: event.hash, at, tenant });
        }
        let last = Position(log.len() as u64);
        Appended { first, last, rev: None, revs, term: None, wm: Some(last), dedup: false, by: None }
    }

    pub fn append(&mut self, client: usize, append: Append) -> Appended {
        let ticket = self.call(client, Call::Append(append.clone()));
        let answer = self.apply(&append);
        self.ok(client, ticket, Answer::Append(answer.clone()));
        answer
    }

    /// Appends events one by one, each acknowledged.
    pub fn fill(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.append(0, batch(&[id], 1));
        }
    }

    /// The right answer to a read of everything up to a position.
    pub fn range(&self, to: u64, mode: ModeName) -> Range {
        let seen = |logged: &&Logged| self.scope.tenant.is_none_or(|tenant| tenant == logged.tenant);
        let events: Vec<&Logged> = self.log().iter().take(to as usize).filter(seen).collect();
        let (count, hash) = (events.len() as u64, hash(events));
        let (to, wm) = (Position(to), Position(self.log().len() as u64));
        Range { from: Position(1), last: to, tail: to, count, hash, wm, mode, term: None, bad: 0 }
    }

    pub fn read(&mut self, client: usize, mode: Mode, answer: impl FnOnce(&Script) -> Range) -> u64 {
        let ticket = self.call(client, Call::Read(Read { from: Position(1), mode }));
        let answer = answer(self);
        self.ok(client, ticket, Answer::Read(answer))
    }

    pub fn strong(&mut self, client: usize) -> u64 {
        self.read(client, Mode::Strong, |script| script.range(script.log().len() as u64, ModeName::Strong))
    }

    /// The right answer to a read of an entity when it had this version.
    pub fn entity(&self, entity: u64, rev: u64, mode: ModeName) -> EntityRange {
        let tenant = self.scope.tenant.unwrap_or_default();
        let of_entity =
            |e: &&Logged| (e.entity, e.tenant) == (EntityId(entity), tenant) && e.version.0 <= rev;
        let hash = hash(self.log().iter().filter(of_entity));
        let (from, rev) = (Version(1), Version(rev));
        EntityRange { from, last: rev, rev, count: rev.0, hash, wm: None, mode, bad: 0 }
    }

    /// The right delivery of these positions.
    pub fn delivery(&self, from: u64, to: u64, conn: u32) -> Delivery {
        let events = &self.log()[from as usize - 1..to as usize];
        let (count, hash) = (events.len() as u64, hash(events));
        Delivery { from: Position(from), to: Position(to), count, hash, marker: false, conn, bad: 0 }
    }

    pub fn state(&self) -> NodeState {
        let head = Position(self.log().len() as u64);
        NodeState {
            part: P,
            inc: Incarnation(1),
            committed: head,
            applied: head,
            wm: head,
            ..NodeState::default()
        }
    }

    /// Fences every log.
    pub fn fence(&mut self) {
        let scope = self.scope;
        let names: Vec<(Fork, Partition)> = self.logs.keys().copied().collect();
        for (fork, part) in names {
            self.scope = Scope { fork, part: Some(part), session: None, tenant: None, ..scope };
            let fence = Append { fence: true, ..batch(&[self.next_fence], 9000 + u64::from(part.0)) };
            self.next_fence += 1;
            self.append(3, fence);
        }
        self.scope = scope;
    }

    /// Writes the final logs and the end.
    pub fn close(mut self) -> String {
        let logs = std::mem::take(&mut self.logs);
        for ((fork, part), events) in &logs {
            for node in [Node(1), Node(2), Node(3)] {
                let other = self.replicas.get(&(node, *part)).filter(|_| *fork == Fork(0));
                let events = other.unwrap_or(events).clone();
                let chunk = LogChunk { part: *part, fork: *fork, first: Position(1), events };
                self.node(node.0, Fact::Log(chunk));
            }
        }
        let parts = logs.keys().filter(|(fork, _)| *fork == Fork(0));
        let replicas = parts.map(|(_, part)| (*part, vec![Node(1), Node(2), Node(3)])).collect();
        let time = self.time();
        String::from_utf8(self.writer.finish(time, End { replicas, ..End::default() }).unwrap()).unwrap()
    }

    /// Ends without a final log: nobody serves the partition any more.
    pub fn end_unserved(mut self) -> String {
        let time = self.time();
        let unserved = vec![(P, "every replica is damaged".to_owned())];
        String::from_utf8(self.writer.finish(time, End { unserved, ..End::default() }).unwrap()).unwrap()
    }

    /// Fences, then closes.
    pub fn end(mut self) -> String {
        self.fence();
        self.close()
    }
}
