//! What happens when links break.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sim::{Link, World};
use crate::{Connection, Env, net_contract};

const LONG: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// Two hosts with a connection from `a` to `b`.
async fn pair(world: &World) -> (Connection, Connection) {
    let (a, b) = (world.host("a").env(), world.host("b").env());
    let listener = b.net.listen("b:7000").await.unwrap();
    let near = a.net.connect("b:7000", SECOND).await.unwrap();
    (near, listener.accept().await.unwrap())
}

async fn silent(env: &Env, side: &mut Connection) {
    let mut byte = [0];
    let silence = env.clock.timeout(LONG, side.read(&mut byte)).await;
    assert!(silence.is_err(), "something came through: {silence:?}");
}

#[test]
fn the_simulated_network_keeps_the_contract() {
    let world = World::new(1);
    world.run(async {
        net_contract::run(&world.env().net, "127.0.0.1").await;
        net_contract::run(&world.host("n1").env().net, "10.0.0.2").await;
    });
    assert_eq!(world.net().connections(), 0, "a connection is remembered that nobody holds");
}

#[test]
fn a_partition_holds_bytes_up_and_healing_delivers_them_in_order() {
    let world = World::new(2);
    world.run(async {
        let env = world.env();
        let (mut near, mut far) = pair(&world).await;
        near.write_all(b"one ").await.unwrap();
        world.net().partition("a", "b");
        near.write_all(b"two ").await.unwrap();
        silent(&env, &mut far).await;
        world.net().heal("a", "b");
        near.write_all(b"three").await.unwrap();
        drop(near);
        let mut read = String::new();
        far.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "one two three");
    });
}

#[test]
fn a_one_way_partition_lets_the_other_way_through() {
    let world = World::new(3);
    world.run(async {
        let env = world.env();
        let (mut near, mut far) = pair(&world).await;
        world.net().partition_one_way("a", "b");
        near.write_all(b"lost").await.unwrap();
        far.write_all(b"seen").await.unwrap();
        let mut read = [0; 4];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"seen");
        silent(&env, &mut far).await;
        world.net().heal_all();
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"lost");
    });
}

#[test]
fn connecting_through_a_partition_waits_and_then_times_out_or_succeeds() {
    let world = World::new(4);
    world.run(async {
        let (a, b) = (world.host("a").env(), world.host("b").env());
        let _listener = b.net.listen("b:7000").await.unwrap();
        for (from, to) in [("a", "b"), ("b", "a")] {
            world.net().partition_one_way(from, to);
            let began = a.clock.monotonic();
            let error = a.net.connect("b:7000", SECOND).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            assert_eq!(a.clock.monotonic() - began, SECOND);
            let net = world.net();
            let clock = a.clock.clone();
            let _healer = a.tasks.spawn("healer", async move {
                clock.sleep(SECOND).await;
                net.heal_all();
            });
            a.net.connect("b:7000", LONG).await.unwrap();
        }
    });
}

#[test]
fn a_killed_process_resets_its_connections_and_ends_its_tasks() {
    let world = World::new(5);
    world.run(async {
        let (mut near, mut far) = pair(&world).await;
        let b = world.host("b");
        let old = b.env();
        let ticking = old.tasks.spawn("ticking", {
            let clock = old.clock.clone();
            async move { clock.sleep(LONG).await }
        });
        b.kill();
        assert_eq!(near.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.write(&[0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(far.write(&[0]).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert!(ticking.await.is_err(), "a task outlived its process");
        assert!(old.tasks.spawn("late", async {}).await.is_err(), "a dead process started a task");
        assert!(old.net.listen("b:7001").await.is_err(), "a dead process listens");
        let a = world.host("a").env();
        let refused = a.net.connect("b:7000", SECOND).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let _listener = b.env().net.listen("b:7000").await.unwrap();
        a.net.connect("b:7000", SECOND).await.unwrap();
    });
}

#[test]
fn a_paused_process_takes_no_step_while_its_machine_goes_on() {
    let world = World::new(14);
    world.run(async {
        let (a, b) = (world.host("a"), world.host("b"));
        let (env, of_b) = (a.env(), b.env());
        let listener = of_b.net.listen("b:7000").await.unwrap();
        drop(of_b.tasks.clone().spawn("echo", async move {
            loop {
                let mut guest = listener.accept().await.unwrap();
                let mut word = [0; 4];
                guest.read_exact(&mut word).await.unwrap();
                guest.write_all(&word).await.unwrap();
            }
        }));
        b.pause();
        let mut near = env.net.connect("b:7000", SECOND).await.expect("the machine answers for it");
        near.write_all(b"word").await.unwrap();
        silent(&env, &mut near).await;
        b.resume();
        let mut word = [0; 4];
        env.clock.timeout(SECOND, near.read_exact(&mut word)).await.expect("it goes on").unwrap();
        assert_eq!(&word, b"word");
        b.pause();
        b.kill();
        let end = env.clock.timeout(SECOND, near.read(&mut word)).await;
        assert!(!matches!(end, Ok(Ok(1..)) | Err(_)), "it dies although it was paused: {end:?}");
    });
}

#[test]
fn word_of_a_killed_process_waits_for_the_partition_to_heal() {
    let world = World::new(6);
    world.run(async {
        let env = world.env();
        let (mut near, _far) = pair(&world).await;
        world.net().isolate("b");
        world.host("b").kill();
        silent(&env, &mut near).await;
        world.net().heal_all();
        assert_eq!(near.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_breaks_both_sides_and_a_wedge_tells_nobody() {
    let world = World::new(7);
    world.run(async {
        let env = world.env();
        let (mut near, mut far) = pair(&world).await;
        near.write_all(b"under way").await.unwrap();
        world.net().reset("b", "a");
        assert_eq!(near.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(far.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        drop((near, far));
        let (mut near, mut far) = pair(&world).await;
        world.net().wedge("a", "b");
        near.write_all(b"swallowed").await.unwrap();
        world.net().partition("a", "b");
        world.net().heal_all();
        silent(&env, &mut far).await;
        drop((near, far));
        let _fresh = pair(&world).await;
    });
}

#[test]
fn a_slow_link_takes_the_time_its_bytes_cost() {
    let world = World::new(8);
    world.run(async {
        let env = world.env();
        let (mut near, mut far) = pair(&world).await;
        world.net().set_link("a", "b", Link { bytes_per_second: Some(100_000), ..Link::default() });
        let began = env.clock.monotonic();
        let writing = async {
            near.write_all(&[7; 1_000_000]).await.unwrap();
            drop(near);
        };
        let mut read = Vec::new();
        let ((), count) = tokio::join!(writing, async { far.read_to_end(&mut read).await.unwrap() });
        assert_eq!(count, 1_000_000);
        let took = env.clock.monotonic() - began;
        assert!((10..11).contains(&took.as_secs()), "{took:?}");
    });
}

#[test]
fn what_a_link_loses_is_late_and_nothing_is_out_of_order() {
    let world = World::new(9);
    world.run(async {
        let env = world.env();
        let (mut near, mut far) = pair(&world).await;
        world.net().set_link("a", "b", Link { lost_per_mille: 300, ..Link::default() });
        let (mut late, mut last) = (0, Duration::ZERO);
        for number in 0..200_u8 {
            let began = env.clock.monotonic();
            near.write_all(&[number]).await.unwrap();
            assert_eq!(far.read_u8().await.unwrap(), number);
            last = env.clock.monotonic() - began;
            late += usize::from(last >= Duration::from_millis(200));
        }
        assert!((30..90).contains(&late), "{late} of 200 were sent again");
        world.net().set_link("a", "b", Link::default());
        near.write_all(&[0]).await.unwrap();
        far.read_u8().await.unwrap();
        assert!(last < Duration::from_secs(60), "{last:?}");
    });
}

#[test]
fn what_a_link_spoils_has_one_wrong_bit() {
    let world = World::new(10);
    world.run(async {
        let (mut near, mut far) = pair(&world).await;
        world.net().set_link("a", "b", Link { spoiled_per_mille: 1000, ..Link::default() });
        near.write_all(&[0; 100]).await.unwrap();
        let mut read = [0; 100];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        far.write_all(&[0; 100]).await.unwrap();
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [0; 100], "the other way is as it was");
    });
}

#[test]
fn who_is_misled_reaches_somebody_else_until_he_is_led_right() {
    let world = World::new(11);
    world.run(async {
        let [a, b, c] = ["a", "b", "c"].map(|name| world.host(name).env());
        let (at_b, at_c) = (b.net.listen("b:7").await.unwrap(), c.net.listen("c:7").await.unwrap());
        world.net().mislead("a", "b", "c");
        let _near = a.net.connect("b:7", SECOND).await.unwrap();
        assert!(a.clock.timeout(SECOND, at_b.accept()).await.is_err());
        assert!(a.clock.timeout(SECOND, at_c.accept()).await.is_ok());
        let _others = c.net.connect("b:7", SECOND).await.unwrap();
        assert!(a.clock.timeout(SECOND, at_b.accept()).await.is_ok(), "only one was misled");
        world.net().lead_right("a", "b");
        let _near = a.net.connect("b:7", SECOND).await.unwrap();
        assert!(a.clock.timeout(SECOND, at_b.accept()).await.is_ok());
    });
}

#[test]
fn who_can_have_no_connection_more_keeps_those_there_are() {
    let world = World::new(12);
    world.run(async {
        let (mut near, mut far) = pair(&world).await;
        world.net().no_more_connections("a", true);
        let (a, b) = (world.host("a").env(), world.host("b").env());
        let _waits = b.net.listen("b:8").await.unwrap();
        assert!(a.net.connect("b:8", SECOND).await.is_err());
        let listener = a.net.listen("a:8").await.unwrap();
        let _knocks = b.net.connect("a:8", SECOND).await.unwrap();
        assert!(listener.accept().await.is_err());
        near.write_all(b"x").await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'x');
        world.net().no_more_connections("a", false);
        assert!(listener.accept().await.is_ok(), "whoever knocked meanwhile is let in");
        assert!(a.net.connect("b:8", SECOND).await.is_ok());
    });
}

/// Three hosts talk while links break; what happened, as the trace's hash.
fn busy_life(seed: u64) -> u64 {
    let world = World::new(seed);
    let names = ["a", "b", "c"];
    world.run(async {
        for name in names {
            let env = world.host(name).env();
            let listener = env.net.listen(&format!("{name}:7")).await.unwrap();
            let tasks = env.tasks.clone();
            let _accepting = env.tasks.spawn("accepting", async move {
                while let Ok(mut connection) = listener.accept().await {
                    let _echo = tasks.spawn("echo", async move {
                        let mut buf = [0; 100];
                        while let Ok(count @ 1..) = connection.read(&mut buf).await {
                            if connection.write_all(&buf[..count]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            });
        }
        let talks =
            names.iter().flat_map(|from| names.iter().map(move |to| (*from, *to))).map(|(from, to)| {
                let env = world.host(from).env();
                env.tasks.clone().spawn("talk", async move {
                    for _ in 0..30 {
                        let Ok(mut connection) = env.net.connect(&format!("{to}:7"), SECOND).await else {
                            continue;
                        };
                        let message = vec![7; 1 + env.entropy.below(5000) as usize];
                        let _ = connection.write_all(&message).await;
                        let mut answer = vec![0; message.len()];
                        let _ = env.clock.timeout(SECOND, connection.read_exact(&mut answer)).await;
                    }
                })
            });
        let talks: Vec<_> = talks.collect();
        let env = world.env();
        for _ in 0..20 {
            let [one, two] = [0; 2].map(|_| names[env.entropy.below(3) as usize]);
            env.clock.sleep(Duration::from_millis(env.entropy.below(100))).await;
            match env.entropy.below(4) {
                0 => world.net().partition(one, two),
                1 => world.net().partition_one_way(one, two),
                2 => world.net().reset(one, two),
                _ => world.net().heal_all(),
            }
        }
        world.net().heal_all();
        for talk in talks {
            talk.await.unwrap();
        }
    });
    world.trace().hash()
}

#[test]
fn the_same_seed_gives_the_same_traffic() {
    for seed in 0..3 {
        assert_eq!(busy_life(seed), busy_life(seed), "seed {seed} went two ways");
    }
    assert_ne!(busy_life(0), busy_life(1));
}
