//! Writing a history while it happens.
//!
//! ```text
//!  client ── invoke ──▶ Ticket ──┬── ok / fail ──▶ the client goes on under its number
//!                                └── unknown ────▶ the client goes on under a new number
//! ```
//!
//! Invariants: every line has the next index; times never decrease; a call's line is written before the ticket exists,
//! so before the request can be sent; an operation ends at most once, since ending it consumes its ticket; a process
//! number has one operation at a time and is never used again once an outcome is unknown.

use std::io::{self, Write};

use crate::answer::{Answer, Delivery, Outcome, Refusal};
use crate::call::Call;
use crate::fact::{End, Fact, Header};
use crate::line::{Body, Kind, Line, Process, Scope};
use crate::{Op, Tenant};

/// The one writer of a history. Put a lock around it if several threads or tasks write.
///
/// All times are nanoseconds since the run began on one monotonic clock, which the caller reads while it holds the
/// writer.
pub struct Writer<W> {
    out: W,
    index: u64,
    time: u64,
    processes: u64,
    ops: u64,
}

/// Somebody who does one operation after another. Somebody who does several at a time is several.
#[derive(Debug)]
pub struct Client {
    process: u64,
    busy: bool,
}

/// An operation under way. Dropping it leaves the operation without an outcome, which is judged as unknown.
#[derive(Debug)]
#[must_use = "an operation that nobody ends counts as one whose outcome is unknown"]
pub struct Ticket {
    op: Op,
    process: u64,
    kind: Kind,
    scope: Scope,
}

impl Ticket {
    /// The number of the operation.
    pub fn op(&self) -> Op {
        self.op
    }
}

/// An answer and what the harness found in its bytes.
#[derive(Clone, Debug)]
pub struct Response {
    answer: Answer,
    canaries: Option<Vec<Tenant>>,
}

impl Response {
    /// Says whose canaries were in the bytes of the response.
    pub fn with_canaries(mut self, canaries: Vec<Tenant>) -> Response {
        self.canaries = Some(canaries);
        self
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Response {
        Response { answer, canaries: None }
    }
}

impl<W: Write> Writer<W> {
    /// Begins a history with its header.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(out: W, header: Header) -> io::Result<Writer<W>> {
        let mut writer = Writer { out, index: 0, time: 0, processes: 0, ops: 0 };
        writer.fact(0, Process::Named("header".into()), Fact::Header(header))?;
        Ok(writer)
    }

    /// A new client.
    pub fn client(&mut self) -> Client {
        Client { process: self.next_process(), busy: false }
    }

    /// Writes that an operation is about to be sent. Send it after this has returned.
    ///
    /// A client whose last operation has not ended (its ticket was dropped) goes on under a new number.
    ///
    /// # Errors
    /// What `out` says; then do not send.
    pub fn invoke(&mut self, client: &mut Client, time: u64, scope: Scope, call: Call) -> io::Result<Ticket> {
        if client.busy {
            client.process = self.next_process();
        }
        client.busy = true;
        self.ops += 1;
        let ticket = Ticket { op: Op(self.ops), process: client.process, kind: call.kind(), scope };
        let body = Body::Call { op: ticket.op, scope, call };
        self.line(time, Process::Client(ticket.process), body, scope)?;
        Ok(ticket)
    }

    /// Writes an answer.
    ///
    /// # Errors
    /// What `out` says.
    ///
    /// # Panics
    /// If the answer is not to this kind of call, or the ticket is another client's.
    pub fn ok(
        &mut self,
        client: &mut Client,
        ticket: Ticket,
        time: u64,
        response: impl Into<Response>,
    ) -> io::Result<()> {
        let Response { answer, canaries } = response.into();
        assert_eq!(answer.kind(), ticket.kind, "the answer to operation {} is of another kind", ticket.op);
        self.end(client, &ticket, time, Outcome::Ok(answer), canaries)
    }

    /// Writes that an operation was refused and will never take effect. When in doubt, it is [`Writer::unknown`].
    ///
    /// # Errors
    /// What `out` says.
    ///
    /// # Panics
    /// If the ticket is another client's.
    pub fn fail(
        &mut self,
        client: &mut Client,
        ticket: Ticket,
        time: u64,
        refusal: Refusal,
        canaries: Option<Vec<Tenant>>,
    ) -> io::Result<()> {
        self.end(client, &ticket, time, Outcome::Fail(refusal), canaries)
    }

    /// Writes that an operation may have taken effect or still may.
    ///
    /// # Errors
    /// What `out` says.
    ///
    /// # Panics
    /// If the ticket is another client's.
    pub fn unknown(&mut self, client: &mut Client, ticket: Ticket, time: u64, why: &str) -> io::Result<()> {
        self.end(client, &ticket, time, Outcome::Unknown(why.into()), None)?;
        client.process = self.next_process();
        Ok(())
    }

    /// Writes a delivery of a subscription, which goes on.
    ///
    /// # Errors
    /// What `out` says.
    pub fn delivered(
        &mut self,
        ticket: &Ticket,
        time: u64,
        delivery: Delivery,
        canaries: Option<Vec<Tenant>>,
    ) -> io::Result<()> {
        self.outcome(ticket, time, Outcome::Ok(Answer::Sub(delivery)), canaries)
    }

    /// Writes something that is no operation.
    ///
    /// # Errors
    /// What `out` says.
    pub fn fact(&mut self, time: u64, process: Process, fact: Fact) -> io::Result<()> {
        self.line(time, process, Body::Fact(fact), Scope::default())
    }

    /// Ends the history, after the final logs.
    ///
    /// # Errors
    /// What `out` says.
    pub fn finish(mut self, time: u64, end: End) -> io::Result<W> {
        self.fact(time, Process::Named("harness".into()), Fact::End(end))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end(
        &mut self,
        client: &mut Client,
        ticket: &Ticket,
        time: u64,
        outcome: Outcome,
        canaries: Option<Vec<Tenant>>,
    ) -> io::Result<()> {
        assert_eq!(client.process, ticket.process, "operation {} is not this client's last", ticket.op);
        client.busy = false;
        self.outcome(ticket, time, outcome, canaries)
    }

    fn outcome(
        &mut self,
        ticket: &Ticket,
        time: u64,
        outcome: Outcome,
        canaries: Option<Vec<Tenant>>,
    ) -> io::Result<()> {
        let body = Body::Outcome { op: ticket.op, kind: ticket.kind, outcome, canaries };
        self.line(time, Process::Client(ticket.process), body, ticket.scope)
    }

    fn line(&mut self, time: u64, process: Process, body: Body, scope: Scope) -> io::Result<()> {
        self.time = self.time.max(time);
        let line = Line { index: self.index, time: self.time, process, body };
        self.index += 1;
        line.write(scope, &mut self.out)
    }

    fn next_process(&mut self) -> u64 {
        self.processes += 1;
        self.processes - 1
    }
}
