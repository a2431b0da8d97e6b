//! What may be asked of whoever leads the system partition, and what is answered: as bytes.

use std::time::Duration;

use bytes::Bytes;
use chronos_proto::peer::v1;
use prost::Message;

use super::ledger::NotWritten;
use super::rules::Newcomer;
use crate::addresses::Addresses;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::order::Order;
use crate::peer::{Denied, Refusal};

/// A wish that only the leader of the system partition can grant.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A machine asks to become a node.
    Admit(Newcomer),
    /// A member says where it is reached.
    Announce { node: NodeId, name: String, addresses: Addresses },
    /// What an operator wants.
    Order(Order),
}

impl Ask {
    /// The kind of message that asks it.
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Ask::Admit(_) => kinds::ADMIT,
            Ask::Announce { .. } => kinds::ANNOUNCE,
            Ask::Order(_) => kinds::ORDER,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        Bytes::from(match self {
            Ask::Admit(Newcomer { token, name, machine, addresses }) => v1::Admit {
                machine: Bytes::copy_from_slice(&machine.to_be_bytes()),
                name: name.clone(),
                addresses: Some(addresses_to_wire(addresses)),
                token: token.clone(),
            }
            .encode_to_vec(),
            Ask::Announce { node, name, addresses } => v1::Announce {
                node: node.get(),
                name: name.clone(),
                addresses: Some(addresses_to_wire(addresses)),
            }
            .encode_to_vec(),
            Ask::Order(order) => v1::ClusterOrder { order: order_to_wire(order) }.encode_to_vec(),
        })
    }

    pub(crate) fn decode(kind: u8, body: &Bytes) -> Result<Ask, Refusal> {
        Ok(match kind {
            kinds::ADMIT => {
                let admit = v1::Admit::decode(body.clone()).map_err(malformed)?;
                let machine =
                    <[u8; 16]>::try_from(&*admit.machine).map_err(|_| lacks("a machine of 16 bytes"))?;
                Ask::Admit(Newcomer {
                    token: admit.token,
                    name: admit.name,
                    machine: u128::from_be_bytes(machine),
                    addresses: addresses_from_wire(admit.addresses),
                })
            }
            kinds::ANNOUNCE => {
                let announce = v1::Announce::decode(body.clone()).map_err(malformed)?;
                let addresses = addresses_from_wire(announce.addresses);
                Ask::Announce { node: NodeId::new(announce.node), name: announce.name, addresses }
            }
            _ => {
                let order = v1::ClusterOrder::decode(body.clone()).map_err(malformed)?;
                Ask::Order(order.order.and_then(order_from_wire).ok_or_else(|| lacks("an order"))?)
            }
        })
    }
}

/// What became of it, for the way back.
pub(crate) fn encode_done(outcome: Result<u64, NotWritten>) -> Bytes {
    let outcome = match outcome {
        Ok(number) => v1::done::Outcome::Done(number),
        Err(NotWritten::Refused(denied)) => v1::done::Outcome::Refused(denied.to_wire()),
        Err(NotWritten::Unavailable(why)) => v1::done::Outcome::Unavailable(why),
        Err(NotWritten::Unknown(why)) => v1::done::Outcome::Unknown(why),
        Err(NotWritten::Elsewhere(leader)) => v1::done::Outcome::Elsewhere(leader.map_or(0, NodeId::get)),
    };
    Bytes::from(v1::Done { outcome: Some(outcome) }.encode_to_vec())
}

/// Reads what [`encode_done`] wrote.
pub(crate) fn decode_done(body: &Bytes) -> Result<u64, NotWritten> {
    let done = v1::Done::decode(body.clone()).map_err(|error| NotWritten::Unknown(error.to_string()))?;
    match done.outcome {
        Some(v1::done::Outcome::Done(number)) => Ok(number),
        Some(v1::done::Outcome::Refused(denied)) => Err(NotWritten::Refused(Denied::from_wire(denied))),
        Some(v1::done::Outcome::Unavailable(why)) => Err(NotWritten::Unavailable(why)),
        Some(v1::done::Outcome::Unknown(why)) => Err(NotWritten::Unknown(why)),
        Some(v1::done::Outcome::Elsewhere(leader)) => {
            Err(NotWritten::Elsewhere(Some(leader).filter(|leader| *leader > 0).map(NodeId::new)))
        }
        None => Err(NotWritten::Unknown("the answer says nothing".to_owned())),
    }
}

fn malformed(error: prost::DecodeError) -> Refusal {
    Refusal::new(Refusal::MALFORMED, error.to_string())
}

fn lacks(what: &str) -> Refusal {
    Refusal::new(Refusal::MALFORMED, format!("the message lacks {what}"))
}

fn addresses_to_wire(addresses: &Addresses) -> v1::NodeAddresses {
    let Addresses { client, peer, admin } = addresses.clone();
    v1::NodeAddresses { client, peer, admin }
}

fn addresses_from_wire(addresses: Option<v1::NodeAddresses>) -> Addresses {
    let v1::NodeAddresses { client, peer, admin } = addresses.unwrap_or_default();
    Addresses { client, peer, admin }
}

/// A transfer is no order to the cluster: it goes to the leader of its partition.
fn order_to_wire(order: &Order) -> Option<v1::cluster_order::Order> {
    Some(match order {
        Order::Drain(node) => v1::cluster_order::Order::Drain(node.get()),
        Order::Undrain(node) => v1::cluster_order::Order::Undrain(node.get()),
        Order::Remove(node) => v1::cluster_order::Order::Remove(node.get()),
        Order::Pause => v1::cluster_order::Order::Pause(true),
        Order::Resume => v1::cluster_order::Order::Resume(true),
        Order::Replication(replicas) => v1::cluster_order::Order::Replication((*replicas).into()),
        Order::ReplaceAfter(silence) => {
            v1::cluster_order::Order::ReplaceAfterMs(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX))
        }
        Order::Token(secret) => v1::cluster_order::Order::Token(v1::TokenOrder { secret: secret.clone() }),
        Order::Transfer { .. } => return None,
    })
}

fn order_from_wire(order: v1::cluster_order::Order) -> Option<Order> {
    Some(match order {
        v1::cluster_order::Order::Drain(node) => Order::Drain(NodeId::new(node)),
        v1::cluster_order::Order::Undrain(node) => Order::Undrain(NodeId::new(node)),
        v1::cluster_order::Order::Remove(node) => Order::Remove(NodeId::new(node)),
        v1::cluster_order::Order::Pause(_) => Order::Pause,
        v1::cluster_order::Order::Resume(_) => Order::Resume,
        v1::cluster_order::Order::Replication(replicas) => Order::Replication(u8::try_from(replicas).ok()?),
        v1::cluster_order::Order::ReplaceAfterMs(ms) => Order::ReplaceAfter(Duration::from_millis(ms)),
        v1::cluster_order::Order::Token(token) => Order::Token(token.secret),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Denial;

    #[test]
    fn what_is_asked_and_answered_survives_the_wire() {
        let n = NodeId::new;
        let addresses = Addresses { client: "a:1".into(), peer: "b:2".into(), admin: String::new() };
        let orders = [
            Order::Drain(n(2)),
            Order::Undrain(n(3)),
            Order::Remove(n(4)),
            Order::Pause,
            Order::Resume,
            Order::Replication(5),
            Order::ReplaceAfter(Duration::from_millis(12_345)),
            Order::Token(None),
            Order::Token(Some("hush".into())),
        ];
        let admit = |token: Option<&str>| {
            let token = token.map(str::to_owned);
            Ask::Admit(Newcomer { token, name: "x".into(), machine: 1 << 100, addresses: addresses.clone() })
        };
        let announce = Ask::Announce { node: n(3), name: "y".into(), addresses: addresses.clone() };
        let asks = orders.map(Ask::Order).into_iter().chain([admit(None), admit(Some("t")), announce]);
        for ask in asks {
            assert!(Ask::decode(ask.kind(), &ask.encode()).is_ok_and(|read| read == ask));
        }
        let outcomes = [
            Ok(7),
            Err(NotWritten::Refused(Denied::new(Denial::Token, "no"))),
            Err(NotWritten::Elsewhere(Some(n(2)))),
            Err(NotWritten::Elsewhere(None)),
            Err(NotWritten::Unavailable("a".into())),
            Err(NotWritten::Unknown("b".into())),
        ];
        for outcome in outcomes {
            assert_eq!(decode_done(&encode_done(outcome.clone())), outcome);
        }
        assert!(Ask::decode(kinds::ORDER, &Bytes::new()).is_err());
        assert!(Ask::decode(kinds::ADMIT, &Bytes::new()).is_err());
    }
}
