//! One line of a history.
//!
//! The envelope is Jepsen's (`index`, `type`, `process`, `time`, `f`, `value`), so that checkers of others can read the
//! file. `type` and `f` say which of our types `value` is.

mod json;

use crate::answer::{Answer, Outcome};
use crate::call::Call;
use crate::fact::Fact;
use crate::{Fork, Node, Op, Partition, Session, Tenant};

pub use json::ParseError;

/// One line: somebody, at some time, did or saw something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the history, from 0, over all files.
    pub index: u64,
    /// Nanoseconds since the run began, on the one clock of the recorder.
    pub time: u64,
    /// Who.
    pub process: Process,
    /// What.
    pub body: Body,
}

/// Who did or saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// A client, under a number that serves until an outcome of its is unknown.
    Client(u64),
    /// A node.
    Node(Node),
    /// `header`, `nemesis`, `harness`.
    Named(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An operation is about to be sent.
    Call {
        /// Its number.
        op: Op,
        /// Where it is sent and on whose behalf.
        scope: Scope,
        /// What is asked for.
        call: Call,
    },
    /// An operation ended, or a subscription delivered.
    Outcome {
        /// The operation's number.
        op: Op,
        /// What kind of operation it is.
        kind: Kind,
        /// How it ended.
        outcome: Outcome,
        /// The tenants whose canaries the bytes of the response held; none if nobody looked.
        canaries: Option<Vec<Tenant>>,
    },
    /// Something that is no operation.
    Fact(Fact),
}

/// Where an operation is sent and on whose behalf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The partition, if it is about one.
    pub part: Option<Partition>,
    /// The fork.
    pub fork: Fork,
    /// The node that is asked.
    pub node: Option<Node>,
    /// The session whose token it carries.
    pub session: Option<Session>,
    /// The tenant; none for the operator, who sees all.
    pub tenant: Option<Tenant>,
}

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`Call::Append`]
    Append,
    /// [`Call::Read`]
    Read,
    /// [`Call::Entity`]
    Entity,
    /// [`Call::Get`]
    Get,
    /// [`Call::Sub`]
    Sub,
    /// [`Call::Search`]
    Search,
    /// [`Call::Fork`]
    Fork,
    /// [`Call::Admin`]
    Admin,
    /// [`Call::Txn`]
    Txn,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Append,
        Kind::Read,
        Kind::Entity,
        Kind::Get,
        Kind::Sub,
        Kind::Search,
        Kind::Fork,
        Kind::Admin,
        Kind::Txn,
    ];

    /// The line's `f`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Append => "append",
            Kind::Read => "read",
            Kind::Entity => "entity",
            Kind::Get => "get",
            Kind::Sub => "sub",
            Kind::Search => "search",
            Kind::Fork => "fork",
            Kind::Admin => "admin",
            Kind::Txn => "txn",
        }
    }

    fn named(f: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == f)
    }
}

impl Call {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Call::Append(_) => Kind::Append,
            Call::Read(_) => Kind::Read,
            Call::Entity(_) => Kind::Entity,
            Call::Get(_) => Kind::Get,
            Call::Sub(_) => Kind::Sub,
            Call::Search(_) => Kind::Search,
            Call::Fork(_) => Kind::Fork,
            Call::Admin(_) => Kind::Admin,
            Call::Txn(_) => Kind::Txn,
        }
    }
}

impl Answer {
    /// The kind of call that it answers.
    pub fn kind(&self) -> Kind {
        match self {
            Answer::Append(_) => Kind::Append,
            Answer::Read(_) => Kind::Read,
            Answer::Entity(_) => Kind::Entity,
            Answer::Get(_) => Kind::Get,
            Answer::Sub(_) => Kind::Sub,
            Answer::Search(_) => Kind::Search,
            Answer::Fork(_) => Kind::Fork,
            Answer::Admin => Kind::Admin,
            Answer::Txn(_) => Kind::Txn,
        }
    }
}
