//! The whole place: a site for each node, and the links between them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cage::Cage;
use crate::clock::{Clock, Clocks};
use crate::dice::Dice;
use crate::disk::{Cut, Disk, cut};
use crate::error::{Error, Result, While};
use crate::net::{Links, Namespace, Peer, Subnet, lay_bridge};
use crate::owner::{self, Mark};
use crate::shim::SYNC_FAILS;
use crate::site::Site;
use crate::sweep::{remove_all_of, sweep_in_turn};
use crate::switch::Switch;
use crate::syncs::Syncs;

/// Nodes of one ground: their numbers are parts of addresses and of short names.
pub const NODES_MAX: u8 = crate::net::NODES_MAX;

/// What joins the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The machine's own loopback, an address for each node: no links to break, and no root needed.
    Loopback,
    /// A kernel bridge: as fast as this machine is.
    Bridge,
    /// A switch in this process, which can delay, duplicate, reorder and corrupt.
    Switch,
}

/// What a ground is to be like.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Where its files go: a directory of its own is made in it and removed with it.
    pub under: PathBuf,
    /// Where compiled helpers are kept for other grounds; made if it is not there. They are loaded into processes, so nobody
    /// else should be able to write there.
    pub cache: PathBuf,
    /// How many nodes, 1 to [`NODES_MAX`].
    pub nodes: u8,
    /// What joins them.
    pub wire: Wire,
    /// Bytes of each node's own disk; `None` for plain directories, which need no root and know no faults of disks.
    pub disk_bytes: Option<u64>,
    /// Whether each node gets a control group: for limits of memory, slow disks and freezing.
    pub caged: bool,
    /// Which clocks of processes can be moved.
    pub clocks: Clocks,
    /// From which the switch's decisions follow.
    pub seed: u64,
}

/// The place. Dropping it takes away everything that it is made of, and kills what still runs there; a ground of a
/// process that was killed is taken away when the next one is laid.
pub struct Ground {
    mark: Mark,
    directory: PathBuf,
    sites: Vec<Site>,
    links: Option<Links>,
    switch: Option<Switch>,
    cache: PathBuf,
}

impl Ground {
    /// Lays it, after removing what killed runs left on this machine.
    ///
    /// # Errors
    /// If the machine cannot do what the layout asks for; what was made until then is removed. [`crate::probe`] finds
    /// out beforehand.
    pub fn lay(layout: &Layout) -> Result<Ground> {
        Ground::lay_over(layout, None)
    }

    /// Lays it over the disks that an earlier ground kept in this directory, or makes them there: what nodes have on them
    /// outlives the ground, and a process that was killed. Nodes have the addresses again that they had.
    ///
    /// # Errors
    /// As [`Ground::lay`]; and if somebody else has taken the addresses, or `kept` is on another file system than
    /// `layout.under`, or the layout is without disks or links of its own.
    pub fn lay_kept(layout: &Layout, kept: &Path) -> Result<Ground> {
        if layout.disk_bytes.is_none() || layout.wire == Wire::Loopback {
            return Err(Error::Unfit(
                "only nodes with disks and links of their own can be kept (as root)".into(),
            ));
        }
        fs::create_dir_all(kept).during(|| format!("making {}", kept.display()))?;
        Ground::lay_over(layout, Some(kept))
    }

    fn lay_over(layout: &Layout, kept: Option<&Path>) -> Result<Ground> {
        if !(1..=NODES_MAX).contains(&layout.nodes) {
            return Err(Error::Unfit(format!(
                "a ground of {} nodes: 1 to {NODES_MAX} are possible",
                layout.nodes
            )));
        }
        let _turn = owner::turn()?;
        sweep_in_turn();
        let mark = Mark::claim()?;
        let under =
            fs::canonicalize(&layout.under).during(|| format!("finding {}", layout.under.display()))?;
        let directory = under.join(mark.name());
        // From here on a failure drops the ground, which takes away what is there.
        let cache = layout.cache.clone();
        let mut ground = Ground { mark, directory, sites: Vec::new(), links: None, switch: None, cache };
        mark.remember(&ground.directory)?;
        fs::create_dir_all(&ground.directory).during(|| format!("making {}", ground.directory.display()))?;
        let addresses = ground.lay_wires(layout, kept)?;
        for (number, (address, namespace)) in (1..).zip(addresses) {
            let site = ground.lay_site(layout, (number, address), namespace, kept)?;
            ground.sites.push(site);
        }
        Ok(ground)
    }

    /// The sites of all nodes, that of node 1 first.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The site of node `number`, counted from 1.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn site(&self, number: u8) -> &Site {
        &self.sites[usize::from(number) - 1]
    }

    /// The links between the nodes.
    ///
    /// # Errors
    /// If the nodes are joined by loopback.
    pub fn links(&self) -> Result<&Links> {
        self.links.as_ref().ok_or_else(|| Error::Unfit("there are no links to break on loopback".into()))
    }

    /// The switch between the nodes.
    ///
    /// # Errors
    /// If they are joined by something else.
    pub fn switch(&self) -> Result<&Switch> {
        self.switch.as_ref().ok_or_else(|| Error::Unfit("this ground was laid without a switch".into()))
    }

    /// Cuts the power of the disks of `nodes`, all at the same moment: what they did not sync is gone. Their processes are to
    /// be killed then, and [`Disk::remount`] to be called on each.
    ///
    /// # Errors
    /// If a node has no disk of its own, or gcc is missing; and with some of the power cut, if the kernel refuses one.
    pub fn cut_power(&self, nodes: &[u8]) -> Result<Cut> {
        let disks: Vec<_> = nodes.iter().map(|node| self.site(*node).disk()).collect::<Result<_>>()?;
        cut(&disks, &self.cache)
    }

    /// A directory for files of the caller that is removed with the ground.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes the network. Gives each node's address, and its namespace if it has one.
    fn lay_wires(
        &mut self,
        layout: &Layout,
        kept: Option<&Path>,
    ) -> Result<Vec<(Ipv4Addr, Option<Namespace>)>> {
        let numbers = 1..=layout.nodes;
        if layout.wire == Wire::Loopback {
            return Ok(numbers.map(|number| (loopback(self.mark, number), None)).collect());
        }
        let subnet = kept.map_or_else(Subnet::find, Subnet::kept)?;
        let namespaces = numbers.clone().map(|number| Namespace::make(self.mark.node(number)));
        let namespaces: Vec<_> = namespaces.collect::<Result<_>>()?;
        if layout.wire == Wire::Bridge {
            lay_bridge(self.mark, subnet, &namespaces)?;
        } else {
            let dice = Dice::new(layout.seed).child("switch");
            self.switch = Some(Switch::lay(self.mark, subnet, &namespaces, dice)?);
        }
        self.links = Some(Links::new(self.mark.name(), subnet, namespaces.clone()));
        let addresses = numbers.map(|number| subnet.address(Peer::Node(number)));
        Ok(addresses.zip(namespaces.into_iter().map(Some)).collect())
    }

    fn lay_site(
        &self,
        layout: &Layout,
        (number, address): (u8, Ipv4Addr),
        namespace: Option<Namespace>,
        kept: Option<&Path>,
    ) -> Result<Site> {
        let place = |suffix: &str| self.directory.join(format!("n{number}{suffix}"));
        let make = |bytes| match kept.map(|kept| kept.join(format!("n{number}.img"))) {
            None => Disk::make(place(".img"), place(""), bytes),
            Some(kept) => Disk::keep(&kept, place(".img"), place(""), bytes),
        };
        let disk = layout.disk_bytes.map(make).transpose()?;
        let data = disk.as_ref().map_or_else(|| place(""), Disk::data);
        fs::create_dir_all(&data).during(|| format!("making {}", data.display()))?;
        let cage = layout.caged.then(|| Cage::make(&self.mark.node(number))).transpose()?;
        let clock = Clock::new(place(".clock"), layout.clocks)?;
        // Without gcc everything else still works; the fault itself says that it is missing.
        let sync_shim = SYNC_FAILS.build(&self.cache).ok();
        let syncs = Syncs::new(place(".syncs"));
        Ok(Site { number, address, data, namespace, cage, disk, clock, syncs, sync_shim })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.switch = None;
        let stuck = remove_all_of(self.mark, &self.directory).stuck;
        if stuck.is_empty() {
            self.mark.release();
        }
        stuck.iter().for_each(|stuck| eprintln!("left behind: {stuck}"));
    }
}

/// Every address of 127.0.0.0/8 is this machine's: those of one ground differ from those of others by its mark, though two
/// processes whose ids are far apart may share some.
fn loopback(mark: Mark, number: u8) -> Ipv4Addr {
    let [.., high, low] = (mark.pid.wrapping_mul(100).wrapping_add(mark.ground.into())).to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, number)
}
