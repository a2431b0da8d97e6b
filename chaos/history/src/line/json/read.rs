//! A line out of JSON.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{GetValue, ParseError, RefusalValue, Type};
use crate::answer::{Answer, Outcome, Reason, Refusal};
use crate::call::Call;
use crate::fact::{Fact, Nemesis, Phase};
use crate::line::{Body, Kind, Line, Process, Scope};
use crate::{Fork, Node, Op, Partition, Session, Tenant};

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
