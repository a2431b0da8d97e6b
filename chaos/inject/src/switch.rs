//! The slow wire: a switch in this process between a TUN device in each node's namespace and one for the host. Each direction
//! of each link has a [`Quality`], and every decision about a packet follows from the seed and from how many packets
//! went that way before.
//!
//! One thread does it all: it takes what was sent, decides when that arrives, and hands over what is due. A packet is
//! late by what the scheduler adds, some ten microseconds on a calm machine and more on a busy one.

mod packet;
mod quality;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::dice::Dice;
use crate::episode::Episode;
use crate::error::{Error, Result, While};
use crate::net::{Namespace, Peer, Subnet};
use crate::owner::Mark;
use crate::tool::IP;
pub use quality::Quality;
use quality::{Direction, Fate};

/// How long the thread waits at most when nothing is under way: so long may it take to stop.
const IDLE: Duration = Duration::from_millis(20);
/// Packets that are taken from one device before the others get their turn.
const TURN_PACKETS: usize = 64;
const PACKET_BYTES_MAX: usize = 65_536;
/// Packets under way at once; more are lost, as in any switch.
const UNDER_WAY_MAX: usize = 65_536;

/// What a switch has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Handed over, duplicates included.
    pub delivered: u64,
    /// Lost by decision.
    pub lost: u64,
    /// Sent on twice.
    pub duplicated: u64,
    /// Held back so that others overtook them.
    pub reordered: u64,
    /// Damaged.
    pub corrupted: u64,
    /// For nobody here, or too many under way.
    pub dropped: u64,
}

/// The switch of a ground. Stops when it is dropped, and its devices go with it.
pub struct Switch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    stop: AtomicBool,
}

struct State {
    dice: Dice,
    directions: BTreeMap<(Peer, Peer), Direction>,
    traffic: Traffic,
}

/// A packet under way. Ordered by the time it is due, then by the order in which it was sent.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Duration,
    ordinal: u64,
    to: Peer,
    packet: Vec<u8>,
}

impl Switch {
    /// Plugs in `namespaces` (those of node 1, 2, …) and the host.
    pub(crate) fn lay(mark: Mark, subnet: Subnet, namespaces: &[Namespace], dice: Dice) -> Result<Switch> {
        let mut ports = BTreeMap::new();
        for (number, namespace) in (1..).zip(namespaces) {
            let peer = Peer::Node(number);
            let name = mark.device('t', number);
            ports.insert(peer, plug(&name)?);
            IP.line(&format!("link set {name} netns {} name eth0", namespace.name()))?;
            namespace.ip(&format!("addr add {}/24 dev eth0", subnet.address(peer)))?;
            namespace.ip("link set eth0 up")?;
        }
        let name = mark.device('h', 0);
        ports.insert(Peer::Host, plug(&name)?);
        IP.line(&format!("addr add {}/24 dev {name}", subnet.address(Peer::Host)))?;
        IP.line(&format!("link set {name} up"))?;
        let state = State { dice, directions: BTreeMap::new(), traffic: Traffic::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), stop: AtomicBool::new(false) });
        let run = Run {
            shared: shared.clone(),
            ports,
            subnet,
            under_way: BinaryHeap::new(),
            ordinal: 0,
            begin: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("switch".into()).spawn(move || run.work());
        Ok(Switch { shared, thread: Some(thread.during(|| "starting the switch".into())?) })
    }

    /// How the link from `from` to `to` works from now on, until it is healed; the other way stays as it is. One episode at
    /// a time on one direction: the later one would be undone by the end of the earlier.
    ///
    /// # Errors
    /// If a chance is above 1,000, or the direction is not perfect now.
    pub fn worsen(&self, from: &[Peer], to: &[Peer], quality: Quality) -> Result<Episode> {
        let Quality { lose_per_mille, duplicate_per_mille, reorder_per_mille, corrupt_per_mille, .. } =
            quality;
        let chances = [lose_per_mille, duplicate_per_mille, reorder_per_mille, corrupt_per_mille];
        if let Some(chance) = chances.into_iter().find(|chance| *chance > 1000) {
            return Err(Error::Unfit(format!("a chance of {chance} of 1,000 packets")));
        }
        let pairs: Vec<_> =
            from.iter().flat_map(|from| to.iter().map(|to| (*from, *to))).filter(|(a, b)| a != b).collect();
        let mut state = self.shared.lock();
        let worse = |(from, to): &(Peer, Peer)| {
            state.directions.get(&(*from, *to)).is_some_and(Direction::is_worsened)
        };
        if let Some((from, to)) = pairs.iter().find(|pair| worse(pair)) {
            return Err(Error::Unfit(format!(
                "the link from {from} to {to} is worsened already: heal that first"
            )));
        }
        pairs.iter().for_each(|pair| state.direction(*pair).quality = quality);
        drop(state);
        let shared = self.shared.clone();
        Ok(Episode::new(format!("packets from {from:?} to {to:?} meet {quality:?}"), move || {
            let mut state = shared.lock();
            pairs.iter().for_each(|pair| state.direction(*pair).quality = Quality::default());
            Ok(())
        }))
    }

    /// What it has done so far.
    pub fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the switch panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn direction(&mut self, pair: (Peer, Peer)) -> &mut Direction {
        let (from, to) = pair;
        let dice = &self.dice;
        self.directions.entry(pair).or_insert_with(|| Direction::new(&dice.child(&format!("{from} to {to}"))))
    }
}

fn plug(name: &str) -> Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).enable(false).build_sync();
    let device = device.during(|| format!("making the TUN device {name}"))?;
    device.set_nonblocking(true).during(|| format!("setting up the TUN device {name}"))?;
    Ok(device)
}

/// What the thread of the switch owns.
struct Run {
    shared: Arc<Shared>,
    ports: BTreeMap<Peer, SyncDevice>,
    subnet: Subnet,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    ordinal: u64,
    begin: Instant,
}

impl Run {
    fn work(mut self) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        while !self.shared.stop.load(Ordering::Relaxed) {
            for sender in self.wait() {
                self.take(sender, &mut buffer);
            }
            self.deliver();
        }
    }

    /// Waits until somebody sent something or something is due. Gives the senders.
    fn wait(&self) -> Vec<Peer> {
        let due =
            self.under_way.peek().map_or(IDLE, |Reverse(next)| next.due.saturating_sub(self.begin.elapsed()));
        let limit = Timespec::try_from(due.min(IDLE)).expect("the longest wait fits a time of the system");
        let mut polled: Vec<_> = self.ports.values().map(|port| PollFd::new(port, PollFlags::IN)).collect();
        // An interrupted wait is one that ended early.
        let _ = poll(&mut polled, Some(&limit));
        let ready =
            std::iter::zip(self.ports.keys(), &polled).filter(|(_, polled)| !polled.revents().is_empty());
        ready.map(|(peer, _)| *peer).collect()
    }

    fn take(&mut self, sender: Peer, buffer: &mut [u8]) {
        for _ in 0..TURN_PACKETS {
            match self.ports[&sender].recv(buffer) {
                Ok(bytes) => self.admit(sender, &mut buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A device that is down, or gone with its namespace.
                Err(_) => return std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn admit(&mut self, sender: Peer, packet: &mut [u8]) {
        let Some((_, destination)) = packet::ends(packet) else { return };
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let Some(receiver) = self.receiver(destination) else {
            state.traffic.dropped += 1;
            return;
        };
        let direction = state.direction((sender, receiver));
        let fate = direction.decide(self.begin.elapsed());
        let corrupted = fate.corrupt && fate.arrives.is_some() && packet::corrupt(packet, &mut direction.bit);
        let fits = self.under_way.len() + 2 <= UNDER_WAY_MAX;
        state.traffic.count(fate, corrupted, fits);
        if fits {
            [fate.arrives, fate.again]
                .into_iter()
                .flatten()
                .for_each(|due| self.send_off(due, receiver, packet));
        }
    }

    fn receiver(&self, destination: Ipv4Addr) -> Option<Peer> {
        self.subnet.peer(destination).filter(|peer| self.ports.contains_key(peer))
    }

    fn send_off(&mut self, due: Duration, to: Peer, packet: &[u8]) {
        self.ordinal += 1;
        self.under_way.push(Reverse(UnderWay { due, ordinal: self.ordinal, to, packet: packet.to_vec() }));
    }

    fn deliver(&mut self) {
        let now = self.begin.elapsed();
        let mut delivered = 0;
        while let Some(Reverse(next)) = self.under_way.peek()
            && next.due <= now
        {
            let Reverse(due) = self.under_way.pop().expect("it was just looked at");
            // A receiver that is down or overrun loses packets, as real ones do.
            delivered += u64::from(self.ports[&due.to].send(&due.packet).is_ok());
        }
        self.shared.lock().traffic.delivered += delivered;
    }
}

impl Traffic {
    fn count(&mut self, fate: Fate, corrupted: bool, fits: bool) {
        let arrives = fate.arrives.is_some() && fits;
        self.lost += u64::from(fate.arrives.is_none());
        self.dropped += u64::from(fate.arrives.is_some() && !fits);
        self.duplicated += u64::from(arrives && fate.again.is_some());
        self.reordered += u64::from(arrives && fate.overtaken);
        self.corrupted += u64::from(corrupted);
    }
}
