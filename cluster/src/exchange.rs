//! Which room of this node answers a message of another one.
//!
//! Who has something to say to other nodes takes a range of kinds, below, and one handler for it. Until a room is open,
//! and for what no room is for, the sender is told so.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::RwLock;

use crate::node::NodeId;
use crate::peer::{Handler, Message, Refusal};

/// The kinds of messages, by who answers them. A kind is on the wire: it is never given another meaning.
pub(crate) mod kinds {
    use std::ops::RangeInclusive;

    /// Between the members of one group.
    pub(crate) const CONSENSUS: RangeInclusive<u8> = 1..=15;
    /// From one replica of a group to the one that leads it, about how fresh a read is.
    pub(crate) const READS: RangeInclusive<u8> = 16..=31;
    /// What callers of one node want of a partition that another one leads or holds.
    pub(crate) const FORWARDED: RangeInclusive<u8> = 32..=63;
    /// The one kind of it: what is wanted is in the body.
    pub(crate) const FORWARD: u8 = 32;
    /// About the cluster itself.
    pub(crate) const CLUSTER: RangeInclusive<u8> = 64..=79;
    /// How does every replica of yours do?
    pub(crate) const STATUS: u8 = 64;
    /// Take this step of the placement.
    pub(crate) const STEER: u8 = 65;
    /// To the leader of the system partition: a node asks to become a member.
    pub(crate) const ADMIT: u8 = 66;
    /// To the same: a member says where it is reached.
    pub(crate) const ANNOUNCE: u8 = 67;
    /// To the same: what an operator wants.
    pub(crate) const ORDER: u8 = 68;
    /// Between replicas of one group, when one of them is being repaired.
    pub(crate) const REPAIR: RangeInclusive<u8> = 88..=95;
    /// What an operator has done on another node.
    pub(crate) const OPERATORS: RangeInclusive<u8> = 96..=103;
    /// The one kind of it: what is asked is in the body.
    pub(crate) const OPERATE: u8 = 96;
}

/// Hands each message to the room that answers its kind. Clones share the rooms.
#[derive(Clone, Default)]
pub struct Exchange(Arc<RwLock<Vec<Room>>>);

struct Room {
    kinds: RangeInclusive<u8>,
    handler: Arc<dyn Handler>,
}

impl Exchange {
    /// From now on messages of these kinds go to `handler`.
    ///
    /// # Panics
    /// When some of them go elsewhere already: kinds are given out above, once.
    pub fn open(&self, kinds: RangeInclusive<u8>, handler: Arc<dyn Handler>) {
        let mut rooms = self.0.write();
        let is_free = |room: &Room| *kinds.end() < *room.kinds.start() || *room.kinds.end() < *kinds.start();
        assert!(rooms.iter().all(is_free), "each kind of message has one room");
        rooms.push(Room { kinds, handler });
    }

    /// Hands nothing to anybody any more, and forgets who did.
    pub fn close(&self) {
        self.0.write().clear();
    }
}

impl Handler for Exchange {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let rooms = self.0.read();
        let room = rooms.iter().find(|room| room.kinds.contains(&message.kind));
        if let Some(room) = room {
            return room.handler.handle(from, message);
        }
        let text = format!("nobody answers messages of kind {} here, or not yet", message.kind);
        async move { Err(Refusal::new(Refusal::ABSENT, text)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(&'static str);

    impl Handler for Says {
        fn handle(&self, _: NodeId, _: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
            let said = Bytes::from_static(self.0.as_bytes());
            async move { Ok(said) }.boxed()
        }
    }

    fn ask(exchange: &Exchange, kind: u8) -> Result<Bytes, Refusal> {
        let message = Message { group: 0, kind, body: Bytes::new() };
        exchange.handle(NodeId::FIRST, message).now_or_never().expect("nothing here waits")
    }

    #[test]
    fn a_message_goes_to_the_room_of_its_kind_and_to_no_other() {
        let exchange = Exchange::default();
        exchange.open(1..=3, Arc::new(Says("low")));
        exchange.open(4..=4, Arc::new(Says("high")));
        assert_eq!((ask(&exchange, 3).unwrap(), ask(&exchange, 4).unwrap()), ("low".into(), "high".into()));
        for kind in [0, 5] {
            assert_eq!(ask(&exchange, kind).unwrap_err().code, Refusal::ABSENT);
        }
        exchange.close();
        assert_eq!(ask(&exchange, 3).unwrap_err().code, Refusal::ABSENT);
    }

    #[test]
    #[should_panic(expected = "one room")]
    fn no_kind_has_two_rooms() {
        let exchange = Exchange::default();
        exchange.open(1..=3, Arc::new(Says("one")));
        exchange.open(3..=4, Arc::new(Says("other")));
    }
}
