//! Addresses that the machine does not use.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::Peer;
use crate::error::{Error, Result, While};
use crate::tool::IP;

/// The range for benchmarks of networks (RFC 2544): no machine on the internet has an address in it.
const RANGE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Subnets of 256 addresses in it.
const SUBNETS: u32 = 512;
/// Nodes of one ground: their numbers are the last part of their addresses.
pub(crate) const NODES_MAX: u8 = 99;
const HOST: u8 = 254;

/// 256 addresses: the nodes' from .1, the host's is .254.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet(Ipv4Addr);

impl Subnet {
    /// One that neither an address nor a route of this machine touches. To be called by who has the turn.
    pub(crate) fn find() -> Result<Subnet> {
        free(&ranges(&known()?)).ok_or_else(|| {
            Error::Unfit(format!(
                "all {SUBNETS} subnets of {RANGE}/15 are in use on this machine: sweep leftovers"
            ))
        })
    }

    /// The one that a file in this directory names, or a new one, which it names from now on. To be called by who has the
    /// turn.
    pub(crate) fn kept(kept: &Path) -> Result<Subnet> {
        let file = kept.join("subnet");
        let Ok(text) = fs::read_to_string(&file) else {
            let found = Subnet::find()?;
            fs::write(&file, found.0.to_string()).during(|| format!("writing {}", file.display()))?;
            return Ok(found);
        };
        let first: Ipv4Addr = text
            .trim()
            .parse()
            .map_err(|_| Error::Unfit(format!("{} does not name a subnet: {text:?}", file.display())))?;
        let subnet = Subnet(first);
        if subnet.is_free(&ranges(&known()?)) {
            return Ok(subnet);
        }
        Err(Error::Unfit(format!(
            "the nodes kept in {} have addresses from {first}, which something on this machine uses: wait for it, or stop it",
            kept.display()
        )))
    }

    fn is_free(self, taken: &[(u32, u32)]) -> bool {
        let first = u32::from(self.0);
        taken.iter().all(|(from, to)| *to < first || first + 255 < *from)
    }

    pub(crate) fn address(self, of: Peer) -> Ipv4Addr {
        let [a, b, c, _] = self.0.octets();
        let last = match of {
            Peer::Node(number) => number,
            Peer::Host => HOST,
        };
        Ipv4Addr::new(a, b, c, last)
    }

    /// Whose address that is, if anybody's here.
    pub(crate) fn peer(self, address: Ipv4Addr) -> Option<Peer> {
        let [.., last] = address.octets();
        let peer = if last == HOST { Peer::Host } else { Peer::Node(last) };
        (self.address(peer) == address).then_some(peer)
    }
}

fn free(taken: &[(u32, u32)]) -> Option<Subnet> {
    let candidates = (0..SUBNETS).map(|n| Subnet((u32::from(RANGE) + n * 256).into()));
    candidates.into_iter().find(|subnet| subnet.is_free(taken))
}

/// What this machine uses, in the words of `ip`.
fn known() -> Result<String> {
    Ok(IP.line("-4 -o addr show")? + &IP.line("-4 route show table all")?)
}

/// First and last address of each range named in the output of `ip`. A default route is no use of the addresses.
fn ranges(known: &str) -> Vec<(u32, u32)> {
    let words = known.split_whitespace();
    words.filter_map(range).filter(|(first, last)| last - first < u32::MAX).collect()
}

fn range(word: &str) -> Option<(u32, u32)> {
    let (address, bits) = word.split_once('/').unwrap_or((word, "32"));
    let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
    let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
    let first = u32::from(address) & mask;
    Some((first, first | !mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "4: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\n\
        9: br    inet 198.18.0.254/24 scope global br\n\
        default via 192.0.2.1 dev eth0\n0.0.0.0/0 dev x\n198.18.2.0/23 via 192.0.2.9 dev eth0\n";

    fn found(known: &str) -> Option<String> {
        free(&ranges(known)).map(|subnet| subnet.address(Peer::Node(1)).to_string())
    }

    #[test]
    fn a_subnet_is_chosen_that_touches_neither_addresses_nor_routes() {
        assert_eq!(found("").unwrap(), "198.18.0.1");
        assert_eq!(found(KNOWN).unwrap(), "198.18.1.1", "0 is an address");
        let more = format!("{KNOWN}198.18.1.7 dev x\n");
        assert_eq!(found(&more).unwrap(), "198.18.4.1", "1 has a route to a host, 2 and 3 are routed");
    }

    #[test]
    fn there_is_none_when_the_whole_range_is_routed() {
        assert_eq!(found("198.18.0.0/15 dev tun0"), None);
        assert_eq!(found("198.0.0.0/8 dev tun0"), None);
    }

    #[test]
    fn an_address_leads_back_to_its_peer() {
        let subnet = free(&[]).unwrap();
        for peer in [Peer::Node(1), Peer::Node(NODES_MAX), Peer::Host] {
            assert_eq!(subnet.peer(subnet.address(peer)), Some(peer));
        }
        assert_eq!(subnet.peer(Ipv4Addr::new(10, 0, 0, 1)), None);
    }
}
