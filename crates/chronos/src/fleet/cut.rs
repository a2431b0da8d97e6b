//! Networks that can be cut: each node in a namespace of its own on one bridge, with packets dropped by nftables.
//!
//! The process that builds them, and with it the client, stands outside on the bridge and reaches every node at all
//! times: what is cut is what nodes say to each other. Dropping removes everything again.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use crate::failure::{Failure, Outcome};

/// Which packets between one node and all others are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It neither hears nor is heard.
    Both,
    /// It is heard and hears nobody.
    Inbound,
    /// It hears and is not heard by anybody.
    Outbound,
}

/// The networks.
pub(crate) struct Networks {
    /// What all names begin with, so that two campaigns do not meet.
    prefix: String,
    nodes: usize,
}

impl Networks {
    /// Builds them.
    ///
    /// # Errors
    /// Without root, `ip` or `nft`.
    pub(crate) fn build(nodes: usize) -> Outcome<Self> {
        let networks = Self { prefix: format!("ch{:x}", std::process::id() % 0xffff), nodes };
        let bridge = networks.bridge();
        run("ip", &["link", "add", &bridge, "type", "bridge"])?;
        run("ip", &["addr", "add", &format!("{}/24", networks.outside()), "dev", &bridge])?;
        run("ip", &["link", "set", &bridge, "up"])?;
        for at in 0..nodes {
            networks.add(at)?;
        }
        Ok(networks)
    }

    /// Why they cannot be built here, if so.
    pub(crate) fn missing() -> Option<String> {
        let tools = [("ip", ["netns", "list"]), ("nft", ["list", "tables"])];
        tools.into_iter().find_map(|(program, args)| run(program, &args).err()).map(|why| why.to_string())
    }

    fn add(&self, at: usize) -> Outcome {
        let (space, bridge) = (self.name(at), self.bridge());
        let (outside, inside) = (format!("{}v{at}", self.prefix), "eth0");
        run("ip", &["netns", "add", &space])?;
        run("ip", &["link", "add", &outside, "type", "veth", "peer", "name", inside, "netns", &space])?;
        run("ip", &["link", "set", &outside, "master", &bridge, "up"])?;
        run("ip", &["-n", &space, "addr", "add", &format!("{}/24", self.host(at)), "dev", inside])?;
        run("ip", &["-n", &space, "link", "set", inside, "up"])?;
        run("ip", &["-n", &space, "link", "set", "lo", "up"])
    }

    /// The namespace of node `at`.
    pub(crate) fn name(&self, at: usize) -> String {
        format!("{}n{at}", self.prefix)
    }

    /// The address of node `at`.
    pub(crate) fn host(&self, at: usize) -> IpAddr {
        Ipv4Addr::new(10, 98, self.net(), at as u8 + 1).into()
    }

    fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 98, self.net(), 254)
    }

    fn net(&self) -> u8 {
        (std::process::id() % 256) as u8
    }

    fn bridge(&self) -> String {
        format!("{}br", self.prefix)
    }

    /// Loses packets between node `at` and all other nodes, until [`heal`](Self::heal).
    pub(crate) fn cut(&self, at: usize, cut: Cut) -> Outcome {
        let others: Vec<String> =
            (0..self.nodes).filter(|other| *other != at).map(|other| self.host(other).to_string()).collect();
        let set = format!("{{ {} }}", others.join(", "));
        let mut rules = "add table ip cut\n".to_owned();
        if cut != Cut::Outbound {
            rules += "add chain ip cut in { type filter hook input priority 0; }\n";
            rules += &format!("add rule ip cut in ip saddr {set} drop\n");
        }
        if cut != Cut::Inbound {
            rules += "add chain ip cut out { type filter hook output priority 0; }\n";
            rules += &format!("add rule ip cut out ip daddr {set} drop\n");
        }
        self.nft(at, &rules)
    }

    /// Loses nothing any more.
    pub(crate) fn heal(&self, at: usize) -> Outcome {
        // Added first, so that it is there to be deleted.
        self.nft(at, "add table ip cut\ndelete table ip cut\n")
    }

    /// All rules or none, at one moment.
    fn nft(&self, at: usize, rules: &str) -> Outcome {
        let mut file = tempfile::NamedTempFile::new()
            .map_err(|e| Failure::failed(format!("cannot write rules: {e}")))?;
        file.write_all(rules.as_bytes()).map_err(|e| Failure::failed(format!("cannot write rules: {e}")))?;
        let path = file.path().to_string_lossy();
        run("ip", &["netns", "exec", &self.name(at), "nft", "-f", &path])
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // One pair of interfaces goes with its namespace. What was never made cannot be removed, and need not be.
        for at in 0..self.nodes {
            let _ = run("ip", &["netns", "del", &self.name(at)]);
        }
        let _ = run("ip", &["link", "del", &self.bridge()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> Outcome {
    let command = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| Failure::failed(format!("cannot run `{command}`: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("`{command}` failed: {}", said.trim())))
}
