use chronos_env::sim::World;

use super::*;

fn identity(node: u64, incarnation: u64, process: u64) -> Identity {
    Identity { cluster: 5, node: NodeId::new(node), incarnation, process, machine: 0 }
}

fn doorman() -> Arc<Doorman> {
    at(&World::new(1))
}

fn at(world: &World) -> Arc<Doorman> {
    Arc::new(Doorman::new(identity(1, 10, 100), 2..=4, "ours".into(), world.env().clock))
}

fn hello(from: Identity) -> Hello {
    let (earlier, release) = (Vec::new(), "theirs".into());
    Hello { from, earlier, to: NodeId::new(1), versions: 1..=3, release }
}

fn why(judged: Result<(Pass, Welcome), Turned>) -> Why {
    judged.expect_err("a caller was let in").why
}

#[test]
fn a_fitting_caller_is_welcome_in_the_highest_common_version() {
    let (pass, welcome) = doorman().greet(&hello(identity(2, 1, 7)), Purpose::Link).unwrap();
    assert_eq!((pass.node, pass.incarnation), (NodeId::new(2), 1));
    assert_eq!(welcome.version, 3);
    assert_eq!(welcome.by, identity(1, 10, 100));
}

#[test]
fn who_does_not_fit_is_turned_away_with_the_reason() {
    let doorman = doorman();
    let fitting = hello(identity(2, 1, 7));
    let cases = [
        (Why::Cluster, Hello { from: Identity { cluster: 6, ..fitting.from }, ..fitting.clone() }),
        (Why::NotMe, Hello { to: NodeId::new(3), ..fitting.clone() }),
        (Why::Ourselves, hello(identity(1, 10, 100))),
        (Why::Duplicate, hello(identity(1, 11, 101))),
        (Why::Version, Hello { versions: 5..=9, ..fitting.clone() }),
        (Why::Version, Hello { versions: 0..=1, ..fitting }),
    ];
    for (wanted, hello) in cases {
        assert_eq!(why(doorman.greet(&hello, Purpose::Link)), wanted, "{hello:?}");
    }
}

#[test]
fn who_was_removed_is_turned_away_in_every_incarnation_and_its_link_is_over() {
    let doorman = doorman();
    let greet = |node, incarnation, purpose| {
        doorman.greet(&hello(identity(node, incarnation, 7)), purpose).map_err(|turned| turned.why)
    };
    let (link, _) = greet(2, 1, Purpose::Link).unwrap();
    assert!(doorman.ban(NodeId::new(2)));
    assert!(futures::FutureExt::now_or_never(link.superseded()).is_some(), "its link goes on");
    drop(link);
    for (incarnation, purpose) in [(1, Purpose::Link), (2, Purpose::Link), (2, Purpose::Bulk)] {
        assert_eq!(greet(2, incarnation, purpose).map(drop), Err(Why::Removed));
    }
    let answer = Welcome { by: identity(2, 3, 8), earlier: Vec::new(), version: 3, release: String::new() };
    assert_eq!(doorman.believe(&answer, NodeId::new(2)).unwrap_err().why, Why::Removed);
    assert!(greet(3, 1, Purpose::Link).is_ok(), "somebody else is turned away, too");
    assert!(!doorman.ban(NodeId::new(2)), "it is news twice");
}

#[test]
fn a_directory_that_was_restored_is_never_taken_for_the_node_it_came_from() {
    let doorman = doorman();
    doorman.know_machine(NodeId::new(2), 77);
    let of = |machine| Identity { machine, ..identity(2, 9, 7) };
    let greet = |machine| doorman.greet(&hello(of(machine)), Purpose::Link).map(drop);
    let turned = greet(78).unwrap_err();
    assert_eq!(turned.why, Why::Outdated, "a later incarnation is no proof");
    assert!(turned.text.contains("restored from a backup"), "{}", turned.text);
    let answer = |machine| {
        let (earlier, release) = Default::default();
        Welcome { by: of(machine), earlier, version: 3, release }
    };
    assert_eq!(doorman.believe(&answer(78), NodeId::new(2)).map(drop).unwrap_err().why, Why::Outdated);
    assert_eq!(greet(77), Ok(()));
    doorman.know_machine(NodeId::new(2), 0);
    assert!(greet(78).is_err(), "nothing said is nothing new");
}

#[test]
fn who_wants_to_join_must_mean_this_cluster_and_speak_its_protocol() {
    let judge = |cluster, versions| doorman().may_join(cluster, &versions).map_err(|denied| denied.why);
    assert_eq!([judge(None, 1..=3), judge(Some(5), 4..=9)], [Ok(()), Ok(())]);
    assert_eq!(judge(Some(6), 1..=3), Err(Denial::Cluster));
    assert_eq!(judge(None, 5..=9), Err(Denial::Version));
}

#[test]
fn a_second_process_waits_for_the_end_of_the_first_and_must_be_newer() {
    let doorman = doorman();
    let greet =
        |incarnation, process| doorman.greet(&hello(identity(2, incarnation, process)), Purpose::Link);
    let first = greet(5, 7).unwrap();
    assert_eq!(why(greet(5, 8)), Why::Duplicate);
    assert_eq!(why(greet(4, 8)), Why::Outdated);
    assert_eq!(why(greet(6, 8)), Why::Duplicate);
    drop(first);
    assert_eq!(why(greet(5, 8)), Why::Duplicate);
    let second = greet(6, 8).unwrap();
    assert_eq!(why(greet(5, 7)), Why::Outdated);
    drop(second);
    assert_eq!(why(greet(5, 7)), Why::Outdated);
}

/// The greeting of a directory with these starts, the latest last.
fn of(line: &[u64]) -> Hello {
    let (process, earlier) = line.split_last().unwrap();
    let from = identity(2, line.len() as u64, *process);
    Hello { earlier: earlier.iter().rev().copied().collect(), ..hello(from) }
}

#[test]
fn a_copy_is_never_let_in_once_both_were_alive_also_when_the_original_is_gone() {
    let world = World::new(1);
    world.run(async {
        let (doorman, clock) = (at(&world), world.env().clock);
        let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
        let (original, _) = greet(&[1, 2]).unwrap();
        assert_eq!(why(greet(&[1, 2, 30])), Why::Duplicate);
        clock.sleep(ALIVE_AFTER * 2).await;
        assert_eq!(why(greet(&[1, 2, 30])), Why::Duplicate, "nothing was heard of the original since");
        original.answered(clock.monotonic());
        let turned = greet(&[1, 2, 30]).unwrap_err();
        assert_eq!((turned.why, turned.of), (Why::Copy, 2));
        assert!(turned.text.contains("incarnation 2, which it goes on from"), "{turned}");
        drop(original);
        let seen = doorman.watch_seen().borrow().clone();
        let (clock, me) = (clock.clone(), identity(1, 11, 101));
        let again = Doorman::new(me, 2..=4, String::new(), clock).remembering(vec![100], seen);
        for doorman in [doorman, Arc::new(again)] {
            let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
            assert_eq!(why(greet(&[1, 2, 30, 31])), Why::Copy, "it takes over");
            assert_eq!(why(greet(&[1, 2, 30, 31, 32])), Why::Copy, "it takes over");
            assert!(greet(&[1, 2, 3]).is_ok(), "the original is kept out");
            assert_eq!(why(greet(&[1, 2, 30, 31, 32])), Why::Copy);
            assert!(greet(&[1, 2, 3, 4]).is_ok(), "the original is kept out");
        }
    });
}

#[test]
fn who_does_not_go_on_from_the_latest_is_turned_away_for_good_and_told_no_more_than_is_known() {
    let doorman = doorman();
    let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
    let answer = |line: &[u64]| {
        let Hello { from: by, earlier, .. } = of(line);
        doorman.believe(&Welcome { by, earlier, version: 3, release: String::new() }, NodeId::new(2))
    };
    // The copy came first, or the original did: nobody here knows.
    assert!(greet(&[1, 2, 30]).is_ok());
    assert_eq!(why(greet(&[1, 2, 3])), Why::Duplicate);
    for line in [&[1, 2, 3, 4][..], &[1, 2, 3, 4, 5]] {
        let turned = greet(line).unwrap_err();
        assert_eq!((turned.why, turned.of), (Why::Outdated, 0));
        let both = ["it is a copy or was set back", "or the other directory is a copy", "replace n2"];
        assert!(both.iter().all(|said| turned.text.contains(said)), "{turned}");
        assert_eq!(answer(line).unwrap_err().why, Why::Outdated);
    }
    assert!(answer(&[1, 2, 30, 31]).is_ok());
}

#[test]
fn the_same_process_may_come_again_and_its_earlier_link_is_over() {
    let doorman = doorman();
    let greet = |purpose| doorman.greet(&hello(identity(2, 5, 7)), purpose).unwrap().0;
    let (first, bulk) = (greet(Purpose::Link), greet(Purpose::Bulk));
    let is_over = |pass: &Pass| futures::FutureExt::now_or_never(pass.superseded()).is_some();
    assert!(!is_over(&first));
    let second = greet(Purpose::Link);
    assert!(is_over(&first));
    drop(first);
    assert!(!is_over(&second), "the end of an earlier link ended the later one");
    assert!(!is_over(&bulk));
}

#[test]
fn the_node_that_answers_must_be_the_one_that_was_called() {
    let doorman = doorman();
    let welcome = |by, version| {
        let (earlier, release) = Default::default();
        Welcome { by, earlier, version, release }
    };
    let judge = |welcome| doorman.believe(&welcome, NodeId::new(2)).map(drop).map_err(|turned| turned.why);
    assert_eq!(judge(welcome(identity(2, 1, 7), 3)), Ok(()));
    assert_eq!(judge(welcome(identity(3, 1, 7), 3)), Err(Why::NotMe));
    assert_eq!(judge(welcome(identity(2, 1, 7), 9)), Err(Why::Version));
    assert_eq!(judge(welcome(Identity { cluster: 6, ..identity(2, 1, 7) }, 3)), Err(Why::Cluster));
    assert_eq!(judge(welcome(identity(2, 0, 7), 3)), Err(Why::Outdated));
}
