//! Breaking and mending links.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connections::open_connections;
use super::rules::{Rule, Rules, Wrong};
use super::{Namespace, Peer, Subnet, Swizzle};
use crate::dice::Dice;
use crate::episode::Episode;
use crate::error::{Error, Result, While};
use crate::tool::{NFT, TC};

/// The links between the peers of a ground. Clones are handles to the same links.
///
/// Faults are episodes and add up: a link works again when the last fault on it is healed.
#[derive(Clone)]
pub struct Links(Arc<Shared>);

struct Shared {
    /// The name of our table in each place.
    table: String,
    subnet: Subnet,
    /// Those of node 1, 2, …
    namespaces: Vec<Namespace>,
    rules: Mutex<Rules>,
}

impl Links {
    pub(crate) fn new(table: String, subnet: Subnet, namespaces: Vec<Namespace>) -> Links {
        // Names with dashes would have to be quoted everywhere.
        Links(Arc::new(Shared {
            table: table.replace('-', "_"),
            subnet,
            namespaces,
            rules: Mutex::default(),
        }))
    }

    /// Nodes and host, in order.
    pub fn peers(&self) -> Vec<Peer> {
        self.nodes().chain([Peer::Host]).collect()
    }

    /// Nothing passes between anyone of `a` and anyone of `b`, either way.
    ///
    /// # Errors
    /// If a peer does not exist or the rules cannot be loaded; so for all faults here. Nothing is left in force then.
    pub fn partition(&self, a: &[Peer], b: &[Peer]) -> Result<Episode> {
        let pairs = pairs(a, b).chain(pairs(b, a));
        self.begin(format!("no packets between {} and {}", names(a), names(b)), pairs, Wrong::Drop)
    }

    /// Nothing passes from anyone of `from` to anyone of `to`; the other way stays as it is.
    ///
    /// # Errors
    /// As for [`Links::partition`].
    pub fn partition_one_way(&self, from: &[Peer], to: &[Peer]) -> Result<Episode> {
        self.begin(format!("no packets from {} to {}", names(from), names(to)), pairs(from, to), Wrong::Drop)
    }

    /// Cuts `peer` off from everybody else, both ways.
    ///
    /// # Errors
    /// As for [`Links::partition`].
    pub fn isolate(&self, peer: Peer) -> Result<Episode> {
        let others: Vec<_> = self.peers().into_iter().filter(|other| *other != peer).collect();
        self.partition(&[peer], &others)
    }

    /// Splits the other nodes into two halves that do not see each other, while node `bridge` sees all. Which node goes to
    /// which half is drawn. The host keeps seeing everybody.
    ///
    /// # Errors
    /// As for [`Links::partition`], and if there are fewer than two other nodes.
    pub fn bridge(&self, bridge: Peer, dice: &mut Dice) -> Result<Episode> {
        let mut others: Vec<_> = self.nodes().filter(|node| *node != bridge).collect();
        if others.len() < 2 {
            return Err(Error::Unfit(format!("{bridge} is no bridge: there are fewer than two other nodes")));
        }
        dice.shuffle(&mut others);
        let (one, other) = others.split_at(others.len() / 2);
        self.partition(one, other)
    }

    /// Of the packets from `from` to `to` so many of 1,000 are lost, by the kernel's own dice.
    ///
    /// # Errors
    /// As for [`Links::partition`], and if `per_mille` is above 1,000.
    pub fn lose(&self, from: &[Peer], to: &[Peer], per_mille: u16) -> Result<Episode> {
        if per_mille > 1000 {
            return Err(Error::Unfit(format!("a loss of {per_mille} of 1,000 packets")));
        }
        let what = format!("{per_mille} of 1,000 packets from {} to {} are lost", names(from), names(to));
        self.begin(what, pairs(from, to), Wrong::Lose { per_mille })
    }

    /// Every packet of a TCP connection between `a` and `b` is answered by a reset: connections break at their next packet,
    /// and new ones are refused, until it is healed.
    ///
    /// # Errors
    /// As for [`Links::partition`].
    pub fn reset(&self, a: &[Peer], b: &[Peer]) -> Result<Episode> {
        let pairs = pairs(a, b).chain(pairs(b, a));
        self.begin(
            format!("connections between {} and {} are reset", names(a), names(b)),
            pairs,
            Wrong::Reset,
        )
    }

    /// Every connection that is open between `a` and `b` goes silent, and nobody is told, as behind a firewall that lost its
    /// state: each side believes that it is open. New connections work. Healing gives the old ones their voice back. What the episode
    /// says has their number.
    ///
    /// # Errors
    /// As for [`Links::partition`], and if neither is a node.
    pub fn wedge(&self, a: Peer, b: Peer) -> Result<Episode> {
        let place = if a == Peer::Host { b } else { a };
        let listed = self.namespace(place)?.inside(|| {
            let list = |family| fs::read_to_string(format!("/proc/thread-self/net/{family}"));
            // A machine may have no IPv6.
            list("tcp").map(|first| first + &list("tcp6").unwrap_or_default())
        })?;
        let listed = listed.during(|| format!("listing the connections of {place}"))?;
        let other = if place == a { b } else { a };
        let ends = [self.address(place), self.address(other)];
        let between = |(own, far): &(SocketAddrV4, SocketAddrV4)| [*own.ip(), *far.ip()] == ends;
        let open: Vec<_> = open_connections(&listed).into_iter().filter(between).collect();
        let what = format!("{} connections between {a} and {b} are silent", open.len());
        let rules = open.into_iter().flat_map(|(own, far)| {
            let silent = |from: SocketAddrV4, to: SocketAddrV4| Wrong::DropConnection {
                from_port: from.port(),
                to_port: to.port(),
            };
            let rule = |from, to, wrong| Rule { from, to, wrong };
            [rule(place, other, silent(own, far)), rule(other, place, silent(far, own))]
        });
        self.enforce(what, rules.collect())
    }

    /// Parts `a` from `b` and joins them again, `times` times, for `period` each. Returns when the links are whole.
    ///
    /// # Errors
    /// As for [`Links::partition`].
    pub fn flap(&self, a: &[Peer], b: &[Peer], times: u32, period: Duration) -> Result<()> {
        for _ in 0..times {
            let down = self.partition(a, b)?;
            std::thread::sleep(period);
            down.heal()?;
            std::thread::sleep(period);
        }
        Ok(())
    }

    /// Clogs the nodes one by one and frees them in another order, both drawn. The caller sets the pace.
    pub fn swizzle(&self, dice: &mut Dice) -> Swizzle {
        Swizzle::new(self.clone(), self.nodes().collect(), dice)
    }

    /// What `node` sends leaves at no more than this rate; what does not fit a queue of 200 ms is lost.
    ///
    /// # Errors
    /// If the node does not exist, is slow already, or the rate is refused.
    pub fn slow(&self, node: Peer, bits_per_second: u64) -> Result<Episode> {
        let namespace = self.namespace(node)?.clone();
        run_tc(&namespace, &format!("qdisc add dev eth0 root {}", bucket(bits_per_second)))?;
        Ok(Episode::new(format!("{node} sends {bits_per_second} bits per second"), move || {
            run_tc(&namespace, "qdisc del dev eth0 root")
        }))
    }

    fn begin(
        &self,
        what: String,
        pairs: impl Iterator<Item = (Peer, Peer)>,
        wrong: Wrong,
    ) -> Result<Episode> {
        self.enforce(what, pairs.map(|(from, to)| Rule { from, to, wrong }).collect())
    }

    fn enforce(&self, what: String, new: Vec<Rule>) -> Result<Episode> {
        for rule in &new {
            self.check(rule.from)?;
            self.check(rule.to)?;
        }
        let places: BTreeSet<_> = new.iter().map(|rule| rule.to).collect();
        let mut rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: Vec<_> = new.into_iter().map(|rule| rules.add(rule)).collect();
        drop(rules);
        let (links, changed) = (self.clone(), places.clone());
        // Made before the rules are loaded: should that fail halfway, its drop takes them back.
        let episode = Episode::new(what, move || {
            let mut rules = links.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
            ids.into_iter().for_each(|id| rules.remove(id));
            drop(rules);
            links.load(&changed)
        });
        self.load(&places)?;
        Ok(episode)
    }

    /// Brings the kernel's rules in `places` to what is in force. One thread at a time: an older text must not be loaded
    /// after a newer one.
    fn load(&self, places: &BTreeSet<Peer>) -> Result<()> {
        let rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().try_for_each(|place| {
            let text = rules.render(&self.0.table, *place, |peer| self.0.subnet.address(peer));
            let mut command = match place {
                Peer::Host => NFT.command(),
                Peer::Node(_) => self.namespace(*place)?.command(NFT),
            };
            NFT.feed(command.args(["-f", "-"]), &text).map(drop)
        })
    }

    fn nodes(&self) -> impl Iterator<Item = Peer> {
        (1..).zip(&self.0.namespaces).map(|(number, _)| Peer::Node(number))
    }

    fn check(&self, peer: Peer) -> Result<()> {
        if peer == Peer::Host { Ok(()) } else { self.namespace(peer).map(drop) }
    }

    fn namespace(&self, of: Peer) -> Result<&Namespace> {
        let found = match of {
            Peer::Host => None,
            Peer::Node(number) => self.0.namespaces.get(usize::from(number).wrapping_sub(1)),
        };
        found.ok_or_else(|| Error::Unfit(format!("{of} has no namespace on this ground")))
    }

    /// The address of a peer.
    pub fn address(&self, of: Peer) -> Ipv4Addr {
        self.0.subnet.address(of)
    }
}

/// A token bucket of 10 ms, but never smaller than a full packet: it could not pass.
fn bucket(bits_per_second: u64) -> String {
    const PACKET_BYTES_MAX: u64 = 2000;
    let burst_bytes = (bits_per_second / 8 / 100).max(PACKET_BYTES_MAX);
    format!("tbf rate {bits_per_second}bit burst {burst_bytes} latency 200ms")
}

fn run_tc(namespace: &Namespace, args: &str) -> Result<()> {
    TC.finish(namespace.command(TC).args(args.split_whitespace())).map(drop)
}

fn pairs(from: &[Peer], to: &[Peer]) -> impl Iterator<Item = (Peer, Peer)> {
    from.iter().flat_map(|from| to.iter().filter(move |to| *to != from).map(move |to| (*from, *to)))
}

fn names(peers: &[Peer]) -> String {
    peers.iter().map(Peer::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_parted_from_himself() {
        let (one, two) = (Peer::Node(1), Peer::Node(2));
        assert_eq!(
            pairs(&[one, two], &[two, Peer::Host]).collect::<Vec<_>>(),
            [(one, two), (one, Peer::Host), (two, Peer::Host)]
        );
    }

    #[test]
    fn a_bucket_always_passes_a_whole_packet() {
        assert_eq!(bucket(64_000), "tbf rate 64000bit burst 2000 latency 200ms");
        assert_eq!(bucket(80_000_000), "tbf rate 80000000bit burst 100000 latency 200ms");
    }
}
