//! The greeting: who calls whom, and how either side says no.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::Bytes;
use chronos_proto::peer::v1;

use crate::NodeId;

/// One process of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) cluster: u128,
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    pub(super) process: u64,
    /// The UUID of its data directory; 0 when it is not said.
    pub(super) machine: u128,
}

/// A caller's greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) from: Identity,
    /// The processes of the caller's directory before this one, the latest first; none where they are not known.
    pub(super) earlier: Vec<u64>,
    pub(super) to: NodeId,
    pub(super) versions: RangeInclusive<u32>,
    pub(super) release: String,
}

/// What the called node says to a welcome caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    pub(super) by: Identity,
    /// As in [`Hello`].
    pub(super) earlier: Vec<u64>,
    pub(super) version: u32,
    pub(super) release: String,
}

/// Why one node will not talk to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// They belong to different clusters.
    Cluster,
    /// The node that was called is not the one that was wanted.
    NotMe,
    /// A node called itself.
    Ourselves,
    /// Two processes claim to be the same node, and the other one is alive or claims the same incarnation.
    Duplicate,
    /// Another process was that node before, and its directory does not go on from that one.
    Outdated,
    /// Its directory is a copy of one that was served while it was, and went on: for certain.
    Copy,
    /// There is no protocol version that both speak.
    Version,
    /// It was a member of the cluster and is none any more, for good.
    Removed,
    /// The certificate belongs to somebody else.
    Certificate,
    /// The greeting makes no sense.
    Malformed,
}

impl Why {
    /// All of them.
    pub const ALL: [Why; 10] = [
        Why::Cluster,
        Why::NotMe,
        Why::Ourselves,
        Why::Duplicate,
        Why::Outdated,
        Why::Copy,
        Why::Version,
        Why::Removed,
        Why::Certificate,
        Why::Malformed,
    ];

    /// A short name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Why::Cluster => "other cluster",
            Why::NotMe => "other node",
            Why::Ourselves => "ourselves",
            Why::Duplicate => "duplicate",
            Why::Outdated => "outdated",
            Why::Copy => "copy",
            Why::Version => "version",
            Why::Removed => "removed",
            Why::Certificate => "certificate",
            Why::Malformed => "malformed",
        }
    }
}

/// A no to a greeting or to the answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turned {
    /// Why.
    pub why: Why,
    /// Who said no.
    pub by: NodeId,
    /// What exactly, and what to do.
    pub text: String,
    /// With [`Why::Copy`]: the process of the original that was alive at the same time; otherwise 0.
    pub of: u64,
}

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turned away by {} ({}): {}", self.by, self.why.name(), self.text)
    }
}

impl Hello {
    pub(super) fn to_wire(&self) -> v1::Hello {
        v1::Hello {
            cluster: cluster_bytes(self.from.cluster),
            from: self.from.node.get(),
            incarnation: self.from.incarnation,
            process: self.from.process,
            to: self.to.get(),
            version_min: *self.versions.start(),
            version_max: *self.versions.end(),
            release: self.release.clone(),
            machine: machine_bytes(self.from.machine),
            earlier: self.earlier.clone(),
        }
    }

    /// What came as a greeting, unless it makes no sense.
    pub(super) fn from_wire(wire: v1::Hello) -> Option<Hello> {
        let cluster = cluster_from(&wire.cluster)?;
        let (node, to) = (NodeId::new(wire.from), NodeId::new(wire.to));
        let versions = wire.version_min..=wire.version_max;
        let (incarnation, process, machine) = (wire.incarnation, wire.process, machine_from(&wire.machine)?);
        let from = Identity { cluster, node, incarnation, process, machine };
        let (earlier, release) = (wire.earlier, wire.release);
        (!versions.is_empty()).then_some(Hello { from, earlier, to, versions, release })
    }
}

impl Welcome {
    pub(super) fn to_wire(&self) -> v1::Welcome {
        v1::Welcome {
            cluster: cluster_bytes(self.by.cluster),
            node: self.by.node.get(),
            incarnation: self.by.incarnation,
            process: self.by.process,
            version: self.version,
            release: self.release.clone(),
            machine: machine_bytes(self.by.machine),
            earlier: self.earlier.clone(),
        }
    }

    /// What came as a welcome, unless it makes no sense.
    pub(super) fn from_wire(wire: v1::Welcome) -> Option<Welcome> {
        let cluster = cluster_from(&wire.cluster)?;
        let (incarnation, process, machine) = (wire.incarnation, wire.process, machine_from(&wire.machine)?);
        let by = Identity { cluster, node: NodeId::new(wire.node), incarnation, process, machine };
        Some(Welcome { by, earlier: wire.earlier, version: wire.version, release: wire.release })
    }
}

impl Turned {
    pub(super) fn to_wire(&self) -> v1::Turned {
        let why = match self.why {
            Why::Cluster => v1::turned::Why::Cluster,
            Why::NotMe => v1::turned::Why::NotMe,
            Why::Ourselves => v1::turned::Why::Ourselves,
            Why::Duplicate => v1::turned::Why::Duplicate,
            // What it has besides tells them apart, where the release on the other side knows it.
            Why::Outdated | Why::Copy => v1::turned::Why::Outdated,
            Why::Version => v1::turned::Why::Version,
            Why::Removed => v1::turned::Why::Removed,
            Why::Certificate => v1::turned::Why::Certificate,
            Why::Malformed => v1::turned::Why::Malformed,
        };
        v1::Turned { why: why.into(), text: self.text.clone(), copy_of: self.of }
    }

    /// What `by` said; a reason that this release does not know counts as malformed.
    pub(super) fn from_wire(by: NodeId, wire: v1::Turned) -> Turned {
        let why = match wire.why() {
            v1::turned::Why::Cluster => Why::Cluster,
            v1::turned::Why::NotMe => Why::NotMe,
            v1::turned::Why::Ourselves => Why::Ourselves,
            v1::turned::Why::Duplicate => Why::Duplicate,
            v1::turned::Why::Outdated if wire.copy_of != 0 => Why::Copy,
            v1::turned::Why::Outdated => Why::Outdated,
            v1::turned::Why::Version => Why::Version,
            v1::turned::Why::Removed => Why::Removed,
            v1::turned::Why::Certificate => Why::Certificate,
            v1::turned::Why::Malformed | v1::turned::Why::Unspecified => Why::Malformed,
        };
        let of = if why == Why::Copy { wire.copy_of } else { 0 };
        Turned { why, by, text: wire.text, of }
    }
}

fn cluster_bytes(cluster: u128) -> Bytes {
    Bytes::copy_from_slice(&cluster.to_be_bytes())
}

fn cluster_from(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// Nothing when it is not said.
pub(super) fn machine_bytes(machine: u128) -> Bytes {
    if machine == 0 { Bytes::new() } else { cluster_bytes(machine) }
}

pub(super) fn machine_from(bytes: &[u8]) -> Option<u128> {
    if bytes.is_empty() { Some(0) } else { cluster_from(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            cluster: 7 << 90,
            node: NodeId::new(3),
            incarnation: 9,
            process: u64::MAX,
            machine: 5 << 70,
        }
    }

    #[test]
    fn a_greeting_survives_the_wire() {
        let (earlier, release) = (vec![u64::MAX, 1], "0.1".to_owned());
        let to = NodeId::new(4);
        let hello = Hello {
            from: identity(),
            earlier: earlier.clone(),
            to,
            versions: 1..=3,
            release: release.clone(),
        };
        assert_eq!(Hello::from_wire(hello.to_wire()), Some(hello));
        let welcome = Welcome { by: identity(), earlier, version: 2, release };
        assert_eq!(Welcome::from_wire(welcome.to_wire()), Some(welcome));
        for why in Why::ALL {
            let of = if why == Why::Copy { 7 } else { 0 };
            let turned = Turned { why, by: NodeId::new(3), text: why.name().into(), of };
            assert_eq!(Turned::from_wire(turned.by, turned.to_wire()), turned);
        }
    }

    #[test]
    fn nonsense_is_no_greeting() {
        let (earlier, release) = Default::default();
        let sound = Hello { from: identity(), earlier, to: NodeId::new(4), versions: 1..=3, release };
        let sound = sound.to_wire();
        let backwards = v1::Hello { version_min: 3, version_max: 1, ..sound.clone() };
        let short = v1::Hello { cluster: Bytes::from_static(&[0; 15]), ..sound };
        assert_eq!([Hello::from_wire(backwards), Hello::from_wire(short)], [None, None]);
        assert_eq!(Hello::from_wire(v1::Hello::default()), None);
        assert_eq!(Welcome::from_wire(v1::Welcome::default()), None);
    }
}
