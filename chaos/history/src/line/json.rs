//! A line as JSON and back.
//!
//! Read in two steps: the envelope first, which leaves `value` as text, then `value` as the type that `type` and `f`
//! name. No step asks serde to guess a type, which would not survive serde_json's `arbitrary_precision`. A field that
//! no type knows is an error: a misspelt one would otherwise quietly check nothing.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Body, Kind, Line, Process, Scope};
use crate::answer::{Answer, Found, Outcome, Reason, Refusal};
use crate::call::Call;
use crate::fact::{Fact, Nemesis, Phase};
use crate::{Fork, Node, Op, Partition, Session, Tenant, Version};

/// Why a line is none of this format.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is no JSON or a field is not what it must be.
    #[error("not a line of chronos-history/1: {0}")]
    Json(#[from] serde_json::Error),
    /// `type` and `f` do not go together or are unknown to this version.
    #[error("no line of chronos-history/1 has type {kind:?} with f {f:?}")]
    Unknown {
        /// The line's `type`.
        kind: String,
        /// The line's `f`.
        f: String,
    },
    /// The line lacks a field.
    #[error("a line with f {f:?} needs {field:?}")]
    Missing {
        /// The line's `f`.
        f: String,
        /// The field.
        field: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(default)]
    index: u64,
    r#type: Type,
    #[serde(borrow)]
    process: &'a RawValue,
    #[serde(default)]
    time: u64,
    #[serde(borrow)]
    f: Cow<'a, str>,
    op: Option<Op>,
    part: Option<Partition>,
    fork: Option<Fork>,
    node: Option<Node>,
    session: Option<Session>,
    tenant: Option<Tenant>,
    canaries: Option<Vec<Tenant>>,
    error: Option<String>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

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

impl Process {
    fn parse(raw: &RawValue) -> Result<Process, serde_json::Error> {
        if !raw.get().starts_with('"') {
            return serde_json::from_str(raw.get()).map(Process::Client);
        }
        match serde_json::from_str(raw.get()) {
            Ok(node) => Ok(Process::Node(node)),
            Err(_) => serde_json::from_str(raw.get()).map(Process::Named),
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rev: Option<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetValue {
    event: Option<Found>,
}

impl Line {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// It is no line of this format.
    pub fn parse(text: &str) -> Result<Line, ParseError> {
        let envelope: Envelope<'_> = serde_json::from_str(text)?;
        Ok(Line {
            index: envelope.index,
            time: envelope.time,
            process: Process::parse(envelope.process)?,
            body: envelope.body()?,
        })
    }
}

impl Envelope<'_> {
    fn body(self) -> Result<Body, ParseError> {
        let Some(kind) = Kind::named(&self.f) else { return self.fact().map(Body::Fact) };
        let op = self.op.ok_or_else(|| self.missing("op"))?;
        if self.r#type == Type::Invoke {
            let scope = Scope {
                part: self.part,
                fork: self.fork.unwrap_or_default(),
                node: self.node,
                session: self.session,
                tenant: self.tenant,
            };
            return Ok(Body::Call { op, scope, call: self.call(kind)? });
        }
        let outcome = match self.r#type {
            Type::Ok => Outcome::Ok(self.answer(kind)?),
            Type::Fail => Outcome::Fail(self.refusal()?),
            _ => Outcome::Unknown(self.error.clone().ok_or_else(|| self.missing("error"))?),
        };
        Ok(Body::Outcome { op, kind, outcome, canaries: self.canaries })
    }

    fn call(&self, kind: Kind) -> Result<Call, ParseError> {
        Ok(match kind {
            Kind::Append => Call::Append(self.value()?),
            Kind::Read => Call::Read(self.value()?),
            Kind::Entity => Call::Entity(self.value()?),
            Kind::Get => Call::Get(self.value()?),
            Kind::Sub => Call::Sub(self.value()?),
            Kind::Search => Call::Search(self.value()?),
            Kind::Fork => Call::Fork(self.value()?),
            Kind::Admin => Call::Admin(self.value()?),
            Kind::Txn => Call::Txn(self.value()?),
        })
    }

    fn answer(&self, kind: Kind) -> Result<Answer, ParseError> {
        Ok(match kind {
            Kind::Append => Answer::Append(self.value()?),
            Kind::Read => Answer::Read(self.value()?),
            Kind::Entity => Answer::Entity(self.value()?),
            Kind::Get => Answer::Get(self.value::<GetValue>()?.event),
            Kind::Sub => Answer::Sub(self.value()?),
            Kind::Search => Answer::Search(self.value()?),
            Kind::Fork => Answer::Fork(self.value()?),
            Kind::Admin => Answer::Admin,
            Kind::Txn => Answer::Txn(self.value()?),
        })
    }

    fn refusal(&self) -> Result<Refusal, ParseError> {
        let error = self.error.as_deref().ok_or_else(|| self.missing("error"))?;
        let value = if self.value.is_some() { self.value()? } else { RefusalValue::default() };
        Ok(Refusal { reason: Reason::from(error), rev: value.rev })
    }

    fn fact(&self) -> Result<Fact, ParseError> {
        if self.r#type != Type::Info {
            return Err(self.unknown());
        }
        Ok(match &*self.f {
            "header" => Fact::Header(self.value()?),
            "end" => Fact::End(self.value()?),
            "node" => Fact::Node(self.value()?),
            "compaction" => Fact::Compaction(self.value()?),
            "snapshot" => Fact::Snapshot(self.value()?),
            "file" => Fact::File(self.value()?),
            "disk" => Fact::Disk(self.value()?),
            "audit" => Fact::Audit(self.value()?),
            "scan" => Fact::Scan(self.value()?),
            "log" => Fact::Log(self.value()?),
            f => Fact::Nemesis(self.nemesis(f)?),
        })
    }

    fn nemesis(&self, f: &str) -> Result<Nemesis, ParseError> {
        let (fault, phase) = match (f.strip_suffix("-start"), f.strip_suffix("-end")) {
            (Some(fault), _) => (fault, Phase::Start),
            (_, Some(fault)) => (fault, Phase::End),
            (None, None) => return Err(self.unknown()),
        };
        Ok(Nemesis { fault: fault.into(), phase, value: self.value()? })
    }

    fn value<'a, V: Deserialize<'a>>(&'a self) -> Result<V, ParseError> {
        let raw = self.value.ok_or_else(|| self.missing("value"))?;
        Ok(serde_json::from_str(raw.get())?)
    }

    fn missing(&self, field: &'static str) -> ParseError {
        ParseError::Missing { f: self.f.to_string(), field }
    }

    fn unknown(&self) -> ParseError {
        ParseError::Unknown { kind: format!("{:?}", self.r#type).to_lowercase(), f: self.f.to_string() }
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
