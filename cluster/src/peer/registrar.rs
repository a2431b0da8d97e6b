//! Who becomes a node of the cluster: the question, and the two answers to it.

use std::fmt;

use bytes::Bytes;
use chronos_proto::peer::v1;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::addresses::Addresses;
use crate::{Neighbour, NodeId};

/// A machine that asks to become a node.
#[derive(Clone, PartialEq, Eq)]
pub struct Admission {
    /// The UUID of its data directory, durable there before the machine asks. Whoever lost the directory is another machine.
    pub machine: u128,
    /// The cluster's secret, if the machine was given one.
    pub token: Option<String>,
    /// For people.
    pub name: String,
    /// Where others reach it.
    pub addresses: Addresses,
    /// For the log.
    pub release: String,
}

/// Without the token.
impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("machine", &format_args!("{:032x}", self.machine))
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .field("release", &self.release)
            .finish_non_exhaustive()
    }
}

/// A yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The machine's node id.
    pub node: NodeId,
    /// Who else is there.
    pub members: Vec<Neighbour>,
}

/// A no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub why: Denial,
    /// What exactly, and what to do.
    pub text: String,
    /// Whom to ask instead (a peer address), where that is known.
    pub ask: Option<String>,
}

/// Why a machine does not become a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The request makes no sense.
    Malformed,
    /// It wants to join another cluster.
    Cluster,
    /// There is no protocol version that both speak.
    Version,
    /// Its token is wrong, or missing.
    Token,
    /// It was a member and was removed; a removed machine never comes back.
    Removed,
    /// Its name or an address belongs to another member.
    Taken,
    /// Others could not reach it with the certificate that it has.
    Certificate,
    /// Nobody can decide at the moment; asking again later helps.
    NotNow,
    /// Somebody else has to be asked.
    Elsewhere,
}

impl Denial {
    /// All of them.
    pub const ALL: [Denial; 9] = [
        Denial::Malformed,
        Denial::Cluster,
        Denial::Version,
        Denial::Token,
        Denial::Removed,
        Denial::Taken,
        Denial::Certificate,
        Denial::NotNow,
        Denial::Elsewhere,
    ];

    /// A short name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Denial::Malformed => "malformed",
            Denial::Cluster => "other cluster",
            Denial::Version => "version",
            Denial::Token => "token",
            Denial::Removed => "removed",
            Denial::Taken => "taken",
            Denial::Certificate => "certificate",
            Denial::NotNow => "not now",
            Denial::Elsewhere => "elsewhere",
        }
    }

    /// Whether asking again, or asking somebody else, may help.
    pub fn passes(self) -> bool {
        matches!(self, Denial::NotNow | Denial::Elsewhere)
    }

    fn to_wire(self) -> v1::denied::Why {
        match self {
            Denial::Malformed => v1::denied::Why::Malformed,
            Denial::Cluster => v1::denied::Why::Cluster,
            Denial::Version => v1::denied::Why::Version,
            Denial::Token => v1::denied::Why::Token,
            Denial::Removed => v1::denied::Why::Removed,
            Denial::Taken => v1::denied::Why::Taken,
            Denial::Certificate => v1::denied::Why::Certificate,
            Denial::NotNow => v1::denied::Why::NotNow,
            Denial::Elsewhere => v1::denied::Why::Elsewhere,
        }
    }

    /// A reason that this release does not know counts as malformed.
    fn from_wire(why: v1::denied::Why) -> Denial {
        Denial::ALL.into_iter().find(|one| one.to_wire() == why).unwrap_or(Denial::Malformed)
    }
}

impl Denied {
    /// A no for this reason.
    pub fn new(why: Denial, text: impl Into<String>) -> Denied {
        Denied { why, text: text.into(), ask: None }
    }

    pub(crate) fn to_wire(&self) -> v1::Denied {
        let ask = self.ask.clone().unwrap_or_default();
        v1::Denied { why: self.why.to_wire().into(), text: self.text.clone(), ask }
    }

    pub(crate) fn from_wire(wire: v1::Denied) -> Denied {
        let why = Denial::from_wire(wire.why());
        Denied { why, text: wire.text, ask: Some(wire.ask).filter(|ask| !ask.is_empty()) }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.why.name())
    }
}

/// Decides who becomes a node; implemented by whoever keeps the list of members.
pub trait Registrar: Send + Sync + 'static {
    /// Makes a member of a machine, durably, unless there is a reason against it. The same machine gets the same node
    /// id again as long as that member is not removed. The protocol versions are checked already. The future is dropped
    /// when nobody waits for its answer any more; the machine may be a member all the same, and asks again.
    fn admit(&self, admission: Admission) -> BoxFuture<'static, Result<Admitted, Denied>>;
}

/// Where nobody becomes a member.
#[derive(Clone, Copy, Debug)]
pub struct NoRegistrar;

impl Registrar for NoRegistrar {
    fn admit(&self, _: Admission) -> BoxFuture<'static, Result<Admitted, Denied>> {
        async { Err(Denied::new(Denial::NotNow, "this node admits nobody")) }.boxed()
    }
}

pub(super) fn uuid_bytes(uuid: u128) -> Bytes {
    Bytes::copy_from_slice(&uuid.to_be_bytes())
}

pub(super) fn uuid_from(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_no_survives_the_wire() {
        for why in Denial::ALL {
            for ask in [None, Some("n2:7401".to_owned())] {
                let denied = Denied { why, text: why.name().into(), ask };
                assert_eq!(Denied::from_wire(denied.to_wire()), denied);
            }
        }
        let unknown = v1::Denied { why: 99, ..v1::Denied::default() };
        assert_eq!(Denied::from_wire(unknown).why, Denial::Malformed);
    }

    #[test]
    fn no_token_is_printed() {
        let admission = Admission {
            machine: 7,
            token: Some("hush".into()),
            name: String::new(),
            addresses: Addresses::default(),
            release: String::new(),
        };
        assert!(!format!("{admission:?}").contains("hush"));
    }
}
