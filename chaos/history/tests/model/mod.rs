//! A small store that keeps every promise, several clients at once, and what they record.
//!
//! Clients take turns at random: one sends, its request takes effect some turns later (or never, or long after the
//! client gave up), its answer comes some turns after that. So operations overlap, outcomes get lost, retries meet
//! their originals.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(dead_code, reason = "each of its users needs another part of it")]

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::{Process, Scope};
use chronos_history::*;

mod store;

use store::Store;

/// What to generate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub seed: u64,
    pub operations: u64,
    pub partitions: u32,
    pub clients: usize,
    /// Writes appends and whole reads a second time, as `txn` lines.
    pub for_referees: bool,
    /// What the store lies about, once, half way through.
    pub lie: Option<Lie>,
}

/// A promise that the store breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It acknowledges what it does not store.
    LostAck,
    /// It serves a strong read from before an acknowledged append.
    StaleRead,
    /// It acknowledges positions one too low.
    WrongPosition,
}

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ z >> 31) * u128::from(bound)) >> 64) as u64
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone)]
struct Job {
    scope: Scope,
    call: Call,
}

enum Doing {
    Nothing,
    Sent(Pending),
    Done(Pending, Outcome),
}

struct Pending {
    job: Job,
    ticket: Ticket,
    twin: Option<Ticket>,
    /// What had been acknowledged of its partition when it was sent.
    acked: u64,
}

struct Actor {
    client: Client,
    twin: Client,
    doing: Doing,
    retry: Option<Job>,
    /// What its session has been shown of each partition.
    shown: Vec<u64>,
}

pub struct Model<W> {
    plan: Plan,
    /// The highest position acknowledged of each partition.
    acked: Vec<u64>,
    lines: u64,
    lied: Option<u64>,
    lie_next: Option<Lie>,
    writer: Writer<W>,
    dice: Dice,
    store: Store,
    actors: Vec<Actor>,
    /// Appends that clients gave up on and that may take effect yet.
    limbo: Vec<Job>,
    time: u64,
    next_id: u64,
}

/// A clean history.
pub fn history(plan: Plan) -> String {
    lying_history(plan).0
}

/// A history, and on which line the lie is told if one is.
pub fn lying_history(plan: Plan) -> (String, Option<u64>) {
    let (text, lied) = write(plan, Vec::new());
    (String::from_utf8(text).unwrap(), lied)
}

pub fn write<W: std::io::Write>(plan: Plan, out: W) -> (W, Option<u64>) {
    let nodes = vec![Node(1), Node(2), Node(3)];
    let header = Header { v: 1, seed: plan.seed, partitions: plan.partitions, nodes, ..Header::default() };
    let mut writer = Writer::new(out, header).unwrap();
    let mut actor = || Actor {
        client: writer.client(),
        twin: writer.client(),
        doing: Doing::Nothing,
        retry: None,
        shown: vec![0; plan.partitions as usize],
    };
    let actors = (0..plan.clients).map(|_| actor()).collect();
    let (dice, store) = (Dice::new(plan.seed), Store::new(plan.partitions));
    let acked = vec![0; plan.partitions as usize];
    let (limbo, lines, lied) = (Vec::new(), 1, None);
    let mut model = Model {
        plan,
        acked,
        lines,
        lied,
        lie_next: None,
        writer,
        dice,
        store,
        actors,
        limbo,
        time: 0,
        next_id: 1,
    };
    model.run();
    let lied = model.lied;
    (model.close(), lied)
}

impl<W: std::io::Write> Model<W> {
    fn run(&mut self) {
        let mut sent = 0;
        while sent < self.plan.operations {
            let who = self.dice.below(self.actors.len() as u64) as usize;
            sent += u64::from(matches!(self.actors[who].doing, Doing::Nothing));
            self.step(who);
            if sent == self.plan.operations / 2 && self.lied.is_none() {
                self.lie_next = self.plan.lie;
            }
            if self.dice.one_in(50) && !self.limbo.is_empty() {
                let late = self.limbo.swap_remove(0);
                self.store.perform(&late.scope, &late.call, &mut self.dice, 0);
            }
            if self.dice.one_in(300) {
                self.report();
            }
        }
        for who in 0..self.actors.len() {
            while !matches!(self.actors[who].doing, Doing::Nothing) {
                self.step(who);
            }
        }
    }

    fn step(&mut self, who: usize) {
        self.time += 1 + self.dice.below(1000);
        match std::mem::replace(&mut self.actors[who].doing, Doing::Nothing) {
            Doing::Nothing => {
                let job = self.actors[who].retry.take().unwrap_or_else(|| self.invent(who));
                self.send(who, job);
            }
            Doing::Sent(pending) if self.dice.one_in(40) => {
                self.limbo.extend(matches!(pending.job.call, Call::Append(_)).then(|| pending.job.clone()));
                self.give_up(who, pending);
            }
            Doing::Sent(pending) if self.may_lie(&pending) => self.lie(who, pending),
            Doing::Sent(pending) => {
                let least = pending.job.scope.session.map_or(0, |_| self.shown(who, &pending.job));
                let outcome =
                    self.store.perform(&pending.job.scope, &pending.job.call, &mut self.dice, least);
                self.actors[who].doing = Doing::Done(pending, outcome);
            }
            Doing::Done(pending, _) if self.dice.one_in(40) => self.give_up(who, pending),
            Doing::Done(pending, outcome) => self.end(who, pending, outcome),
        }
    }

    fn may_lie(&self, pending: &Pending) -> bool {
        let part = pending.job.scope.part.unwrap_or_default();
        match (self.lie_next, &pending.job.call) {
            (Some(Lie::StaleRead), Call::Read(Read { from: Position(1), mode: Mode::Strong })) => {
                pending.acked > 0
            }
            (Some(Lie::LostAck), Call::Append(append)) => {
                let comes_late = self.limbo.iter().any(|job| job.call == pending.job.call);
                !self.store.knows(append) && !comes_late
            }
            (Some(Lie::WrongPosition), Call::Append(append)) => {
                append.expects.is_empty() && self.store.head(part) > 0 && !self.store.knows(append)
            }
            _ => false,
        }
    }

    /// Tells the lie, and at once, so that nothing hides it.
    fn lie(&mut self, who: usize, pending: Pending) {
        let (scope, call) = (pending.job.scope, pending.job.call.clone());
        let outcome = match self.lie_next.take() {
            Some(Lie::StaleRead) => self.store.stale(scope.part.unwrap_or_default(), pending.acked),
            Some(Lie::LostAck) => self.store.lose(&scope, &call),
            _ => self.store.misplace(&scope, &call, &mut self.dice),
        };
        if matches!(outcome, Outcome::Ok(_)) {
            self.lied = Some(self.lines);
        } else {
            self.lie_next = self.plan.lie;
        }
        self.end(who, pending, outcome);
    }

    fn shown(&self, who: usize, job: &Job) -> u64 {
        self.actors[who].shown[job.scope.part.unwrap_or_default().0 as usize]
    }

    fn send(&mut self, who: usize, job: Job) {
        let actor = &mut self.actors[who];
        let ticket = self.writer.invoke(&mut actor.client, self.time, job.scope, job.call.clone()).unwrap();
        let twin =
            if self.plan.for_referees { as_txn(&job.call, job.scope.part.unwrap_or_default()) } else { None };
        let twin = twin.map(|call| self.writer.invoke(&mut actor.twin, self.time, job.scope, call).unwrap());
        self.lines += 1 + u64::from(twin.is_some());
        let acked = self.acked[job.scope.part.unwrap_or_default().0 as usize];
        actor.doing = Doing::Sent(Pending { job, ticket, twin, acked });
    }

    fn give_up(&mut self, who: usize, pending: Pending) {
        let again = self.dice.one_in(2) && matches!(pending.job.call, Call::Append(_));
        let actor = &mut self.actors[who];
        self.writer.unknown(&mut actor.client, pending.ticket, self.time, "deadline").unwrap();
        self.lines += 1 + u64::from(pending.twin.is_some());
        if let Some(twin) = pending.twin {
            self.writer.unknown(&mut actor.twin, twin, self.time, "deadline").unwrap();
        }
        actor.retry = again.then_some(pending.job);
    }

    fn end(&mut self, who: usize, pending: Pending, outcome: Outcome) {
        let Pending { job, ticket, twin, .. } = pending;
        self.lines += 1 + u64::from(twin.is_some());
        let actor = &mut self.actors[who];
        let part = job.scope.part.unwrap_or_default().0 as usize;
        if let (Outcome::Ok(Answer::Append(answer)), None | Some(Lie::StaleRead)) = (&outcome, self.plan.lie)
        {
            self.acked[part] = self.acked[part].max(answer.last.0);
        }
        if job.scope.session.is_some() {
            actor.shown[part] = actor.shown[part].max(self.store.shown(&job.scope, &job.call, &outcome));
        }
        let steps = twin.as_ref().map(|_| self.store.steps(&job.scope, &job.call, &outcome));
        match outcome {
            Outcome::Ok(answer) => {
                self.writer.ok(&mut actor.client, ticket, self.time, answer).unwrap();
                if let (Some(twin), Some(steps)) = (twin, steps) {
                    self.writer.ok(&mut actor.twin, twin, self.time, Answer::Txn(steps)).unwrap();
                }
            }
            Outcome::Fail(refusal) => {
                self.writer.fail(&mut actor.client, ticket, self.time, refusal.clone(), None).unwrap();
                if let Some(twin) = twin {
                    self.writer.fail(&mut actor.twin, twin, self.time, refusal, None).unwrap();
                }
            }
            Outcome::Unknown(_) => unreachable!("the store always knows"),
        }
    }

    fn invent(&mut self, who: usize) -> Job {
        let part = Partition(self.dice.below(u64::from(self.plan.partitions)) as u32);
        let session = self.dice.one_in(2).then_some(Session(who as u32));
        let scope = Scope { part: Some(part), node: Some(Node(1)), session, ..Scope::default() };
        let head = self.store.head(part);
        let entity = EntityId(u64::from(part.0) * 100 + self.dice.below(8));
        let mode = match self.dice.below(6) {
            0 => Mode::AsOf(Then::Pos(Position(self.store.some_end(part, &mut self.dice)))),
            1 => Mode::AsOf(Then::Time(self.store.some_time(part, &mut self.dice))),
            2 => Mode::AtLeast(Position(self.store.some_end(part, &mut self.dice))),
            3 => Mode::Weak,
            _ => Mode::Strong,
        };
        let call = match self.dice.below(10) {
            0..=5 => Call::Append(self.some_append(part, entity)),
            6 => Call::Entity(ReadEntity { stream: entity, from: Version(1), mode }),
            7 => {
                let id = EventId(1 + self.dice.below(self.next_id));
                Call::Get(Get { id, mode: Mode::Strong })
            }
            8 if self.plan.for_referees => Call::Read(Read { from: Position(1), mode: Mode::Strong }),
            8 => Call::Read(Read { from: Position(head.saturating_sub(self.dice.below(8)).max(1)), mode }),
            _ => Call::Read(Read { from: Position(1), mode }),
        };
        let scope =
            if matches!(call, Call::Get(_)) { Scope { part: None, session: None, ..scope } } else { scope };
        Job { scope, call }
    }

    fn some_append(&mut self, part: Partition, entity: EntityId) -> Append {
        let count = 1 + self.dice.below(4) * self.dice.below(2);
        let mut events = Vec::new();
        for _ in 0..count {
            let other = EntityId(u64::from(part.0) * 100 + self.dice.below(8));
            let entity = if self.dice.one_in(8) { other } else { entity };
            let (id, hash) = (EventId(self.next_id), Hash(self.next_id * 7919));
            self.next_id += 1;
            events.push(Event { id, entity, hash, ..Event::default() });
        }
        let version = self.store.version(part, entity);
        let expect = match self.dice.below(8) {
            0..=3 => return Append { events, ..Append::default() },
            4 => Expect::Exists,
            5 => Expect::Rev(Version(version + 1)),
            6 if version == 0 => Expect::None,
            _ => Expect::Rev(Version(version)),
        };
        Append { events, expects: vec![(entity, expect)], ..Append::default() }
    }

    fn report(&mut self) {
        let part = Partition(self.dice.below(u64::from(self.plan.partitions)) as u32);
        let (head, node) = (Position(self.store.head(part)), 1 + self.dice.below(3) as u32);
        let h_at = Some((head, self.store.prefix(part, head.0)));
        let marks = NodeState { committed: head, applied: head, wm: head, h_at, ..NodeState::default() };
        let state = NodeState { part, inc: Incarnation(1), term: Term(1), ..marks };
        self.writer.fact(self.time, Process::Node(Node(node)), Fact::Node(state)).unwrap();
        self.lines += 1;
    }

    fn close(mut self) -> W {
        for part in (0..self.plan.partitions).map(Partition) {
            self.fence(part);
        }
        let mut replicas = Vec::new();
        for part in (0..self.plan.partitions).map(Partition) {
            let nodes = vec![Node(1), Node(2), Node(3)];
            for node in &nodes {
                self.dump(part, *node);
            }
            replicas.push((part, nodes));
        }
        self.writer.finish(self.time, End { replicas, ..End::default() }).unwrap()
    }

    fn fence(&mut self, part: Partition) {
        let scope = Scope { part: Some(part), ..Scope::default() };
        let everything = Call::Read(Read { from: Position(1), mode: Mode::Strong });
        let (id, entity) = (EventId(self.next_id), EntityId(u64::from(part.0) * 100 + 99));
        self.next_id += 1;
        let event = Event { id, entity, ..Event::default() };
        let fence = Call::Append(Append { events: vec![event], fence: true, ..Append::default() });
        for call in [everything, fence] {
            self.send(0, Job { scope, call });
            let Doing::Sent(pending) = std::mem::replace(&mut self.actors[0].doing, Doing::Nothing) else {
                unreachable!("it was sent just now")
            };
            let outcome = self.store.perform(&scope, &pending.job.call, &mut self.dice, 0);
            self.end(0, pending, outcome);
        }
    }

    fn dump(&mut self, part: Partition, node: Node) {
        let log = self.store.log(part).to_vec();
        let mut first = 1;
        for events in log.chunks(1000) {
            let chunk =
                LogChunk { part, first: Position(first), events: events.to_vec(), ..LogChunk::default() };
            first += events.len() as u64;
            self.writer.fact(self.time, Process::Node(node), Fact::Log(chunk)).unwrap();
        }
    }
}

/// An append or a read of everything, as a list-append checker has it.
fn as_txn(call: &Call, part: Partition) -> Option<Call> {
    match call {
        Call::Append(append) => {
            Some(Call::Txn(append.events.iter().map(|event| Micro::Append(part, event.id)).collect()))
        }
        Call::Read(Read { from: Position(1), mode: Mode::Strong }) => {
            Some(Call::Txn(vec![Micro::Read(part, None)]))
        }
        _ => None,
    }
}
