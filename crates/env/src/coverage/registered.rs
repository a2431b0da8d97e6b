//! The list of rare events, by the files in which they are marked.
//!
//! A name that is added here without a mark fails a test, as does one whose mark has moved to another file. One that
//! no campaign can meet has no place here.

use super::Rare;

/// Files, each with its names and what they mean.
macro_rules! events {
    ($($file:literal { $($name:literal: $means:literal,)+ })+) => {
        &[$($(Rare { name: $name, file: $file, means: $means },)+)+]
    };
}

/// All rare events that are marked anywhere.
pub const RARE: &[Rare] = events! {
    // The log of a node.
    "crates/wal/src/recovery/repair.rs" {
        "wal.torn_tail_cut": "what was written last, and acknowledged to nobody, was cut off at a start",
        "wal.newest_unit_unproven": "the newest unit was written again at a start, as nothing proved it to be on disk",
        "wal.end_in_doubt": "a lane was left alone behind an end that may hide acknowledged entries",
    }
    "crates/wal/src/recovery/mod.rs" {
        "wal.log_damaged": "a log was found to lack what had been acknowledged",
    }
    "crates/wal/src/mark.rs" {
        "wal.mark_spoiled": "one of the two slots of a mark could not be read",
    }
    "crates/wal/src/lane.rs" {
        "wal.segment_rolled": "a lane went on in another segment than its first",
        "wal.append_without_room": "a full disk left no room for an append",
        "wal.write_failed": "the disk refused to write a unit",
        "wal.sync_failed": "the disk failed to sync a unit",
    }
    "crates/wal/src/keeper.rs" {
        "wal.segment_reused": "a segment that held nothing needed any more became a new one",
    }
    // Parts and their manifests.
    "crates/parts/src/dir.rs" {
        "parts.manifest_copy_renewed": "of the two copies of a manifest one was lost, damaged or behind",
        "parts.file_moved_aside": "a file that could not be read was moved aside",
        "parts.leftovers_removed": "files that no manifest names were left over from before a crash",
    }
    // What partitions hold.
    "crates/store/src/state.rs" {
        "store.version_race_lost": "an append at a version came when somebody else's was there already",
        "store.condition_failed": "an append was refused because what it excluded had happened",
        "store.id_has_other_content": "an append was refused because its id stands for other content",
        "store.duplicate_in_memory": "an append had happened already, and was found in memory",
        "store.duplicate_in_parts": "an append had happened already, and was found in parts",
    }
    "crates/store/src/load.rs" {
        "store.block_read_again": "what was read was in no cache any more, and came from the log",
    }
    "crates/store/src/read/scan.rs" {
        "store.scan_left_parts": "one read went on from parts into memory",
    }
    "crates/store/src/partition/reads.rs" {
        "store.past_in_parts": "a read as of a moment ended within parts",
    }
    "crates/store/src/exchange.rs" {
        "store.install_resumed": "a crash came while parts of another node were put in place, and a start went on with it",
        "store.reset_resumed": "a crash came while a replica was discarded, and a start went on with it",
        "store.head_jumped": "more than 100 positions came at once, with parts of another node",
        "store.own_log_given_up": "parts of another node took the place of a log that had gone another way",
    }
    // Consensus.
    "cluster/src/raft/log_store.rs" {
        "raft.log_truncated": "a follower cut entries that its leader does not have",
        "raft.truncated_above_commit": "entries that were not known to be committed survived such a cut",
        "raft.entries_read_from_disk": "entries for another node were in memory no more",
    }
    "cluster/src/raft/network.rs" {
        "raft.two_leaders": "a node that took itself for the leader heard of its successor",
        "raft.pre_vote_refused": "a node would not have voted for somebody who asked beforehand",
        "raft.vote_refused": "a node did not vote for somebody who asked",
        "raft.vote_split": "a node had voted for somebody else in the same term, who had not won yet",
        "raft.term_over_50": "an election was about a term after the 50th",
        "raft.leadership_offered": "a leader asked another node to lead",
        "raft.answer_outlived": "an answer came from an earlier life of a node that has begun another one",
        "raft.acknowledged_entry_lost": "a leader found that a follower lacks what it had acknowledged",
        "raft.follower_begins_anew": "a replica that was discarded agreed with its leader to begin with nothing",
    }
    "cluster/src/raft/asking.rs" {
        "raft.promise_broken": "a replica learnt at its start that its disk lacks what it had promised to others",
    }
    "cluster/src/raft/bereft.rs" {
        "raft.lease_of_dead_leader_ended": "a follower saw the process of its leader end, and trusted it no longer",
    }
    "cluster/src/raft/machine.rs" {
        "raft.snapshot_installed": "a replica took over the parts of another node",
        "raft.snapshot_outrun": "parts of another node were ready when all that is in them had been applied",
        "members.joint": "two sets of voters decided together",
        "members.learner_promoted": "who had only been sent entries became a voter",
        "members.joint_of_another_leader_ended": "a change of voters was finished by another leader than began it",
    }
    "cluster/src/raft/changing.rs" {
        "members.leader_leaves": "a leader had itself taken out of the voters",
        "members.change_failed": "a change of members did not come about",
    }
    "cluster/src/raft/intake.rs" {
        "raft.newer_snapshot_offered": "while parts of another node arrived newer ones were offered",
        "raft.older_snapshot_offered": "while parts of another node arrived older ones were offered",
        "raft.part_from_another_member": "a part was not to be had of who had offered it, and came from somebody else",
        "raft.part_arrived_damaged": "a part that arrived was not what its manifest says",
    }
    // Reads that ask a quorum.
    "cluster/src/raft/read_index.rs" {
        "read.refused_by_deposed_leader": "a node was no leader any more when a quorum had been asked for a read",
        "read.not_confirmed": "a leader could not reach a quorum in time for a read",
    }
    "cluster/src/freshness.rs" {
        "read.waited_for_apply": "a read waited until what it has to see was applied",
        "read.asked_everybody": "no leader was known, and all voters were asked for what a read has to see",
        "read.tried_again": "a read tried again to learn what it has to see",
    }
    "crates/server/src/engine.rs" {
        "read.found_damage": "damage was found by somebody who read",
    }
    // Commands on their way into the log.
    "cluster/src/proposer.rs" {
        "propose.entry_of_several": "one entry carried several commands",
        "propose.deadline_passed_in_queue": "a command's time was over before it was proposed",
        "propose.not_taken": "a group ended at the moment of a proposal",
        "clock.leader_behind_its_stamps": "a leader's clock was behind what had been stamped already",
    }
    "cluster/src/flight.rs" {
        "propose.ended_in_flight": "a group ended, and told who waited that nobody knows what became of it",
        "propose.leader_died_with_append": "a leader's process died with proposals that nobody had answered",
    }
    "crates/server/src/engine/routing.rs" {
        "forward.waited_for_election": "a request waited for somebody to lead",
        "forward.sent_on_to_another_leader": "a request went on from one who does not lead any more to another one",
    }
    // Clocks.
    "cluster/src/clocks.rs" {
        "clock.held_back": "a clock that was ahead of the others did not stamp what it showed",
        "clock.told_to_be_off": "a clock was found to be off by more than is allowed",
        "clock.was_set": "another node's clock jumped between two looks at it",
    }
    // Groups and what befalls them.
    "cluster/src/groups/unread.rs" {
        "group.read_at_last": "a partition that could not be read at the start was opened later",
    }
    "cluster/src/consensus.rs" {
        "group.log_full": "a group stood still because its log had no room",
        "group.room_again": "a group whose log had had no room went on",
        "group.went_back_to_disk": "a replica gave up what was applied and not on its disk",
        "group.log_purged": "entries that parts have taken in were removed from a log",
        "group.log_kept_for_offer": "entries were kept for somebody who fetches parts",
        "group.discarded": "a replica began with nothing while its node went on",
        "group.votes_freed": "a replica that had been discarded had everything again, and voted",
    }
    "cluster/src/slow.rs" {
        "group.slow_disk_handed_over": "a leader with a slow disk asked somebody else to lead",
    }
    "cluster/src/quarantine.rs" {
        "group.taken_out_of_service": "a partition was refused while its node went on",
    }
    // Compaction.
    "cluster/src/compactor.rs" {
        "compact.superseded": "what was compacted had been exchanged for the parts of another node meanwhile",
        "compact.abandoned": "a compaction was given up because its node or its partition was to stop",
        "compact.parts_merged": "small parts became a larger one",
        "compact.disk_full": "a full disk put a compaction off",
        "compact.found_damage": "damage was found by a compaction",
        "compact.halted": "a compaction failed, and the partition is not compacted until the next start",
        "compact.long_log_cut": "a partition was cut because it kept a log long",
    }
    // Damage and its repair.
    "cluster/src/system/ledger.rs" {
        "ledger.found_damage": "the cluster's own data was found damaged by the node that read it",
    }
    "cluster/src/scrubber.rs" {
        "scrub.found_damage": "damage was found by looking for it",
    }
    "cluster/src/repair/mending.rs" {
        "repair.part_fetched": "a damaged part was fetched again from another node",
        "repair.log_and_parts_apart": "log and parts of a replica were whole, and did not fit together",
        "repair.waited_for_others": "a replica could not begin anew before others have answered",
        "repair.begun_anew": "a damaged replica discarded everything",
        "repair.caught_up": "a replica that had begun anew was proved to have everything again",
        "repair.damaged_again": "a replica was damaged again while it was repaired",
    }
    "cluster/src/repair/ballot.rs" {
        "repair.vote_withheld": "a replica that does not have everything was asked for its vote",
    }
    // Where replicas are.
    "cluster/src/cluster/driving.rs" {
        "placement.leader_moved": "the placement had another node lead a partition",
        "placement.replica_freed": "what a node still had of a partition that is elsewhere was discarded",
        "placement.driver_deposed": "a step came from a driver who has a successor",
        "placement.step_failed": "a step of the placement did not come about",
    }
    // Connections between nodes.
    "cluster/src/peer/inbound.rs" {
        "peer.turned_away": "a node was not let in",
    }
    "cluster/src/peer/doorman.rs" {
        "peer.link_superseded": "a node connected again before its last connection was known to be over",
    }
    "cluster/src/peer/outbox.rs" {
        "peer.link_lost_with_requests": "a connection was lost, and nobody knows what became of requests on it",
    }
    "cluster/src/peer/call.rs" {
        "peer.not_answered_in_time": "a node did not answer in time",
        "peer.outbox_full": "so much waited for a node that a request was not even sent in time",
    }
    "cluster/src/peer/link.rs" {
        "peer.answered_too_late": "an answer came when nobody waited for it any more",
    }
    "crates/server/src/grpc.rs" {
        "server.stopped_for_good": "a node could acknowledge nothing any more",
    }
    // The run as a whole, as its clients and its nemesis see it.
    "chaos/src/workload/doubts.rs" {
        "run.unknown_then_found": "an append whose end was not known was stored",
        "run.unknown_then_absent": "an append whose end was not known was never stored",
        "run.unknown_then_duplicate": "an append whose end was not known was sent again, and had happened",
        "run.retry_met_its_first_attempt": "an append that was begun for the first time had happened when it was answered",
        "run.damage_told": "a client was told that what it wanted to read is damaged",
    }
    "chaos/src/sim/cluster.rs" {
        "run.all_nodes_down": "no node was up, as faults would have it",
        "run.node_ended_by_itself": "a node's process ended because it could not go on",
        "run.node_did_not_start": "a node's process ended before it served",
    }
};
