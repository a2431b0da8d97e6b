//! Every fault that this machine can have is brought about and measured. Those that it cannot have, for want of root, a
//! tool or something of its kernel, are named on the standard error with the reason, past the capture of the test runner:
//! a run that proved little must not look like one that proved all.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use chronos_inject::{
    Abilities, Ability, Bench, Clocks, Fault, Ground, IMAGE_BYTES_MIN, Layout, Process, Wire, prove, sweep,
};

/// One for all tests. What it leaves is swept by the next run.
fn bench() -> &'static (Bench, Abilities) {
    static BENCH: OnceLock<(Bench, Abilities)> = OnceLock::new();
    BENCH.get_or_init(|| {
        let bench = Bench::set_up(&std::env::temp_dir(), env!("CARGO_BIN_EXE_probe").as_ref(), 20_261_122);
        let bench = bench.expect("the directory for temporary files can be written");
        let abilities = bench.abilities();
        (bench, abilities)
    })
}

/// Says what was not proved, past the test runner, which swallows what a test prints that passes. Where everything should be
/// possible, `CHRONOS_INJECT_ALL=1` makes it a failure.
fn did_not_run(what: &str, why: &str) {
    let line = format!("DID NOT RUN: {what}: {why}");
    assert!(std::env::var_os("CHRONOS_INJECT_ALL").is_none(), "{line}");
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn proved(fault: Fault) {
    let (bench, abilities) = bench();
    match abilities.of(fault) {
        Ability::Unable { why } => did_not_run(fault.name(), why),
        Ability::Able => match prove(fault, bench) {
            Ok(measured) => println!("{fault}: {measured}"),
            Err(error) => panic!("{fault}: {error}"),
        },
    }
}

macro_rules! proofs {
    ($($sentence:ident: $fault:ident,)+) => {
        $(#[test] fn $sentence() { proved(Fault::$fault); })+

        #[test]
        fn every_kind_of_fault_has_a_proof_here() {
            assert_eq!([$(Fault::$fault),+].iter().copied().collect::<std::collections::BTreeSet<_>>().len(), Fault::ALL.len());
        }
    };
}

proofs! {
    a_killed_process_is_gone: Kill,
    a_process_ends_at_its_crash_point: CrashPoint,
    a_paused_process_is_silent: Pause,
    a_frozen_node_is_silent: Freeze,
    a_greedy_node_is_killed: MemoryLimit,
    a_restart_loop_kills_each_start: RestartLoop,
    a_process_opens_no_more_files_than_it_may: FileLimit,
    a_partition_lets_nothing_through: Partition,
    an_isolated_node_hears_nobody: Isolate,
    a_bridge_node_hears_both_halves: BridgeNode,
    a_one_way_partition_lets_the_other_way_through: OneWay,
    a_lossy_link_loses_packets: Loss,
    a_seed_decides_which_packets_are_lost: SeededLoss,
    a_delayed_link_is_late: Delay,
    a_jittery_link_is_late_by_turns: Jitter,
    packets_overtake_each_other: Reorder,
    packets_arrive_twice: Duplicate,
    a_slow_link_is_slow: SlowLink,
    a_half_open_connection_is_silent_and_a_new_one_works: HalfOpen,
    connections_are_reset: Reset,
    a_flapping_link_breaks_and_mends: Flapping,
    a_swizzle_clogs_all_and_frees_all: Swizzle,
    a_corrupt_packet_is_taken_for_right: Corrupt,
    a_power_cut_loses_what_was_not_synced: PowerCutOne,
    a_power_cut_of_all_nodes_loses_what_was_not_synced: PowerCutAll,
    a_torn_tail_is_zeros: TornTail,
    a_sync_fails_once: SyncError,
    a_rolled_back_directory_is_the_old_one: Rollback,
    a_rotten_bit_is_read_below_the_cache: BitRot,
    swapped_files_have_each_others_content: SwappedFiles,
    swapped_blocks_have_each_others_content: SwappedBlocks,
    a_full_disk_takes_nothing: DiskFull,
    a_slow_disk_is_slow: SlowDisk,
    a_stalled_disk_lets_writers_wait: StalledDisk,
    a_read_only_disk_takes_nothing: ReadOnly,
    a_truncated_file_is_short: Truncated,
    a_removed_file_is_gone: Removed,
    a_stranger_is_there: Stranger,
    a_wiped_directory_is_empty: Wiped,
    a_twin_has_the_same_files: Twin,
    a_clock_is_wrong: ClockOffset,
    a_clock_jumps: ClockJump,
    a_clock_runs_at_another_speed: ClockSpeed,
}

#[test]
fn what_a_killed_run_left_is_swept_by_the_next() {
    let wanted = [Fault::Partition, Fault::DiskFull, Fault::Freeze];
    if let Some(Ability::Unable { why }) =
        wanted.map(|fault| bench().1.of(fault)).into_iter().find(|a| **a != Ability::Able)
    {
        return did_not_run("sweeping what a killed run left", why);
    }
    // Kept when the test fails: whoever removes what is on a disk that still stands still waits for ever.
    let place = tempfile::tempdir().unwrap().keep();
    let mut run = Command::new(env!("CARGO_BIN_EXE_probe"));
    let mut run =
        run.args(["victim", "lay"]).arg(&place).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    run.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    let mut sleeper = String::new();
    BufReader::new(run.stdout.as_mut().unwrap()).read_line(&mut sleeper).unwrap();
    let sleeper = format!("/proc/{}", sleeper.trim());
    let owner = format!("chronos-inject-{}-", run.id());
    assert!(Path::new(&sleeper).exists());
    let made = leftovers(&owner, &place);
    assert!(
        made.len() >= 7,
        "a namespace, a mount, a loop device, three control groups, a directory: {made:?}"
    );
    run.kill().unwrap();
    run.wait().unwrap();
    // The grounds of other tests sweep, too, so who removed what is not asked.
    let swept = sweep();
    assert_eq!(leftovers(&owner, &place), [""; 0], "swept: {swept:?}");
    assert!(!Path::new(&sleeper).exists() || is_zombie(&sleeper));
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn a_node_comes_back_from_a_power_cut_while_another_one_runs() {
    let wanted = [Fault::Partition, Fault::PowerCutOne, Fault::Freeze];
    if let Some((fault, why)) = bench().1.unable().find(|(fault, _)| wanted.contains(fault)) {
        return did_not_run("a power cut under running nodes", &format!("{fault}: {why}"));
    }
    let place = tempfile::tempdir().unwrap();
    let layout = Layout {
        under: place.path().into(),
        cache: place.path().into(),
        nodes: 2,
        wire: Wire::Bridge,
        disk_bytes: Some(IMAGE_BYTES_MIN),
        caged: true,
        clocks: Clocks::True,
        seed: 0,
    };
    let ground = Ground::lay(&layout).unwrap();
    let mut nodes = [1, 2].map(|number| {
        let site = ground.site(number);
        let log = site.data().join("log");
        let recipe = site.recipe(env!("CARGO_BIN_EXE_probe")).args(["victim", "sync"]).arg(log);
        Process::start(move || {
            let mut command = recipe.command();
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        })
        .unwrap()
    });
    assert_eq!(nodes.each_mut().map(sync_a_line), ["synced", "synced"]);
    ground.cut_power(&[1]).unwrap();
    assert!(sync_a_line(&mut nodes[0]).ends_with("os error 5)"), "nothing can be written without power");
    nodes[0].kill().unwrap();
    // The other node runs in namespaces of its own: were one of mounts among them, it would hold this disk as it is.
    ground.site(1).disk().unwrap().remount().unwrap();
    nodes[0].start_again().unwrap();
    assert_eq!(nodes.each_mut().map(sync_a_line), ["synced", "synced"]);
    let logs = [1, 2].map(|number| std::fs::read(ground.site(number).data().join("log")).unwrap());
    assert_eq!(logs, [b"x\nx\n", b"x\nx\n"]);
}

#[expect(clippy::unwrap_used, reason = "it is part of a test")]
fn sync_a_line(node: &mut Process) -> String {
    let child = node.child().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"x\n").unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
    answer.trim().to_owned()
}

/// What there is of an owner: namespaces, mounts, loop devices, control groups, directories.
fn leftovers(owner: &str, place: &Path) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let groups = ["memory", "blkio", "freezer", "unified", ""].map(|tree| format!("/sys/fs/cgroup/{tree}"));
    for place in groups.into_iter().chain(["/run/netns".into(), place.to_string_lossy().into_owned()]) {
        for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            found.push(format!("{place}/{}", entry.file_name().to_string_lossy()));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().map(ToOwned::to_owned));
    for device in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let image = std::fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        found.push(format!("{}: {image}", device.path().display()));
    }
    found.retain(|thing| thing.contains(owner));
    found
}

fn is_zombie(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}
