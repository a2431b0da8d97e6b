//! A store as a whole: what is asked of it and what becomes of its disk follow from the input, and after every start it holds
//! what a plain model holds.
//!
//! ```text
//!  life: open ─ survey ─ operation ─ operation ─ … ─ its end: in order, killed, or without power
//!         ▲                                           │ (also at a crash point, in the midst of an operation)
//!         └───────────────────────────────────────────┘
//! ```
//!
//! * What was acknowledged is there, as it was, and nothing else is but an entry that was on its way, whole.
//! * Rot is done to a copy of the disk: what the copy serves is true, and after one harm it is complete as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronos_domain::{LogIndex, Position};
use chronos_env::Env;
use chronos_env::sim::{SimDisk, World};
use chronos_store::Command;

use super::support::commands::command;
use super::support::node::{Node, USED, data_dir};
use super::support::oracle::Oracle;
use super::{OPERATIONS, Target};
use crate::harm::{self, Harm};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    memory_bytes_max: 128 << 20,
    tried_by_test: 60,
    ..Target::new(
        "stateful",
        "a store over operations, crashes, power cuts and rot holds what a plain model holds",
        run,
        seeds,
    )
};

/// Of the pages of parts this much is kept, so that some are read from disk.
const CACHE_BYTES: usize = 2_000;
/// Longer than a log waits for work before it syncs what says how far it has come.
const REST: Duration = Duration::from_secs(2);
/// Lives of one input; what is left of it then is not looked at.
const LIVES_MAX: usize = 12;

/// How a life ended.
enum End {
    /// There is nothing more to do.
    Done,
    /// The next life finds the page cache as it was.
    Stopped,
    /// The power went.
    Dark,
}

/// The entry that was on its way when the power went: nobody knows of it, and both ends are right.
type InFlight = Option<(usize, LogIndex, Vec<Command>)>;

/// A world, what its node must hold, and what is still to be done to it.
struct Story<'a> {
    world: World,
    disk: SimDisk,
    oracles: Vec<Oracle>,
    next_id: u128,
    in_flight: InFlight,
    input: Input<'a>,
}

/// An input is the seed of the world, then operations.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let world = World::new(u64::from(input.u8()));
    let disk = world.disk();
    let oracles = USED.iter().map(|number| Oracle::new(*number)).collect();
    let mut story = Story { world: world.clone(), disk, oracles, next_id: 0, in_flight: None, input };
    for _ in 0..LIVES_MAX {
        match world.run(story.life()) {
            End::Done => return,
            End::Stopped => {}
            End::Dark => story.power_returns(),
        }
    }
}

impl Story<'_> {
    fn is_dark(&self) -> bool {
        self.disk.is_off()
    }

    fn power_returns(&mut self) {
        self.disk.power_off();
        self.disk.power_on();
        // Taken back: nobody passes a place of that name.
        self.world.arm_crash("nowhere", 1);
        if self.input.one_in(4) {
            let report = chronos_store::verify(&self.world.env().disk, &data_dir());
            // A node that never came to have an identity left nothing to verify.
            if let Ok(report) = report {
                assert!(report.is_clean(), "a power cut is no damage: {:?}", report.damages);
            }
        }
    }

    async fn life(&mut self) -> End {
        let env = self.world.env();
        let node = match Node::open(&env, CACHE_BYTES) {
            Ok(node) => node,
            Err(_) if self.is_dark() => return End::Dark,
            Err(error) => panic!("a node does not open on a sound disk: {error}"),
        };
        if let Some(refused) = node.partitions.iter().find_map(|partition| partition.as_ref().err()) {
            assert!(self.is_dark(), "a partition is refused on a sound disk: {refused}");
            return End::Dark;
        }
        if !self.is_dark() {
            self.survey(&node);
        }
        while !self.input.is_empty() {
            OPERATIONS.fetch_add(1, Ordering::Relaxed);
            match self.operation(&env, &node).await {
                _ if self.is_dark() => return End::Dark,
                None => {}
                Some(Ending::InOrder) => {
                    node.close().await;
                    return if self.is_dark() { End::Dark } else { End::Stopped };
                }
                Some(Ending::Killed) => return End::Stopped,
            }
        }
        if self.is_dark() {
            return End::Dark;
        }
        self.oracles.iter().enumerate().for_each(|(at, oracle)| oracle.check_events(node.partition(at)));
        node.close().await;
        End::Done
    }

    /// What was acknowledged is there; what was on its way is there as a whole or not at all; nothing else is.
    fn survey(&mut self, node: &Node) {
        if let Some((at, index, commands)) = self.in_flight.take()
            && node.partition(at).applied_index() >= index
        {
            commands.iter().for_each(|command| drop(self.oracles[at].apply(command)));
        }
        for (at, oracle) in self.oracles.iter().enumerate() {
            oracle.check_events(node.partition(at));
        }
    }

    async fn operation(&mut self, env: &Env, node: &Node) -> Option<Ending> {
        let at = self.input.below(USED.len());
        match self.input.below(20) {
            0..=9 => self.append(node, at).await,
            10..=12 => self.compact(node, at).await,
            13 => self.oracles[at].check_events(node.partition(at)),
            // Every page of every read: worth it while there is little.
            14 if self.oracles[at].head() < Position::new(24) => self.oracles[at].check(node.partition(at)),
            15 => self.arm(),
            16 => self.disk.power_off(),
            17 => return Some(Ending::InOrder),
            18 => return Some(Ending::Killed),
            19 => self.rot(env).await,
            _ => {}
        }
        None
    }

    async fn append(&mut self, node: &Node, at: usize) {
        let count = 1 + self.input.below(3);
        let commands: Vec<Command> =
            (0..count).map(|_| command(&mut self.input, &self.oracles[at], &mut self.next_id)).collect();
        let index = node.partition(at).applied_index().next();
        let answer = node.append(at, &commands).await;
        if self.is_dark() {
            // Without power no answer reaches anybody.
            self.in_flight = Some((at, index, commands));
            return;
        }
        let outcomes = answer.expect("a sound disk");
        let wanted: Vec<_> = commands.iter().map(|command| self.oracles[at].apply(command)).collect();
        assert_eq!(outcomes, wanted, "partition {at} decides otherwise than the model");
    }

    async fn compact(&mut self, node: &Node, at: usize) {
        let (cuts, purge) = (1 + self.input.below(4), self.input.one_in(2));
        let compacted = node.compact(at, cuts, purge).await;
        assert!(compacted.is_ok() || self.is_dark(), "{compacted:?}");
    }

    /// The power goes at one of the next times that a place in the code is passed.
    fn arm(&mut self) {
        let points: Vec<&str> =
            [chronos_wal::CRASH_POINTS, chronos_parts::CRASH_POINTS, chronos_store::CRASH_POINTS]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        let point = *self.input.choose(&points);
        self.world.arm_crash(point, 1 + self.input.below(8) as u64);
    }

    /// What is on disk is copied and harmed, and a node started on the copy. It rests before: a power cut of a busy node
    /// is a fault of its own, after which nobody knows whether there was more at the end of a log.
    async fn rot(&mut self, env: &Env) {
        env.clock.sleep(REST).await;
        if self.is_dark() {
            return;
        }
        let disk = self.disk.fork(1);
        let files = disk.files();
        let harms: Vec<Harm> =
            (0..=self.input.below(3)).map(|_| harm::inflict(&disk, &files, &mut self.input)).collect();
        if harms.contains(&Harm::Forgery) {
            return;
        }
        let is_one = harms.as_slice() == [Harm::Rot];
        let crash = World::new(1).env().crash;
        let env = Env { disk: Arc::new(disk), crash, ..env.clone() };
        let Ok(node) = Node::open(&env, CACHE_BYTES) else { return };
        for (oracle, partition) in self.oracles.iter().zip(&node.partitions) {
            let Ok(partition) = partition else { continue };
            assert!(!is_one || partition.head() == oracle.head(), "one harm has cut {partition:?} unnoticed");
            for n in 1..=partition.head().get() {
                if let Ok(read @ Some(_)) = partition.at(Position::new(n)) {
                    oracle.check_event(Position::new(n), read);
                }
            }
        }
        node.close().await;
    }
}

/// How a life ends that has power.
enum Ending {
    InOrder,
    Killed,
}

fn seeds() -> Vec<Vec<u8>> {
    let dice = chronos_env::Entropy::seeded(11);
    let noise = |len: usize| (0..len).map(|_| dice.u64() as u8).collect::<Vec<u8>>();
    let mut seeds: Vec<Vec<u8>> = (0..20).map(|n| noise(100 + n * 40)).collect();
    // Appends only, then each other operation behind them.
    for last in 10..20u8 {
        let appends: Vec<u8> = (0..12).flat_map(|n| [n % 3, 0].into_iter().chain(noise(12))).collect();
        seeds.push(joined(&[&[1], appends.as_slice(), &[0, last], &noise(40)]));
    }
    seeds
}
