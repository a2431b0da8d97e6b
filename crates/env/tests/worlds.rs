//! Both worlds through the public door: lives, crash points, tasks, time, repetition.

use std::cell::RefCell;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use chronos_env::sim::World;
use chronos_env::{Env, OpenMode, PowerLost};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn virtual_time_jumps_over_waiting_and_goes_on_in_the_next_life() {
    let world = World::new(1);
    let env = world.env();
    let began = env.clock.wall_micros();
    world.run(env.clock.sleep(HOUR));
    assert_eq!(env.clock.monotonic(), HOUR, "between lives time stands still");
    world.run(env.clock.sleep(HOUR));
    assert_eq!(world.elapsed(), 2 * HOUR);
    assert_eq!(env.clock.wall_micros() - began, 7_200_000_000);
}

#[test]
fn the_wall_clock_can_be_wrong_while_the_monotonic_is_not() {
    let world = World::new(1);
    let env = world.env();
    let before = env.clock.wall_micros();
    world.set_wall_offset_micros(-5_000_000);
    assert_eq!(env.clock.wall_micros(), before - 5_000_000);
    assert_eq!(env.clock.monotonic(), Duration::ZERO);
}

#[test]
fn one_host_can_have_a_wrong_wall_clock_in_all_its_lives_and_the_others_have_the_right_one() {
    let world = World::new(1);
    let [wrong, right] = ["a", "b"].map(|name| world.host(name));
    let before = right.env().clock.wall_micros();
    wrong.set_wall_offset_micros(5_000_000);
    wrong.kill();
    assert_eq!(wrong.env().clock.wall_micros(), before + 5_000_000);
    assert_eq!(right.env().clock.wall_micros(), before);
    world.set_wall_offset_micros(-1_000_000);
    assert_eq!(wrong.env().clock.wall_micros(), before + 4_000_000);
    assert_eq!(wrong.env().clock.monotonic(), Duration::ZERO);
}

#[test]
fn a_timeout_ends_what_never_ends() {
    let world = World::new(1);
    let env = world.env();
    world.run(async {
        let late = env.clock.timeout(HOUR, std::future::pending::<()>()).await;
        assert_eq!(late.unwrap_err().to_string(), "not done after 3600s");
        assert_eq!(env.clock.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
    });
    assert_eq!(world.elapsed(), HOUR);
}

#[test]
fn an_armed_crash_point_cuts_the_power_at_its_hit() {
    let world = World::new(1);
    let env = world.env();
    world.arm_crash("between", 2);
    let survivors = world.run(async {
        let mut written = 0;
        let path = Path::new("/file");
        let file = env.disk.open(path, OpenMode::CreateNew).unwrap();
        loop {
            env.crash.hit("between");
            env.crash.hit("elsewhere");
            match file.write_at(b"x", written) {
                Ok(()) => written += 1,
                Err(error) => break (written, PowerLost::caused(&error)),
            }
        }
    });
    assert_eq!(survivors, (1, true));
    assert!(world.disk().is_off());
    let hits: Vec<_> = env.crash.hits().into_iter().collect();
    assert_eq!(hits, [("between", 2), ("elsewhere", 2)]);
    world.disk().power_on();
    env.crash.hit("between");
    assert!(!world.disk().is_off(), "a crash point fires once");
}

#[test]
fn what_became_of_crash_points_is_known_of_all_hosts_and_all_their_lives() {
    let world = World::new(1);
    let [a, b] = ["a", "b"].map(|name| world.host(name));
    a.arm_crash("between", 2);
    for host in [&a, &b] {
        (0..2).for_each(|_| host.env().crash.hit("between"));
        host.kill();
        host.env().crash.hit("after");
    }
    let tally = world.crash_tally();
    assert_eq!(tally.passed, [("after", 2), ("between", 4)].into());
    assert_eq!(tally.crashed, [("between", 1)].into());
}

#[test]
fn a_crash_that_was_not_met_in_one_life_is_met_in_the_next() {
    let world = World::new(1);
    let host = world.host("a");
    host.arm_crash("between", 2);
    host.env().crash.hit("between");
    host.kill();
    assert!(!host.disk().is_off() && host.awaits_crash());
    host.env().crash.hit("between");
    assert!(host.disk().is_off() && !host.awaits_crash());
    host.disk().power_on();
    host.arm_crash("between", 1);
    host.disarm_crash();
    host.kill();
    host.env().crash.hit("between");
    assert!(!host.disk().is_off());
}

#[test]
fn the_end_of_a_life_drops_its_tasks_and_frees_its_locks() {
    let world = World::new(1);
    let env = world.env();
    let path = Path::new("/lock");
    world.run(async {
        let env = env.clone();
        let lock = env.disk.lock(path).unwrap();
        let _task = env.tasks.clone().dedicated("holder".to_owned(), async move {
            let _lock = lock;
            env.clock.sleep(HOUR).await;
        });
        tokio::task::yield_now().await;
    });
    let _free = env.disk.lock(path).expect("a dropped task holds no lock");
}

/// A life with everything in it that could differ from one run to the next: racing tasks, dice, disk, waiting.
fn busy_life(seed: u64) -> u64 {
    let world = World::new(seed);
    let env = world.env();
    let trace = world.trace();
    world.run(async {
        let file = env.disk.open(Path::new("/log"), OpenMode::CreateNew).expect("a new disk takes a file");
        let tasks = (0..8u64).map(|number| {
            let (env, file, trace) = (env.clone(), Arc::clone(&file), trace.clone());
            let dice = env.entropy.child("task");
            env.tasks.spawn("worker", async move {
                for _ in 0..20 {
                    env.clock.sleep(Duration::from_micros(dice.below(50))).await;
                    file.write_at(&dice.u64().to_le_bytes(), dice.below(1000))
                        .expect("a healthy disk takes writes");
                    // Unbiased on purpose: tokio's own dice must follow the seed too.
                    let won = tokio::select! {
                        () = std::future::ready(()) => 0,
                        () = std::future::ready(()) => 1,
                    };
                    trace.record("worked", &[number, won]);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a worker works to its end");
        }
    });
    world.disk().power_off();
    world.disk().power_on();
    trace.hash()
}

#[test]
fn the_same_seed_repeats_a_whole_life_and_another_does_not() {
    let hashes: Vec<_> = (0..5).map(busy_life).collect();
    assert_eq!(hashes, (0..5).map(busy_life).collect::<Vec<_>>());
    let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), 5, "{hashes:x?}");
}

/// The two worlds keep the same promises about tasks.
async fn tasks_keep_their_promises(env: Env) {
    assert_eq!(env.tasks.spawn("adder", async { 1 + 1 }).await, Ok(2));
    assert_eq!(env.tasks.blocking(|| 3).await, 3);

    let died = env.tasks.spawn("faller", async { panic!("on purpose {}", 1) }).await;
    let died: chronos_env::Died = match died {
        Err(died) => died,
        Ok(()) => panic!("a panic passed unseen"),
    };
    assert_eq!(died.to_string(), "task faller panicked: on purpose 1");
    let died = env.tasks.dedicated("lane".to_owned(), async { panic!("on purpose") }).await;
    assert_eq!(died.expect_err("a panic passed unseen").to_string(), "task lane panicked: on purpose");

    let endless = env.tasks.dedicated("endless".to_owned(), std::future::pending());
    endless.abort();
    assert_eq!(endless.await.expect_err("an abort was ignored").to_string(), "task endless was aborted");

    let (said, heard) = tokio::sync::oneshot::channel();
    let clock = env.clock.clone();
    drop(env.tasks.dedicated("unwatched".to_owned(), async move {
        clock.sleep(Duration::from_millis(1)).await;
        said.send(7).expect("the test waits to hear it");
    }));
    assert_eq!(heard.await, Ok(7), "dropping the handle ended the work");
}

#[test]
fn simulated_tasks_keep_their_promises() {
    let world = World::new(1);
    world.run(tasks_keep_their_promises(world.env()));
}

#[test]
fn real_tasks_keep_their_promises() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(tasks_keep_their_promises(Env::real()));
}

#[test]
fn a_dedicated_task_may_block_without_holding_anyone_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let env = Env::real();
    runtime.block_on(async {
        let (free, blocked) = mpsc::channel::<()>();
        let dropped = Arc::new(AtomicBool::new(false));
        let guard = SetOnDrop(Arc::clone(&dropped));
        let task = env.tasks.dedicated("blocked".to_owned(), async move {
            let _guard = guard;
            blocked.recv().expect("the caller frees us");
        });
        env.tasks.spawn("freer", async move { free.send(()).expect("the thread waits") }).await.unwrap();
        task.await.unwrap();
        assert!(dropped.load(Ordering::SeqCst), "a task resolved while its future still owned something");
    });
}

thread_local! {
    /// Dropped when its thread ends, which closes the channel.
    static UNTIL_THREAD_ENDS: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

#[test]
fn the_thread_of_a_dedicated_task_ends_with_it_however_it_ends() {
    let tasks = Env::real().tasks;
    let (returned, panicked, aborted) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
    let begin = |alive| UNTIL_THREAD_ENDS.set(Some(alive));
    let _returns = tasks.dedicated("returns".to_owned(), async move { begin(returned.0) });
    let _panics = tasks.dedicated("panics".to_owned(), async move {
        begin(panicked.0);
        panic!("on purpose");
    });
    let (running, runs) = mpsc::channel();
    let endless = tasks.dedicated("endless".to_owned(), async move {
        begin(aborted.0);
        running.send(()).expect("the test waits");
        std::future::pending::<()>().await;
    });
    runs.recv().expect("the task says that it runs");
    endless.abort();
    for alive in [returned.1, panicked.1, aborted.1] {
        assert_eq!(alive.recv(), Err(mpsc::RecvError), "a thread sent something");
    }
}

/// Run as a child process of the test below; on its own it passes a crash point that nobody armed.
#[test]
fn child_that_passes_a_crash_point() {
    let crash = Env::real().crash;
    for hit in 1..=3 {
        println!("hit {hit}");
        crash.hit("wal.synced");
    }
    assert_eq!(crash.hits()["wal.synced"], 3);
}

#[test]
fn a_real_process_aborts_at_the_armed_hit() {
    let child = |order: &str| {
        let exe = std::env::current_exe().expect("a test has an executable");
        let mut child = std::process::Command::new(exe);
        child
            .args(["child_that_passes_a_crash_point", "--exact", "--nocapture"])
            .env("CHRONOS_CRASH_AT", order);
        child.output().expect("the test's own executable runs")
    };
    let crashed = child("wal.synced:2");
    assert_eq!(crashed.status.signal(), Some(6), "not aborted: {crashed:?}");
    let said = String::from_utf8_lossy(&crashed.stdout).into_owned();
    assert!(said.contains("hit 2"), "crashed too early: {said}");
    assert!(!said.contains("hit 3"), "crashed too late: {said}");
    assert!(child("another.point:1").status.success(), "crashed at a point that was not armed");
    let refused = child("wal.synced");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("must be name:n"), "accepted: {refused:?}");
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn the_real_network_keeps_the_contract() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(chronos_env::net_contract::run(&Env::real().net, "127.0.0.1"));
}

#[test]
fn hosts_have_disks_of_their_own_which_outlive_their_processes() {
    let world = World::new(1);
    world.run(async {
        let [one, two] = ["one", "two"].map(|name| world.host(name));
        let path = Path::new("/file");
        let process = one.env();
        let lock = process.disk.lock(Path::new("/lock")).unwrap();
        let _holding = process.tasks.spawn("holding", async move {
            let _lock = lock;
            std::future::pending::<()>().await;
        });
        process.disk.open(path, OpenMode::CreateNew).unwrap().write_at(b"kept", 0).unwrap();
        assert!(!two.env().disk.exists(path).unwrap(), "two hosts share a disk");
        one.kill();
        tokio::task::yield_now().await;
        let next = world.host("one").env();
        assert_eq!(next.disk.read_file(path).unwrap(), b"kept");
        let _free = next.disk.lock(Path::new("/lock")).expect("a killed process holds no lock");
        assert_ne!(process.entropy.u64(), next.entropy.u64());
    });
}
