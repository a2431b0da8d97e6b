//! What can happen to a cluster, as events.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chronos_domain::{EventId, PartitionId};
use serde::{Deserialize, Serialize};

use super::token::TokenHash;
use crate::addresses::Addresses;
use crate::node::NodeId;

/// One change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The cluster begins, with its first member.
    Founded { cluster: u128, replication: u8, token: Option<TokenHash>, founder: Entrant },
    /// A node becomes a member.
    Admitted(Entrant),
    /// A member is reached elsewhere, or is called otherwise.
    Moved { node: NodeId, name: String, addresses: Addresses },
    /// A member is to hold nothing.
    Draining(NodeId),
    /// It may hold something again.
    Undrained(NodeId),
    /// It is a member no more, for ever.
    Removed(NodeId),
    /// The members of a group have changed. Says what has happened; it decides nothing.
    Placed { partition: PartitionId, voters: BTreeSet<NodeId>, learners: BTreeSet<NodeId>, why: String },
    /// The placement driver is to hold still.
    Paused,
    /// It may go on.
    Resumed,
    /// The cluster is set otherwise; what is `None` stays.
    Settings { replication: Option<u8>, replace_after: Option<Duration> },
    /// The secret that who joins must know; nobody must without one.
    Token(Option<TokenHash>),
}

/// A node that becomes a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) machine: u128,
    pub(crate) addresses: Addresses,
}

/// An event of the system partition that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event `{event_type}` of the cluster's own data is malformed: {why}")]
pub(crate) struct Malformed {
    event_type: String,
    why: String,
}

/// The payload of any change, as JSON: each kind has some of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voters: Option<BTreeSet<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learners: Option<BTreeSet<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<String>,
}

/// For people, in the words in which operators are told of changes.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Founded { cluster, founder, .. } => {
                write!(f, "{founder} founds cluster {}", EventId::from_u128(*cluster))
            }
            Change::Admitted(entrant) => write!(f, "{entrant} belongs to the cluster"),
            Change::Moved { node, name, addresses } => {
                write!(f, "{node} is called {name} and reached by nodes at {}", or_nowhere(&addresses.peer))?;
                write!(f, ", by clients at {}", or_nowhere(&addresses.client))
            }
            Change::Draining(node) => write!(f, "{node} is being drained"),
            Change::Undrained(node) => write!(f, "{node} takes its share"),
            Change::Removed(node) => write!(f, "{node} is removed"),
            Change::Placed { partition, voters, learners, why } => {
                let voters = voters.iter().map(NodeId::to_string);
                let learners = learners.iter().map(|learner| format!("+{learner}"));
                let members: Vec<String> = voters.chain(learners).collect();
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                write!(f, "{} has the members {}{why}", named(*partition), members.join(" "))
            }
            Change::Paused => f.write_str("placement is paused"),
            Change::Resumed => f.write_str("placement goes on"),
            Change::Settings { replication, replace_after } => {
                let replication = replication.map(|to| format!("replication is {to} now"));
                let after = replace_after.map(|after| format!("who is silent for {after:?} is replaced"));
                f.write_str(&replication.into_iter().chain(after).collect::<Vec<_>>().join(", "))
            }
            Change::Token(Some(_)) => f.write_str("who wants to join must know a new token"),
            Change::Token(None) => f.write_str("who wants to join needs no token"),
        }
    }
}

/// With the name, if that says more than the number.
impl fmt::Display for Entrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entrant { node, name, machine, addresses } = self;
        let peer = or_nowhere(&addresses.peer);
        if *name == node.to_string() { write!(f, "{node}") } else { write!(f, "{node} ({name})") }?;
        write!(f, " at {peer}, machine {},", hex(*machine))
    }
}

fn or_nowhere(address: &str) -> &str {
    if address.is_empty() { "no address" } else { address }
}

fn named(partition: PartitionId) -> String {
    match partition {
        PartitionId::SYSTEM => "the system partition".to_owned(),
        data => format!("partition {data}"),
    }
}

impl Change {
    /// The type of the event that says so.
    pub(crate) const fn event_type(&self) -> &'static str {
        match self {
            Change::Founded { .. } => "cluster.founded",
            Change::Admitted(_) => "node.admitted",
            Change::Moved { .. } => "node.moved",
            Change::Draining(_) => "node.draining",
            Change::Undrained(_) => "node.undrained",
            Change::Removed(_) => "node.removed",
            Change::Placed { .. } => "placement.changed",
            Change::Paused => "driver.paused",
            Change::Resumed => "driver.resumed",
            Change::Settings { .. } => "settings.changed",
            Change::Token(_) => "token.set",
        }
    }

    /// Its payload.
    pub(crate) fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(&self.fields()).expect("numbers and text are always JSON")
    }

    fn fields(&self) -> Fields {
        let of = |node: &NodeId| Fields { node: Some(node.get()), ..Fields::default() };
        match self {
            Change::Founded { cluster, replication, token, founder } => Fields {
                cluster: Some(hex(*cluster)),
                token_sha256: token.as_ref().map(TokenHash::to_string),
                replication: Some(*replication),
                ..founder.fields()
            },
            Change::Admitted(entrant) => entrant.fields(),
            Change::Moved { node, name, addresses } => {
                Fields { name: Some(name.clone()), addresses: Some(addresses.clone()), ..of(node) }
            }
            Change::Draining(node) | Change::Undrained(node) | Change::Removed(node) => of(node),
            Change::Placed { partition, voters, learners, why } => Fields {
                partition: Some(partition.get()),
                voters: Some(voters.iter().map(|node| node.get()).collect()),
                learners: Some(learners.iter().map(|node| node.get()).collect()),
                why: Some(why.clone()),
                ..Fields::default()
            },
            Change::Paused | Change::Resumed => Fields::default(),
            Change::Settings { replication, replace_after } => Fields {
                replication: *replication,
                replace_after_ms: replace_after.map(|after| after.as_millis() as u64),
                ..Fields::default()
            },
            Change::Token(hash) => {
                Fields { token_sha256: hash.as_ref().map(TokenHash::to_string), ..Fields::default() }
            }
        }
    }

    /// Reads an event; `None` for a type that this release does not know, and that therefore means nothing to it.
    ///
    /// # Errors
    /// [`Malformed`] when a known event lacks something.
    pub(crate) fn read(event_type: &str, payload: &[u8]) -> Result<Option<Change>, Malformed> {
        let malformed = |why: String| Malformed { event_type: event_type.to_owned(), why };
        let fields: Fields = serde_json::from_slice(payload).map_err(|error| malformed(error.to_string()))?;
        fields.into_change(event_type).map_err(|field| malformed(format!("it lacks {field}")))
    }
}

impl Entrant {
    fn fields(&self) -> Fields {
        Fields {
            node: Some(self.node.get()),
            name: Some(self.name.clone()),
            machine: Some(hex(self.machine)),
            addresses: Some(self.addresses.clone()),
            ..Fields::default()
        }
    }
}

impl Fields {
    /// The change of that type; the error names what is missing.
    fn into_change(self, event_type: &str) -> Result<Option<Change>, &'static str> {
        Ok(Some(match event_type {
            "cluster.founded" => Change::Founded {
                cluster: self.cluster.as_deref().and_then(unhex).ok_or("cluster")?,
                replication: self.replication.ok_or("replication")?,
                token: self.token()?,
                founder: self.into_entrant()?,
            },
            "node.admitted" => Change::Admitted(self.into_entrant()?),
            "node.moved" => Change::Moved {
                node: self.node()?,
                name: self.name.ok_or("name")?,
                addresses: self.addresses.ok_or("addresses")?,
            },
            "node.draining" => Change::Draining(self.node()?),
            "node.undrained" => Change::Undrained(self.node()?),
            "node.removed" => Change::Removed(self.node()?),
            "placement.changed" => Change::Placed {
                partition: self.partition.and_then(PartitionId::of_group).ok_or("partition")?,
                voters: nodes(self.voters.ok_or("voters")?),
                learners: nodes(self.learners.ok_or("learners")?),
                why: self.why.unwrap_or_default(),
            },
            "driver.paused" => Change::Paused,
            "driver.resumed" => Change::Resumed,
            "settings.changed" => Change::Settings {
                replication: self.replication,
                replace_after: self.replace_after_ms.map(Duration::from_millis),
            },
            "token.set" => Change::Token(self.token()?),
            _ => return Ok(None),
        }))
    }

    fn node(&self) -> Result<NodeId, &'static str> {
        self.node.map(NodeId::new).ok_or("node")
    }

    fn token(&self) -> Result<Option<TokenHash>, &'static str> {
        self.token_sha256.as_deref().map(|hash| hash.parse().map_err(|()| "a readable hash")).transpose()
    }

    fn into_entrant(self) -> Result<Entrant, &'static str> {
        Ok(Entrant {
            node: self.node()?,
            machine: self.machine.as_deref().and_then(unhex).ok_or("machine")?,
            name: self.name.ok_or("name")?,
            addresses: self.addresses.ok_or("addresses")?,
        })
    }
}

fn nodes(numbers: BTreeSet<u64>) -> BTreeSet<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}

fn hex(number: u128) -> String {
    format!("{number:032x}")
}

fn unhex(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::state::tests::any_change;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(change in any_change()) {
            let read = Change::read(change.event_type(), &change.payload());
            prop_assert_eq!(read, Ok(Some(change)));
        }
    }

    #[test]
    fn an_event_of_a_later_release_means_nothing_and_a_broken_one_is_named() {
        assert_eq!(Change::read("node.painted", b"{\"colour\":7}"), Ok(None));
        let broken = Change::read("node.removed", b"{}").unwrap_err().to_string();
        assert!(broken.contains("node.removed") && broken.contains("lacks node"), "{broken}");
        assert!(Change::read("node.removed", b"no json").is_err());
    }

    #[test]
    fn a_change_is_told_in_words() {
        let n = NodeId::new;
        let addresses = Addresses { client: "b:7400".into(), peer: "b:7401".into(), admin: String::new() };
        let second = Entrant { node: n(2), name: "west".into(), machine: 0xAB, addresses: addresses.clone() };
        let first = Entrant { node: n(1), name: "n1".into(), machine: 1, addresses: Addresses::default() };
        let (machine, cluster) = (hex(0xAB), "00000000-0000-0000-0000-000000000007");
        let moved = Change::Moved { node: n(2), name: "east".into(), addresses };
        let partition = PartitionId::all().next().expect("there are partitions");
        let placed = |partition, why: &str| Change::Placed {
            partition,
            voters: [n(1), n(2)].into(),
            learners: [n(3)].into(),
            why: why.to_owned(),
        };
        let settings = |replication, replace_after| Change::Settings { replication, replace_after };
        let minute = Duration::from_secs(60);
        let cases = [
            (
                Change::Founded { cluster: 7, replication: 3, token: None, founder: first },
                format!("n1 at no address, machine {}, founds cluster {cluster}", hex(1)),
            ),
            (
                Change::Admitted(second),
                format!("n2 (west) at b:7401, machine {machine}, belongs to the cluster"),
            ),
            (moved, "n2 is called east and reached by nodes at b:7401, by clients at b:7400".to_owned()),
            (Change::Draining(n(2)), "n2 is being drained".to_owned()),
            (Change::Undrained(n(2)), "n2 takes its share".to_owned()),
            (placed(partition, "n3 is new"), "partition 0 has the members n1 n2 +n3: n3 is new".to_owned()),
            (placed(PartitionId::SYSTEM, ""), "the system partition has the members n1 n2 +n3".to_owned()),
            (
                settings(Some(5), Some(minute)),
                "replication is 5 now, who is silent for 60s is replaced".to_owned(),
            ),
            (settings(None, Some(minute)), "who is silent for 60s is replaced".to_owned()),
            (
                Change::Token(Some(TokenHash::of(7, "hush"))),
                "who wants to join must know a new token".to_owned(),
            ),
        ];
        for (change, told) in cases {
            assert_eq!(change.to_string(), told);
        }
    }
}
