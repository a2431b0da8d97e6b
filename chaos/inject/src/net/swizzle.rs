//! Swizzle-clogging: nodes are cut off one by one until all are, and let in again in another order. (FoundationDB's
//! name for the pattern that found most in their simulation.)

use std::collections::BTreeMap;

use super::{Links, Peer};
use crate::dice::Dice;
use crate::episode::Episode;
use crate::error::Result;

/// One swizzle, step by step. Dropping it frees everybody.
pub struct Swizzle {
    links: Links,
    to_clog: Vec<Peer>,
    to_free: Vec<Peer>,
    clogged: BTreeMap<Peer, Episode>,
}

impl Swizzle {
    pub(super) fn new(links: Links, nodes: Vec<Peer>, dice: &mut Dice) -> Swizzle {
        let [to_clog, to_free] = orders(nodes, dice);
        Swizzle { links, to_clog, to_free, clogged: BTreeMap::new() }
    }

    /// Takes the next step: clogs one node more, or frees the next when all are clogged. `None` when all is over.
    ///
    /// # Errors
    /// As for [`Links::partition`].
    pub fn step(&mut self) -> Result<Option<Peer>> {
        if let Some(node) = self.to_clog.pop() {
            self.clogged.insert(node, self.links.isolate(node)?);
            return Ok(Some(node));
        }
        let Some(node) = self.to_free.pop() else { return Ok(None) };
        self.clogged.remove(&node).map_or(Ok(()), Episode::heal)?;
        Ok(Some(node))
    }

    /// Who is cut off now.
    pub fn clogged(&self) -> impl Iterator<Item = Peer> {
        self.clogged.keys().copied()
    }
}

fn orders(nodes: Vec<Peer>, dice: &mut Dice) -> [Vec<Peer>; 2] {
    let own = Dice::new(dice.u64());
    ["clog", "free"].map(|purpose| {
        let mut order = nodes.clone();
        own.child(purpose).shuffle(&mut order);
        order
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_every_node_and_follow_from_the_seed() {
        let nodes: Vec<_> = (1..=5).map(Peer::Node).collect();
        let drawn = |seed| orders(nodes.clone(), &mut Dice::new(seed));
        assert_eq!(drawn(4), drawn(4));
        assert_ne!(drawn(4), drawn(5));
        for mut order in drawn(4) {
            order.sort_unstable();
            assert_eq!(order, nodes);
        }
    }
}
