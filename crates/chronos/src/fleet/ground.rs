//! Where the nodes of a fleet stand: on loopback, or each in a network of its own that can be cut.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{Failure, Outcome};
use crate::fleet::cut::Networks;

/// Ports below those that the system gives to outgoing connections. One of those could be taken, while a node is down,
/// by whoever tries to reach it: a connection to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The ports of a node alone; a fleet that people look at tries to have them.
const USUAL: u16 = 7400;

/// Ports of one node, and room to the next.
const STRIDE: u16 = 10;

/// The network below a fleet.
pub(crate) enum Ground {
    /// All on loopback; `next` is the port to try next.
    Loopback {
        /// The next port to try.
        next: u16,
    },
    /// Each node in a network namespace of its own.
    Networks(Networks),
}

/// Where one node stands.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    host: IpAddr,
    /// Of the client listener; those of peers and operators follow.
    port: u16,
    /// The network namespace, when it has one of its own.
    pub(crate) namespace: Option<String>,
}

impl Ground {
    /// Loopback, with ports that are no other's.
    pub(crate) fn loopback() -> Self {
        // Two fleets that start at the same time begin to look at different places.
        let offset = (std::process::id() % 1000) as u16 * STRIDE;
        Self::Loopback { next: PORTS.start + offset }
    }

    /// Loopback, with the usual ports where they are free: the CLI finds such a fleet without being told.
    pub(crate) const fn usual() -> Self {
        Self::Loopback { next: USUAL }
    }

    /// Networks that can be cut, for so many nodes. Needs root.
    pub(crate) fn networks(nodes: usize) -> Outcome<Self> {
        Networks::build(nodes).map(Self::Networks)
    }

    /// The networks, when they can be cut.
    pub(crate) const fn cuttable(&self) -> Option<&Networks> {
        match self {
            Self::Networks(networks) => Some(networks),
            Self::Loopback { .. } => None,
        }
    }

    /// Where node `at` is to stand.
    pub(crate) fn site(&mut self, at: usize) -> Outcome<Site> {
        match self {
            Self::Networks(networks) => {
                Ok(Site { host: networks.host(at), port: USUAL, namespace: Some(networks.name(at)) })
            }
            Self::Loopback { next } => {
                while *next < PORTS.end {
                    let port = *next;
                    *next += STRIDE;
                    let site = Site { host: Ipv4Addr::LOCALHOST.into(), port, namespace: None };
                    if site.is_free() {
                        return Ok(site);
                    }
                    // The usual ports are taken: any will do.
                    if *next > USUAL + 10 * STRIDE && *next < PORTS.start {
                        *next = PORTS.start;
                    }
                }
                Err(Failure::failed("no free ports are left for another node"))
            }
        }
    }
}

impl Site {
    /// Where clients reach it.
    pub(crate) fn client(&self) -> String {
        self.at(0)
    }

    /// Where other nodes reach it.
    pub(crate) fn peer(&self) -> String {
        self.at(1)
    }

    /// Where operators reach it.
    pub(crate) fn admin(&self) -> String {
        self.at(2)
    }

    fn at(&self, step: u16) -> String {
        SocketAddr::new(self.host, self.port + step).to_string()
    }

    fn is_free(&self) -> bool {
        (0..3).all(|step| TcpListener::bind(SocketAddr::new(self.host, self.port + step)).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_have_ports_of_their_own_and_none_that_is_taken() {
        let mut ground = Ground::loopback();
        let first = ground.site(0).unwrap();
        let taken = TcpListener::bind(SocketAddr::new(first.host, first.port + STRIDE + 2)).unwrap();
        let second = ground.site(1).unwrap();
        let all: std::collections::BTreeSet<String> =
            [&first, &second].iter().flat_map(|site| [site.client(), site.peer(), site.admin()]).collect();
        assert_eq!(all.len(), 6);
        assert!(!all.contains(&taken.local_addr().unwrap().to_string()));
    }
}
