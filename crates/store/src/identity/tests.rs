use std::collections::{BTreeMap, BTreeSet};

use chronos_domain::NodeId;
use chronos_env::OpenMode;
use chronos_env::sim::World;

use super::*;

const DATA: &str = "/data/node";

fn options() -> Options {
    Options { cluster: None, release: "0.1.0".to_owned() }
}

fn open(env: &Env) -> Result<DataDir, OpenError> {
    DataDir::open(env, Path::new(DATA), &options())
}

fn put(env: &Env, file: &str, bytes: &[u8]) {
    env.disk.create_dir_all(Path::new(DATA)).unwrap();
    let file = env.disk.open(&Path::new(DATA).join(file), OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

fn make_log(env: &Env) {
    let dir = Path::new(DATA).join(WAL);
    env.disk.create_dir_all(&dir).unwrap();
    let file = env.disk.open(&dir.join("something"), OpenMode::CreateNew).unwrap();
    file.sync_data().unwrap();
    env.disk.sync_dir(&dir).unwrap();
    env.disk.sync_dir(Path::new(DATA)).unwrap();
}

#[test]
fn a_missing_directory_is_founded_and_says_the_same_ever_after() {
    let env = World::new(1).env();
    let founded = open(&env).unwrap().identity;
    assert_eq!((founded.partitions, founded.release.as_str(), founded.sealed), (PARTITIONS, "0.1.0", false));
    assert_ne!(founded.cluster, founded.node);
    let uuid = chronos_domain::EventId::from_u128(founded.cluster).to_string();
    assert_eq!((&uuid[14..15], uuid.len()), ("4", 36), "{uuid}");
    let later = Options { cluster: Some(founded.cluster), release: "0.2.0".to_owned() };
    assert_eq!(DataDir::open(&env, Path::new(DATA), &later).unwrap().identity, founded);
}

#[test]
fn the_identity_outlasts_a_power_cut_from_the_moment_open_returns() {
    for seed in 0..50 {
        let world = World::new(seed);
        let founded = open(&world.env()).unwrap().identity;
        world.disk().power_off();
        world.disk().power_on();
        assert_eq!(open(&world.env()).unwrap().identity, founded, "seed {seed}");
    }
}

#[test]
fn a_locked_directory_is_refused_until_its_holder_is_gone() {
    let env = World::new(1).env();
    let held = open(&env).unwrap();
    let refused = open(&env).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().contains("locked by a running server"), "{refused}");
    let mut held = held;
    make_log(&env);
    held.seal(&env).unwrap();
    // Even when somebody removes the lock file.
    env.disk.remove(&held.path.join(LOCK)).unwrap();
    assert!(matches!(open(&env).unwrap_err(), OpenError::Locked { .. }));
    drop(held);
    open(&env).unwrap();
}

#[test]
fn a_directory_that_is_moved_or_loses_a_file_that_says_whose_it_is_is_missed() {
    let env = World::new(1).env();
    let mut held = open(&env).unwrap();
    make_log(&env);
    held.seal(&env).unwrap();
    held.begin(&env, Whereabouts::default()).unwrap();
    let (disk, dir) = (env.disk.as_ref(), Path::new(DATA));
    let missing = || held.missing(disk).unwrap();
    assert_eq!(missing(), None);
    disk.remove(&dir.join(LOCK)).unwrap();
    assert_eq!(missing(), None, "nothing is lost with it");
    disk.rename(dir, Path::new("/data/away")).unwrap();
    assert_eq!(missing(), Some(dir.join(IDENTITY)));
    // What is there instead is another one, though it says the same.
    let bytes = disk.read_file(Path::new("/data/away/IDENTITY")).unwrap();
    put(&env, IDENTITY, &bytes);
    assert_eq!(missing(), Some(dir.join(IDENTITY)));
    disk.remove(&dir.join(IDENTITY)).unwrap();
    disk.remove(dir).unwrap();
    disk.rename(Path::new("/data/away"), dir).unwrap();
    assert_eq!(missing(), None);
    disk.remove(&dir.join(NODE)).unwrap();
    assert_eq!(missing(), Some(dir.join(NODE)));
}

#[test]
fn a_directory_with_foreign_files_is_refused_and_left_alone() {
    let env = World::new(1).env();
    put(&env, "thesis.tex", b"precious");
    let refused = open(&env).unwrap_err();
    assert!(matches!(&refused, OpenError::Foreign { found, .. } if found == "thesis.tex"), "{refused}");
    let names: Vec<_> = env.disk.list(Path::new(DATA)).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["thesis.tex"]);
}

#[test]
fn what_a_cut_first_start_leaves_behind_counts_as_empty() {
    let env = World::new(1).env();
    put(&env, "LOCK", b"");
    put(&env, "IDENTITY.tmp", b"half");
    open(&env).unwrap();
}

#[test]
fn a_log_without_an_identity_is_refused() {
    let env = World::new(1).env();
    drop(open(&env).unwrap());
    make_log(&env);
    env.disk.remove(&Path::new(DATA).join(IDENTITY)).unwrap();
    let refused = open(&env).unwrap_err();
    assert!(matches!(refused, OpenError::IdentityMissing { .. }), "{refused}");
}

#[test]
fn another_cluster_is_refused_and_both_are_named() {
    let env = World::new(1).env();
    let founded = open(&env).unwrap().identity;
    let wanted = Options { cluster: Some(7), ..options() };
    let refused = DataDir::open(&env, Path::new(DATA), &wanted).unwrap_err();
    let (ours, theirs) =
        (chronos_domain::EventId::from_u128(founded.cluster), "00000000-0000-0000-0000-000000000007");
    let text = refused.to_string();
    assert!(text.contains(&ours.to_string()) && text.contains(theirs), "{text}");
}

#[test]
fn a_new_directory_joins_the_cluster_it_is_told_to() {
    let env = World::new(1).env();
    let wanted = Options { cluster: Some(7), ..options() };
    assert_eq!(DataDir::open(&env, Path::new(DATA), &wanted).unwrap().identity.cluster, 7);
}

/// The identity file of a founded directory, changed and summed up again.
fn rewritten(change: impl Fn(&mut Vec<u8>)) -> OpenError {
    let env = World::new(1).env();
    drop(open(&env).unwrap());
    let file = Path::new(DATA).join(IDENTITY);
    let mut bytes = env.disk.read_file(&file).unwrap();
    bytes.truncate(bytes.len() - 8);
    change(&mut bytes);
    let checksum = chronos_domain::xxh64::xxh64(&bytes, 0);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    env.disk.write_atomic(&file, &bytes).unwrap();
    open(&env).unwrap_err()
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let refused = rewritten(|bytes| bytes[8] = 2);
    assert!(matches!(refused, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{refused}");
}

#[test]
fn another_number_of_partitions_is_refused_with_the_reason() {
    let refused = rewritten(|bytes| bytes[10] = 64);
    assert!(matches!(refused, OpenError::Partitions { found: 64, .. }), "{refused}");
    assert!(refused.to_string().contains("never changes"), "{refused}");
}

#[test]
fn any_flipped_bit_or_cut_of_the_identity_is_damage() {
    let env = World::new(1).env();
    drop(open(&env).unwrap());
    let file = Path::new(DATA).join(IDENTITY);
    let whole = env.disk.read_file(&file).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|len| whole[..len].to_vec()).collect();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        damaged.push(bytes);
    }
    for bytes in damaged {
        env.disk.write_atomic(&file, &bytes).unwrap();
        let refused = open(&env).unwrap_err();
        assert!(matches!(&refused, OpenError::Damaged { file: named, .. } if *named == file), "{refused}");
    }
}

#[test]
fn a_sealed_directory_without_its_log_is_damage_and_a_founded_one_is_not() {
    let env = World::new(1).env();
    drop(open(&env).unwrap());
    let mut founded = open(&env).unwrap();
    make_log(&env);
    founded.seal(&env).unwrap();
    founded.seal(&env).unwrap();
    drop(founded);
    assert!(open(&env).unwrap().identity.sealed);
    let dir = Path::new(DATA).join(WAL);
    env.disk.remove(&dir.join("something")).unwrap();
    let refused = open(&env).unwrap_err();
    assert!(matches!(&refused, OpenError::LogMissing { dir: named } if *named == dir), "{refused}");
    env.disk.remove(&dir).unwrap();
    assert!(matches!(open(&env).unwrap_err(), OpenError::LogMissing { .. }));
}

#[test]
fn a_cut_while_sealing_leaves_an_identity_either_way() {
    for seed in 0..50 {
        let world = World::new(seed);
        let mut dir = open(&world.env()).unwrap();
        let founded = dir.identity.clone();
        make_log(&world.env());
        dir.seal(&world.env()).unwrap();
        drop(dir);
        world.disk().power_off();
        world.disk().power_on();
        let found = open(&world.env()).unwrap().identity;
        assert_eq!(found, Identity { sealed: true, ..founded }, "seed {seed}");
    }
}

fn threshold(env: &Env) -> Result<Threshold, OpenError> {
    Threshold::enter(env, Path::new(DATA))
}

fn neighbour(node: u64, peer: &str) -> Neighbour {
    Neighbour { node: NodeId::new(node), machine: u128::from(node) << 64, peer: peer.to_owned() }
}

fn seated(env: &Env) -> Seat {
    let mut dir = open(env).unwrap();
    dir.begin(env, Whereabouts { peer: "here:1".into(), ..Whereabouts::default() }).unwrap().clone()
}

#[test]
fn who_was_never_told_anything_else_is_the_founder_and_each_start_counts() {
    let world = World::new(1);
    let founded = open(&world.env()).unwrap().identity;
    for incarnation in 1..=3 {
        let seat = seated(&world.env());
        assert_eq!((seat.origin, seat.node, seat.incarnation), (Origin::Founder, NodeId::FIRST, incarnation));
        assert_eq!((seat.machine, seat.cluster), (founded.node, founded.cluster));
        world.disk().power_off();
        world.disk().power_on();
    }
    assert_eq!(threshold(&world.env()).unwrap().seat().unwrap().at.peer, "here:1");
}

#[test]
fn a_machine_asks_as_the_same_one_until_it_is_admitted() {
    let world = World::new(1);
    let machine = threshold(&world.env()).unwrap().ask(&world.env()).unwrap();
    world.disk().power_off();
    world.disk().power_on();
    let env = world.env();
    assert!(matches!(open(&env).unwrap_err(), OpenError::Asking { .. }));
    let mut again = threshold(&env).unwrap();
    assert!(again.is_nobodys());
    assert_eq!(again.ask(&env).unwrap(), machine);
    again.admit(&env, 7, NodeId::new(3), vec![neighbour(1, "first:1")]).unwrap();
    drop(again);
    world.disk().power_off();
    world.disk().power_on();
    let env = world.env();
    assert!(!threshold(&env).unwrap().is_nobodys());
    let dir = open(&env).unwrap();
    assert_eq!((dir.identity.cluster, dir.identity.node), (7, machine));
    let seat = dir.seat().clone();
    assert_eq!((seat.origin, seat.node, seat.incarnation), (Origin::Joined, NodeId::new(3), 0));
    assert_eq!(seat.members, [neighbour(1, "first:1")]);
    drop(dir);
    assert_eq!(seated(&env).incarnation, 1);
}

#[test]
fn the_others_are_written_down_and_everything_else_stays() {
    let world = World::new(1);
    let mut dir = open(&world.env()).unwrap();
    let seat = dir.begin(&world.env(), Whereabouts::default()).unwrap().clone();
    let (others, gone) =
        (vec![neighbour(2, "second:1"), neighbour(3, "third:1")], BTreeSet::from([NodeId::new(4)]));
    let copies = vec![Double { process: 8, of: 6 }];
    let met = BTreeMap::from([(NodeId::new(2), Sighting { incarnation: 5, process: 7, copies })]);
    dir.note_members(&world.env(), others.clone(), gone.clone(), met.clone()).unwrap();
    drop(dir);
    world.disk().power_off();
    world.disk().power_on();
    let noted = Seat { members: others, removed: gone, seen: met, ..seat };
    assert_eq!(open(&world.env()).unwrap().seat(), &noted);
    let next = seated(&world.env());
    assert_eq!(
        (next.members, next.removed, next.seen),
        (noted.members, noted.removed, noted.seen),
        "the next start has forgotten them"
    );
}

#[test]
fn each_start_is_a_process_of_its_own_and_a_copy_has_the_line_up_to_its_making() {
    let world = World::new(1);
    let starts = || seated(&world.env()).starts;
    let (first, second) = (starts(), starts());
    world.disk().power_off();
    world.disk().power_on();
    assert_eq!((first.len(), &second[1..]), (1, &first[..]));
    let file = Path::new(DATA).join(NODE);
    let copied = world.env().disk.read_file(&file).unwrap();
    let original = starts();
    world.env().disk.write_atomic(&file, &copied).unwrap();
    let copy = starts();
    assert_eq!((&original[1..], &copy[1..]), (&second[..], &second[..]));
    assert!(original[0] != copy[0] && !original.contains(&0), "{original:?} {copy:?}");
}

#[test]
fn a_copy_that_was_found_out_is_never_opened_again_and_says_why() {
    let world = World::new(1);
    let mut dir = open(&world.env()).unwrap();
    dir.begin(&world.env(), Whereabouts::default()).unwrap();
    dir.disown(&world.env(), NodeId::new(3), 77).unwrap();
    drop(dir);
    world.disk().power_off();
    world.disk().power_on();
    for _ in 0..2 {
        let refused = open(&world.env()).unwrap_err();
        let OpenError::Copy { node, by, incarnation, .. } = &refused else { panic!("{refused}") };
        assert_eq!((*node, *by, *incarnation), (NodeId::FIRST, NodeId::new(3), 1));
        let text = refused.to_string();
        for said in
            ["/NODE says", "is a copy", "as n3 has seen", "remove it", "start n1 from its own directory"]
        {
            assert!(text.contains(said), "{text}");
        }
    }
    let seat = Seat::peek(&world.env(), Path::new(DATA)).unwrap().unwrap();
    assert_eq!(seat.disowned, Some(Disowned { by: NodeId::new(3), incarnation: 1, of: 77 }));
}

#[test]
fn a_node_that_joined_is_nobody_without_its_number_or_identity() {
    let joined = || {
        let env = World::new(1).env();
        let mut threshold = threshold(&env).unwrap();
        threshold.ask(&env).unwrap();
        threshold.admit(&env, 7, NodeId::new(3), Vec::new()).unwrap();
        drop(threshold);
        seated(&env);
        env
    };
    let env = joined();
    env.disk.remove(&Path::new(DATA).join(NODE)).unwrap();
    assert!(matches!(open(&env).unwrap_err(), OpenError::NodeMissing { .. }));
    let env = joined();
    env.disk.remove(&Path::new(DATA).join(IDENTITY)).unwrap();
    assert!(matches!(open(&env).unwrap_err(), OpenError::IdentityMissing { .. }));
    let (env, other) = (joined(), World::new(2).env());
    seated(&other);
    let theirs = other.disk.read_file(&Path::new(DATA).join(NODE)).unwrap();
    env.disk.write_atomic(&Path::new(DATA).join(NODE), &theirs).unwrap();
    assert!(matches!(open(&env).unwrap_err(), OpenError::NodeOfAnother { .. }));
}
