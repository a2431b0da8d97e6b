//! How a node belongs to a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use chronos_cluster::BEAT;
use chronos_cluster::peer::{Limits, Names, Security, TlsFiles};
use chronos_domain::EventId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DEFAULT_PORT, Invalid, invalid, within};

/// The port a node listens on for other nodes unless told otherwise.
pub const DEFAULT_PEER_PORT: u16 = 7401;
/// Milliseconds of a beat.
const BEAT_MS: RangeInclusive<u64> = 50..=1000;
/// The port a node listens on for operators unless told otherwise.
pub const DEFAULT_ADMIN_PORT: u16 = 7402;

/// How a node belongs to a cluster. With none of it a node is a cluster of one, without a port for others.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Membership {
    /// Refuse a data directory of another cluster than this one, and join no other (a UUID).
    #[serde(deserialize_with = "uuid_from_text", serialize_with = "uuid_to_text")]
    pub id: Option<u128>,
    /// What people call this node; its number otherwise.
    pub name: String,
    /// Where other nodes are listened for.
    pub peer_listen: Option<SocketAddr>,
    /// Where operators are listened for.
    pub admin_listen: Option<SocketAddr>,
    /// The host under which others reach this node; otherwise the address it listens on.
    pub advertise: Option<String>,
    /// Found a cluster that others will join; with `join`, only if none of those is a node of one.
    pub bootstrap: bool,
    /// Peer addresses (`host:port`) of nodes whose cluster to join, if there is one where it may be founded, too.
    pub join: Vec<String>,
    /// The secret that whoever joins must know. Of the founder: what it will ask for.
    #[serde(skip_serializing)]
    pub token: Option<String>,
    /// How many replicas each partition of a cluster has that is founded now: 1, 3 or 5.
    pub replication: u8,
    /// Whether this node has others do for its callers what it does not lead or hold; otherwise it tells them who does.
    pub forward: bool,
    /// Milliseconds from one moment to the next at which this node's groups look at their clocks, the same on all nodes:
    /// heartbeats and elections take so many of these. More where the ways between nodes are long. 50 to 1,000.
    pub beat_ms: u64,
    /// Bytes of parts that this node sends to others in a second at most. At least 1.
    pub transfer_bytes_per_second: u64,
    /// Certificates for connections between nodes.
    pub tls: Option<Tls>,
    /// Nodes may talk without protection beyond this machine: the network is trusted, or protects by itself.
    pub plaintext_anywhere: bool,
}

/// Certificates for connections between nodes, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// This node's certificate. It names the host that others reach it by.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that vouches for the nodes of this cluster, and for nobody else.
    pub authority: PathBuf,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            id: None,
            name: String::new(),
            peer_listen: None,
            admin_listen: None,
            advertise: None,
            bootstrap: false,
            join: Vec::new(),
            token: None,
            replication: 3,
            forward: true,
            beat_ms: BEAT.as_millis() as u64,
            transfer_bytes_per_second: Limits::default().bulk_bytes_per_second,
            tls: None,
            plaintext_anywhere: false,
        }
    }
}

/// Without the token.
impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("peer_listen", &self.peer_listen)
            .field("admin_listen", &self.admin_listen)
            .field("advertise", &self.advertise)
            .field("bootstrap", &self.bootstrap)
            .field("join", &self.join)
            .field("replication", &self.replication)
            .field("forward", &self.forward)
            .field("beat_ms", &self.beat_ms)
            .field("transfer_bytes_per_second", &self.transfer_bytes_per_second)
            .field("tls", &self.tls)
            .field("plaintext_anywhere", &self.plaintext_anywhere)
            .finish_non_exhaustive()
    }
}

impl Membership {
    /// Whether this node is meant to have others beside it.
    pub(crate) fn is_among_others(&self) -> bool {
        self.bootstrap || !self.join.is_empty()
    }

    /// Whether a cluster is joined, and none founded.
    pub(crate) fn only_joins(&self) -> bool {
        !self.bootstrap && !self.join.is_empty()
    }

    /// Whether a cluster is founded, and none joined.
    pub(crate) fn only_founds(&self) -> bool {
        self.bootstrap && self.join.is_empty()
    }

    /// A setting, by its flag, that only means something to a node that has others beside it.
    pub(crate) fn given_for_others(&self) -> Option<&'static str> {
        [
            (self.token.is_some(), "--token"),
            (self.peer_listen.is_some(), "--peer-listen"),
            (self.advertise.is_some(), "--advertise"),
        ]
        .into_iter()
        .find_map(|(is_given, flag)| is_given.then_some(flag))
    }

    /// Where operators are listened for, on a node that serves clients at `listen`.
    #[must_use]
    pub fn admin_listen(&self, listen: SocketAddr) -> Option<SocketAddr> {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT));
        let is_usual = listen.port() == DEFAULT_PORT || self.is_among_others();
        self.admin_listen.or_else(|| is_usual.then_some(usual))
    }

    /// How connections between nodes are protected.
    pub(crate) fn security(&self) -> Security {
        match &self.tls {
            Some(Tls { certificate, key, authority }) => Security::Mutual(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                authority: authority.clone(),
                names: Names::Hosts,
            }),
            None if self.plaintext_anywhere => Security::PlaintextAnywhere,
            None => Security::PlaintextOnLoopback,
        }
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        if ![1, 3, 5].contains(&self.replication) {
            return invalid(format!("cluster.replication is {}; give 1, 3 or 5", self.replication));
        }
        within("cluster.beat_ms", self.beat_ms, BEAT_MS)?;
        if self.transfer_bytes_per_second == 0 {
            return invalid("cluster.transfer_bytes_per_second is 0; give at least 1".to_owned());
        }
        if self.tls.is_some() && self.plaintext_anywhere {
            return invalid(
                "cluster.tls and cluster.plaintext_anywhere are both given; remove one of them".to_owned(),
            );
        }
        if self.token.as_ref().is_some_and(String::is_empty) {
            return invalid("cluster.token is empty; give a secret, or remove the key".to_owned());
        }
        self.check_addresses()
    }

    fn check_addresses(&self) -> Result<(), Invalid> {
        let is_address = |address: &String| {
            address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if let Some(odd) = self.join.iter().find(|address| !is_address(address)) {
            return invalid(format!(
                "cluster.join has {odd:?}; give HOST:PORT, the address a node listens on for its peers"
            ));
        }
        if let Some(host) = self.advertise.as_ref().filter(|host| host.is_empty() || is_address(host)) {
            return invalid(format!("cluster.advertise is {host:?}; give a host without a port"));
        }
        Ok(())
    }
}

fn uuid_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u128>, D::Error> {
    let text = String::deserialize(deserializer)?;
    // A cluster id has the text form of an event id: both are UUIDs.
    let id =
        EventId::parse(&text).map_err(|error| D::Error::custom(format!("cluster.id {}", error.reason)))?;
    Ok(Some(id.as_u128()))
}

#[expect(clippy::ref_option, reason = "serde asks for this form")]
fn uuid_to_text<S: Serializer>(id: &Option<u128>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| EventId::from_u128(id).to_string()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn refusal(cluster: &str) -> String {
        Config::from_toml(&format!("[cluster]\n{cluster}")).expect_err("must be refused").to_string()
    }

    #[test]
    fn every_key_of_the_cluster_can_be_written() {
        let text = r#"
            [cluster]
            id = "01890a5d-ac96-774b-bcce-b302099a8057"
            name = "west"
            peer_listen = "0.0.0.0:7501"
            admin_listen = "127.0.0.1:7502"
            advertise = "west.example"
            join = ["a:7401", "[::1]:7401"]
            token = "hush"
            replication = 5
            forward = false
            beat_ms = 250
            transfer_bytes_per_second = 1000000
            tls = { certificate = "/c", key = "/k", authority = "/a" }
        "#;
        let cluster = Config::from_toml(text).unwrap().cluster;
        let tls = Tls { certificate: "/c".into(), key: "/k".into(), authority: "/a".into() };
        let wanted = Membership {
            id: Some(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
            name: "west".into(),
            peer_listen: Some(([0, 0, 0, 0], 7501).into()),
            admin_listen: Some(([127, 0, 0, 1], 7502).into()),
            advertise: Some("west.example".into()),
            bootstrap: false,
            join: vec!["a:7401".into(), "[::1]:7401".into()],
            token: Some("hush".into()),
            replication: 5,
            forward: false,
            beat_ms: 250,
            transfer_bytes_per_second: 1_000_000,
            tls: Some(tls),
            plaintext_anywhere: false,
        };
        assert_eq!(cluster, wanted);
        assert!(!format!("{cluster:?}").contains("hush"));
        assert!(!serde_json::to_string(&cluster).unwrap().contains("hush"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_what_to_do() {
        for (text, wanted) in [
            ("replication = 2", "give 1, 3 or 5"),
            ("beat_ms = 20", "cluster.beat_ms is 20; give 50 to 1000"),
            ("transfer_bytes_per_second = 0", "give at least 1"),
            ("join = [\"a\"]", "give HOST:PORT"),
            ("advertise = \"a:7\"", "a host without a port"),
            ("token = \"\"", "cluster.token is empty"),
            (
                "plaintext_anywhere = true\ntls = { certificate = \"\", key = \"\", authority = \"\" }",
                "remove one",
            ),
            ("id = \"x\"", "cluster.id"),
            ("jion = []", "jion"),
        ] {
            let why = refusal(text);
            assert!(why.contains(wanted), "{text}: {why}");
        }
    }

    #[test]
    fn operators_are_listened_for_where_they_look_first() {
        let (usual, other) = (([0, 0, 0, 0], DEFAULT_PORT).into(), ([0, 0, 0, 0], 7500).into());
        let at = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let alone = Membership::default();
        assert_eq!([alone.admin_listen(usual), alone.admin_listen(other)], [at(DEFAULT_ADMIN_PORT), None]);
        let founder = Membership { bootstrap: true, ..Membership::default() };
        assert_eq!(founder.admin_listen(other), at(DEFAULT_ADMIN_PORT));
        let told = Membership { admin_listen: at(9), ..Membership::default() };
        assert_eq!([told.admin_listen(usual), told.admin_listen(other)], [at(9), at(9)]);
    }
}
