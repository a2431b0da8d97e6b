//! How talking to another node fails.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::hello::Turned;
use crate::NodeId;

/// A request got no answer, or a no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Not applied: the request has certainly not arrived.
    #[error("{to} was not reached: {cause}")]
    Unreachable {
        /// Whom it was for.
        to: NodeId,
        /// What happened.
        cause: Cause,
    },
    /// Unknown: the request was sent and may or may not have been handled, or may still be.
    #[error("{to} may or may not have handled it: {cause}")]
    Unknown {
        /// Whom it was for.
        to: NodeId,
        /// What happened.
        cause: Cause,
    },
    /// Rejected: the other node's handler said no.
    #[error("{from} refused: {refusal}")]
    Refused {
        /// Who said it.
        from: NodeId,
        /// What it said.
        refusal: Refusal,
    },
}

/// Why a request did not arrive, or its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No address of that node is known.
    #[error("no address of it is known; was it removed, or not yet added")]
    NotAPeer,
    /// There is no connection.
    #[error("no connection: {0}")]
    NoConnection(Arc<str>),
    /// Its machine says that nobody listens there.
    #[error("nobody listens there: {0}")]
    NobodyThere(Arc<str>),
    /// One side turned the other away.
    #[error("{0}")]
    Turned(Turned),
    /// The connection broke.
    #[error("connection lost: {0}")]
    ConnectionLost(Arc<str>),
    /// The deadline passed.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// Too much was waiting for that node until the deadline passed.
    #[error("too much is waiting for it, for {0:?} by now")]
    Full(Duration),
    /// Bigger than any message may be.
    #[error("a message of {bytes} bytes; at most {max} fit")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// An earlier request of the same stream failed.
    #[error("the stream is over since an earlier request of it failed; open another one")]
    StreamOver,
    /// This node stops.
    #[error("this node stops")]
    Stopping,
    /// What came makes no sense.
    #[error("{0}")]
    Malformed(Arc<str>),
}

/// A no of the consensus layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it means is the consensus layer's business, except for the codes of this type.
    pub code: u32,
    /// For people.
    pub text: String,
}

impl Refusal {
    /// The handler panicked.
    pub const PANICKED: u32 = u32::MAX;
    /// The answer is bigger than any message may be.
    pub const TOO_LARGE: u32 = u32::MAX - 1;
    /// Too many files are being sent; ask again later.
    pub const BUSY: u32 = u32::MAX - 2;
    /// The request names a group or kind that no node has.
    pub const MALFORMED: u32 = u32::MAX - 3;
    /// What the request is for does not run on this node, or not yet.
    pub const ABSENT: u32 = u32::MAX - 4;
    /// It was tried and failed.
    pub const FAILED: u32 = u32::MAX - 5;

    /// A no with this meaning.
    pub fn new(code: u32, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.text, self.code)
    }
}

/// A node cannot begin to talk to others.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// Nodes would talk in the clear beyond this machine.
    #[error(
        "listening for other nodes on {address} without TLS: anybody who reaches that port could join in; configure \
         certificates (--peer-certificate, --peer-key, --peer-authority), listen on a loopback address, or allow plaintext \
         explicitly (--plaintext-anywhere)"
    )]
    PlaintextBeyondLoopback {
        /// Where it would listen.
        address: std::net::SocketAddr,
    },
    /// The certificates do not work.
    #[error("TLS between nodes: {0}")]
    Tls(String),
    /// The bounds contradict each other.
    #[error("limits of the transport: {0}")]
    Limits(&'static str),
}
