//! A failing sync, a full disk, rot: the right bytes, or an honest error.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chronos_app::{Class, Reason};
use chronos_domain::PartitionId;
use chronos_env::Disk;
use chronos_env::sim::{Repeat, World};
use chronos_server::Node;

use crate::life::{DATA, Shared, aftermath, config, lock, one_by_one, readable, send, under_load};
use crate::requests;

#[test]
fn after_one_failed_sync_nothing_is_acknowledged_and_a_restart_recovers() {
    for nth in [1, 2, 5, 17] {
        let world = World::new(nth);
        let ledger = Shared::default();
        world.run(under_load(&world, &ledger, 3)).expect("a healthy start");
        world.disk().fail_sync(".seg", nth, Repeat::Once);
        world.run(async {
            let env = world.env();
            let node = Node::start(env.clone(), &config()).await.expect("a healthy start");
            let entropy = env.entropy.child("client");
            let mut failed = false;
            for _ in 0..30 {
                let block = requests::random(&entropy);
                lock(&ledger).sending(&block);
                let answer = send(&env, node.app(), &block).await;
                failed |= answer.as_ref().is_err_and(|error| error.class != Class::Rejected);
                assert!(!failed || answer.is_err(), "an append was acknowledged after a failed sync");
                lock(&ledger).answered(&block, &answer);
            }
            assert!(failed, "the sync never failed");
            let reason = node.faulted().await;
            assert!(reason.contains("sync"), "the node says why it stops: {reason}");
        });
        // What was not synced is gone, as after a crash of the machine.
        world.disk().power_off();
        world.disk().power_on();
        aftermath(&world, &ledger);
    }
}

#[test]
fn a_full_disk_refuses_appends_serves_reads_and_takes_appends_again_once_there_is_room() {
    let world = World::new(3);
    let ledger = Shared::default();
    world.run(async {
        let env = world.env();
        let node = Node::start(env.clone(), &config()).await.expect("a healthy start");
        let entropy = env.entropy.child("client");
        let used: u64 = world.disk().files().iter().map(|(_, len)| len).sum();
        world.disk().capacity(used);
        let mut refused = 0;
        for _ in 0..4000 {
            let block = requests::large(&entropy);
            lock(&ledger).sending(&block);
            let answer = send(&env, node.app(), &block).await;
            lock(&ledger).answered(&block, &answer);
            if let Err(error) = answer {
                assert_eq!(
                    (error.class, error.reason),
                    (Class::NotApplied, Reason::ResourceExhausted),
                    "{error}"
                );
                refused += 1;
            }
            if refused == 5 {
                break;
            }
        }
        assert_eq!(refused, 5, "the disk was never full");
        assert!(readable(&env, node.app()).await.iter().all(Result::is_ok), "reads go on");
        world.disk().capacity(u64::MAX);
        // The log looks for room about once a second, not at every append.
        env.clock.sleep(Duration::from_secs(2)).await;
        one_by_one(&env, node.app(), &ledger).await;
        node.stop().await;
    });
    aftermath(&world, &ledger);
}

/// What has to be left on a full disk for a node to start on it.
const START_BYTES: u64 = 48 << 10;

#[test]
fn on_a_full_disk_a_node_starts_and_answers_with_a_little_left_and_says_what_it_cannot_write_with_nothing() {
    const ROOM: u64 = 1 << 40;
    let world = World::new(4);
    let ledger = Shared::default();
    world.run(under_load(&world, &ledger, 8)).expect("a healthy start");
    world.disk().capacity(ROOM);
    let taken = ROOM - world.disk().free_bytes(DATA.as_ref()).expect("it is there");
    world.disk().capacity(taken);
    let refused = world.run(Node::start(world.env(), &config())).err().expect("there is no room").to_string();
    assert!(refused.contains("NODE") && refused.contains("No space left"), "{refused}");
    world.disk().capacity(taken + START_BYTES);
    aftermath(&world, &ledger);
}

#[test]
fn one_flipped_bit_anywhere_is_noticed_and_costs_at_most_the_partitions_it_hit() {
    let mut refused_somewhere = false;
    for seed in 0..40 {
        let world = World::new(seed);
        let ledger = Shared::default();
        world.run(under_load(&world, &ledger, 8)).expect("a healthy start");
        let entropy = world.env().entropy.child("rot");
        let (file, byte) = data_byte(&world, entropy.u64());
        world.disk().flip_bit(&file, byte, entropy.below(8) as u8).expect("the file is there");

        let report = chronos_store::verify(&world.env().disk, DATA.as_ref()).expect("it reads");
        let named: BTreeSet<_> = report.damages.iter().map(|damage| damage.file.clone()).collect();
        assert!(named.contains(&file), "verify names {} (byte {byte}), not {named:?}", file.display());

        world.run(async {
            let env = world.env();
            let Ok(node) = Node::start(env.clone(), &config()).await else { return };
            let stored = readable(&env, node.app()).await;
            let refused: BTreeSet<PartitionId> = PartitionId::all()
                .zip(&stored)
                .filter(|(_, events)| events.is_err())
                .map(|(p, _)| p)
                .collect();
            assert!(refused.len() <= 1, "one bit in {} cost {refused:?}", file.display());
            refused_somewhere |= !refused.is_empty();
            let stored: Vec<_> = stored.into_iter().map(Result::unwrap_or_default).collect();
            lock(&ledger).check_but(&stored, &refused);
            // The others still take appends.
            let block = loop {
                let block = requests::random(&entropy);
                if !refused.contains(&block.placement("default").expect("one partition")) {
                    break block;
                }
            };
            let answer = send(&env, node.app(), &block).await;
            assert!(answer.is_ok() || answer.is_err_and(|e| e.class == Class::Rejected));
        });
    }
    assert!(refused_somewhere, "no bit ever hit an event");
}

/// A random byte of the data directory that is not zero, and so carries data.
fn data_byte(world: &World, random: u64) -> (PathBuf, u64) {
    let files = world.disk().snapshot();
    let used = files.iter().flat_map(|(path, bytes)| {
        bytes.iter().zip(0u64..).filter(|(byte, _)| **byte != 0).map(move |(_, at)| (path.clone(), at))
    });
    let all: Vec<_> = used.filter(|(path, _)| !path.ends_with("LOCK")).collect();
    all[(random % all.len() as u64) as usize].clone()
}
