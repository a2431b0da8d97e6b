//! The history, as it is written while things happen.

use std::io::{self, Write};
use std::sync::Arc;

use chronos_block::Block;
use chronos_client::{AppendError, Appended, Class, ReadError, Rule};
use chronos_env::Clock;
use chronos_history::answer::{Answer, Outcome, Reason, Refusal};
use chronos_history::call::Call;
use chronos_history::fact::{End, Fact, Header, Nemesis, NemesisValue, Phase};
use chronos_history::line::{Process, Scope};
use chronos_history::{Client, Op, Position, Ticket, Version, Writer, answer};
use parking_lot::Mutex;

use super::doubts::Doubts;
use super::{Origin, Tally};

/// Where the history goes.
type Sink = Box<dyn Write + Send>;

/// The one who writes. Clones write into the same history.
#[derive(Clone)]
pub(crate) struct Recorder {
    clock: Clock,
    origin: Arc<Origin>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// None once the history is finished.
    writer: Option<Writer<Sink>>,
    tally: Tally,
    doubts: Doubts,
}

impl Recorder {
    pub(crate) fn new(clock: Clock, origin: Origin, sink: Sink, header: Header) -> io::Result<Recorder> {
        let state = State {
            writer: Some(Writer::new(sink, header)?),
            tally: Tally::default(),
            doubts: Doubts::default(),
        };
        Ok(Recorder { clock, origin: Arc::new(origin), state: Arc::new(Mutex::new(state)) })
    }

    /// Where in the life of the cluster this history begins.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What was counted so far.
    pub(crate) fn tally(&self) -> Tally {
        self.state.lock().tally
    }

    pub(crate) fn client(&self) -> Client {
        self.with(|writer, _| Ok(writer.client()))
    }

    /// An operation is about to be sent.
    pub(crate) fn invoke(&self, client: &mut Client, scope: Scope, call: Call) -> Ticket {
        self.state.lock().tally.operations += 1;
        let first = match &call {
            Call::Append(append) => append.events.first().map(|event| event.id),
            _ => None,
        };
        let ticket = self.with(|writer, now| writer.invoke(client, now, scope, call));
        first.inspect(|first| self.state.lock().doubts.begin(ticket.op(), *first));
        ticket
    }

    /// An operation ended.
    pub(crate) fn end(&self, client: &mut Client, ticket: Ticket, outcome: Outcome) {
        self.state.lock().count(ticket.op(), &outcome);
        self.with(|writer, now| match outcome {
            Outcome::Ok(answer) => writer.ok(client, ticket, now, answer),
            Outcome::Fail(refusal) => writer.fail(client, ticket, now, refusal, None),
            Outcome::Unknown(why) => writer.unknown(client, ticket, now, &why),
        });
    }

    /// An append of these events ended.
    pub(crate) fn end_append(&self, client: &mut Client, ticket: Ticket, outcome: Outcome, events: &Block) {
        let is_new = matches!(&outcome, Outcome::Ok(Answer::Append(appended)) if !appended.dedup);
        if is_new {
            self.state.lock().tally.bytes += events.bytes().len() as u64;
        }
        self.end(client, ticket, outcome);
    }

    /// Something is so. What an observer says who still looks when the history is finished does not matter any more.
    pub(crate) fn fact(&self, process: Process, fact: Fact) {
        let mut state = self.state.lock();
        if let Fact::Log(chunk) = &fact {
            state.doubts.found(chunk);
        }
        let now = self.now();
        if let Some(writer) = &mut state.writer {
            writer.fact(now, process, fact).expect("the history can be written");
        }
    }

    /// A fault begins or is over.
    pub(crate) fn nemesis(&self, fault: &str, phase: Phase, value: NemesisValue) {
        let fact = Fact::Nemesis(Nemesis { fault: fault.to_owned(), phase, value });
        self.fact(Process::Named("nemesis".into()), fact);
    }

    /// Nothing comes any more.
    pub(crate) fn finish(&self, end: End) {
        let writer = {
            let mut state = self.state.lock();
            state.doubts.finish();
            state.writer.take().expect("a history ends once")
        };
        let now = self.now();
        writer.finish(now, end).and_then(|mut sink| sink.flush()).expect("the history can be written");
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.monotonic().as_nanos()).expect("a run takes less than 584 years")
    }

    /// A history with a hole proves nothing: a run that cannot write it ends.
    fn with<T>(&self, write: impl FnOnce(&mut Writer<Sink>, u64) -> io::Result<T>) -> T {
        let mut state = self.state.lock();
        let now = self.now();
        let writer = state.writer.as_mut().expect("nobody writes after the end of a history");
        write(writer, now).expect("the history can be written")
    }
}

impl State {
    fn count(&mut self, op: Op, outcome: &Outcome) {
        self.tally.count(outcome);
        self.doubts.end(op, outcome);
    }
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok(Answer::Append(appended)) => {
                self.acknowledged += appended.last.0 + 1 - appended.first.0;
            }
            Outcome::Ok(_) => self.read += 1,
            Outcome::Fail(refusal) if refusal.reason == Reason::Other(UNDONE.to_owned()) => self.undone += 1,
            Outcome::Fail(_) => self.refused += 1,
            Outcome::Unknown(_) => self.unknown += 1,
        }
    }
}

/// Nobody could do it in time, and it is certain that it was not done.
const UNDONE: &str = "unavailable";

/// How an append ended.
pub(super) fn of_append(origin: &Origin, result: &Result<Appended, AppendError>) -> Outcome {
    match result {
        Ok(appended) => Outcome::Ok(Answer::Append(answered(origin, appended))),
        Err(AppendError::Rejected(rejected)) => {
            Outcome::Fail(refusal(&rejected.rule, &rejected.failure.reason))
        }
        Err(AppendError::NotApplied(_)) => Outcome::Fail(refused(Reason::Other(UNDONE.to_owned()))),
        Err(AppendError::Unknown(not_done)) => Outcome::Unknown(not_done.failure.to_string()),
    }
}

fn answered(origin: &Origin, appended: &Appended) -> answer::Appended {
    let count = appended.versions.len() as u64;
    let first = origin.seen(appended.partition, appended.first_position);
    answer::Appended {
        first,
        last: Position((first.0 + count).saturating_sub(1)),
        rev: None,
        revs: appended.versions.iter().map(|version| Version(version.get())).collect(),
        term: None,
        wm: None,
        dedup: appended.deduplicated,
        by: None,
    }
}

fn refusal(rule: &Rule, reason: &str) -> Refusal {
    match rule {
        Rule::WrongExpectedVersion { actual, .. } => {
            Refusal { reason: Reason::WrongVersion, rev: Some(Version(actual.get())) }
        }
        Rule::ConditionFailed { .. } => refused(Reason::ConditionFailed),
        Rule::IdempotencyConflict { .. } => refused(Reason::Conflict),
        _ => refused(Reason::Other(reason.to_lowercase())),
    }
}

fn refused(reason: Reason) -> Refusal {
    Refusal { reason, rev: None }
}

/// How a read ended that gave nothing.
pub(super) fn of_read_error(error: &ReadError) -> Outcome {
    match error {
        ReadError::Corrupt(_) => Outcome::Fail(refused(Reason::Corrupt)),
        ReadError::Rejected(failure) => Outcome::Fail(refused(Reason::Other(failure.reason.to_lowercase()))),
        error if error.failure().class == Class::Unknown => Outcome::Unknown(error.to_string()),
        _ => Outcome::Fail(refused(Reason::Other(UNDONE.to_owned()))),
    }
}
