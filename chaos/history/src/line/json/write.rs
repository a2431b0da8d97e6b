//! A line into JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{GetValue, RefusalValue, Type};
use crate::answer::{Answer, Outcome};
use crate::call::Call;
use crate::fact::{Fact, Nemesis, Phase};
use crate::line::{Body, Kind, Line, Process, Scope};
use crate::{Fork, Node, Op, Partition, Session, Tenant};

#[derive(Serialize)]
struct Written<'a, V> {
    index: u64,
    r#type: Type,
    process: &'a Process,
    time: u64,
    f: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<Op>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Partition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fork: Option<Fork>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canaries: Option<&'a [Tenant]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<V>,
}

impl Serialize for Process {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Process::Client(number) => to.serialize_u64(*number),
            Process::Node(node) => node.serialize(to),
            Process::Named(name) => to.serialize_str(name),
        }
    }
}

impl Line {
    /// Writes the line with its end. `scope` is that of the operation's call, for lines of outcomes.
    ///
    /// # Errors
    /// What the writer says.
    pub(crate) fn write(&self, scope: Scope, to: &mut impl Write) -> io::Result<()> {
        match &self.body {
            Body::Call { op, scope, call } => self.write_call(*op, *scope, call, to),
            Body::Outcome { op, kind, outcome, canaries } => {
                let head =
                    Head { op: Some(*op), scope: Scope { session: None, node: None, ..scope }, canaries };
                self.write_outcome(&head, *kind, outcome, to)
            }
            Body::Fact(fact) => self.write_fact(fact, to),
        }
    }

    fn write_call(&self, op: Op, scope: Scope, call: &Call, to: &mut impl Write) -> io::Result<()> {
        let head = Head { op: Some(op), scope, canaries: &None };
        let mut put =
            Put { line: self, head: &head, r#type: Type::Invoke, f: call.kind().as_str(), error: None, to };
        match call {
            Call::Append(value) => put.value(value),
            Call::Read(value) => put.value(value),
            Call::Entity(value) => put.value(value),
            Call::Get(value) => put.value(value),
            Call::Sub(value) => put.value(value),
            Call::Search(value) => put.value(value),
            Call::Fork(value) => put.value(value),
            Call::Admin(value) => put.value(value),
            Call::Txn(value) => put.value(value),
        }
    }

    fn write_outcome(
        &self,
        head: &Head<'_>,
        kind: Kind,
        outcome: &Outcome,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let mut put = Put { line: self, head, r#type: Type::Ok, f: kind.as_str(), error: None, to };
        match outcome {
            Outcome::Ok(answer) => put.answer(answer),
            Outcome::Fail(refusal) => {
                (put.r#type, put.error) = (Type::Fail, Some(refusal.reason.as_str()));
                put.value_or_none(refusal.rev.map(|rev| RefusalValue { rev: Some(rev) }))
            }
            Outcome::Unknown(why) => {
                (put.r#type, put.error) = (Type::Info, Some(why.as_str()));
                put.value_or_none(None::<()>)
            }
        }
    }

    fn write_fact(&self, fact: &Fact, to: &mut impl Write) -> io::Result<()> {
        let head = Head { op: None, scope: Scope::default(), canaries: &None };
        let mut put = Put { line: self, head: &head, r#type: Type::Info, f: "", error: None, to };
        match fact {
            Fact::Header(value) => put.named("header", value),
            Fact::End(value) => put.named("end", value),
            Fact::Node(value) => put.named("node", value),
            Fact::Compaction(value) => put.named("compaction", value),
            Fact::Snapshot(value) => put.named("snapshot", value),
            Fact::File(value) => put.named("file", value),
            Fact::Disk(value) => put.named("disk", value),
            Fact::Audit(value) => put.named("audit", value),
            Fact::Scan(value) => put.named("scan", value),
            Fact::Log(value) => put.named("log", value),
            Fact::Nemesis(Nemesis { fault, phase, value }) => {
                let end = if *phase == Phase::Start { "start" } else { "end" };
                put.named(&format!("{fault}-{end}"), value)
            }
        }
    }
}

struct Head<'a> {
    op: Option<Op>,
    scope: Scope,
    canaries: &'a Option<Vec<Tenant>>,
}

/// A line that lacks nothing but its value.
struct Put<'a, W> {
    line: &'a Line,
    head: &'a Head<'a>,
    r#type: Type,
    f: &'a str,
    error: Option<&'a str>,
    to: &'a mut W,
}

impl<W: Write> Put<'_, W> {
    fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        match answer {
            Answer::Append(value) => self.value(value),
            Answer::Read(value) => self.value(value),
            Answer::Entity(value) => self.value(value),
            Answer::Get(found) => self.value(&GetValue { event: found.clone() }),
            Answer::Sub(value) => self.value(value),
            Answer::Search(value) => self.value(value),
            Answer::Fork(value) => self.value(value),
            Answer::Admin => self.value_or_none(None::<()>),
            Answer::Txn(value) => self.value(value),
        }
    }

    fn named(&mut self, f: &str, value: &impl Serialize) -> io::Result<()> {
        Put { f, line: self.line, head: self.head, r#type: self.r#type, error: self.error, to: self.to }
            .value(value)
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.value_or_none(Some(value))
    }

    fn value_or_none(&mut self, value: Option<impl Serialize>) -> io::Result<()> {
        let Scope { part, fork, node, session, tenant } = self.head.scope;
        let written = Written {
            index: self.line.index,
            r#type: self.r#type,
            process: &self.line.process,
            time: self.line.time,
            f: self.f,
            op: self.head.op,
            part,
            fork: Some(fork).filter(|fork| *fork != Fork(0)),
            node,
            session,
            tenant,
            canaries: self.head.canaries.as_deref(),
            error: self.error,
            value,
        };
        serde_json::to_writer(&mut *self.to, &written)?;
        self.to.write_all(b"\n")
    }
}
