//! What the product has written itself: the seeds of most targets, and the sound state that harm is done to.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chronos_block::Block;
use chronos_env::Entropy;
use chronos_env::sim::{SimDisk, World};
use chronos_parts::Manifest;
use chronos_store::{Command, entry};

use super::support::commands::command;
use super::support::node::{Node, USED};
use super::support::oracle::Oracle;
use crate::input::Input;

/// Entries in each partition.
const ENTRIES: usize = 40;

/// A node that was stopped in order: one partition that is in parts but for its end, one that is half in parts, one that is
/// in the log.
pub(super) struct History {
    pub(super) disk: SimDisk,
    pub(super) manifests: Vec<Arc<Manifest>>,
    entries: Vec<Bytes>,
    commands: Vec<Command>,
}

pub(super) fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(make)
}

fn make() -> History {
    let world = World::new(1);
    let dice = Entropy::seeded(7);
    let (mut entries, mut all, mut manifests) = (Vec::new(), Vec::new(), Vec::new());
    world.run(async {
        let node = Node::open(&world.env(), 64 << 10).expect("a new disk takes a new node");
        for (at, number) in USED.into_iter().enumerate() {
            let (mut oracle, mut next_id) = (Oracle::new(number), (at as u128) << 64);
            for n in 0..ENTRIES {
                let bytes: Vec<u8> = (0..200).map(|_| dice.u64() as u8).collect();
                let mut input = Input::new(&bytes);
                let commands: Vec<Command> =
                    (0..1 + n % 3).map(|_| command(&mut input, &oracle, &mut next_id)).collect();
                entries.push(entry::encode(&commands, node.partition(at).head()));
                let outcomes = node.append(at, &commands).await.expect("a sound disk");
                let wanted: Vec<_> = commands.iter().map(|command| oracle.apply(command)).collect();
                assert_eq!(outcomes, wanted);
                all.extend(commands);
                if (at, n) == (1, ENTRIES / 2) || (at, n) == (0, ENTRIES - 3) {
                    node.compact(at, usize::MAX, at == 0).await.expect("a sound disk");
                }
            }
            manifests.push(Arc::clone(&node.partition(at).shelf().manifest));
        }
        node.close().await;
    });
    History { disk: world.disk().fork(1), manifests, entries, commands: all }
}

/// Payloads of log entries.
pub(super) fn entries() -> Vec<Bytes> {
    history().entries.iter().filter(|entry| entry.len() < 3000).step_by(5).cloned().collect()
}

/// Requests.
pub(super) fn blocks() -> Vec<Block> {
    let appends = history().commands.iter().filter_map(Command::append);
    appends.map(|append| append.block.clone()).filter(|block| block.bytes().len() < 3000).step_by(7).collect()
}

/// Manifests of partitions with parts and without.
pub(super) fn manifests() -> Vec<Manifest> {
    history().manifests.iter().map(|manifest| manifest.as_ref().clone()).collect()
}
