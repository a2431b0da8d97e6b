//! A copy of a node's directory, served beside the original.

use std::path::Path;

use chronos_domain::NodeId;
use chronos_env::Env;
use chronos_store::Seat;
use rustix::process::{Pid, Signal, kill_process};

use super::{AS_BEFORE, Node, home, refused, until};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn seat(data: &Path) -> Seat {
    Seat::peek(&Env::real(), data).unwrap().unwrap()
}

/// What a server says that has to end, and the file `NODE` as it was while it ran.
fn refused_and_noted(data: &Path, flags: &[&str]) -> (String, Vec<u8>) {
    let before = seat(data).incarnation;
    std::thread::scope(|scope| {
        let server = scope.spawn(|| refused(data, flags));
        until(|| seat(data).incarnation > before);
        let node = std::fs::read(data.join("NODE")).unwrap();
        let (code, said) = server.join().unwrap();
        assert_eq!(code, Some(1), "{said}");
        (said, node)
    })
}

#[test]
fn a_copy_of_a_directory_ends_once_and_for_all_and_the_original_goes_on() {
    let (home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let original = Node::start(&second, &join);
    let witness = Node::start(&third, &join);
    let met = |who: &Path| seat(who).seen.remove(&NodeId::new(2));
    // Who is copied knows where both of them are.
    until(|| seat(&second).members.len() == 2 && met(&first).is_some() && met(&third).is_some());
    // While it stands still, its files are those of a moment.
    let (double, another) = (home.path().join("double"), home.path().join("another"));
    let process = Pid::from_child(&original.child);
    kill_process(process, Signal::STOP).unwrap();
    copy(&second, &double);
    kill_process(process, Signal::CONT).unwrap();

    // Where the original is, nobody else gets in.
    let elsewhere = ["--peer-listen", "127.0.0.2:0"];
    let (said, unmarked) = refused_and_noted(&double, &elsewhere);
    assert!(said.contains("stopped: this data directory is a copy"), "{said}");
    // Whoever takes another copy from it has one that is marked, too.
    copy(&double, &another);
    for data in [&double, &another] {
        let (code, said) = refused(data, &elsewhere);
        assert!(code == Some(1) && said.contains("says that this data directory is a copy"), "{said}");
    }
    let [found, of] = [seat(&double).starts[0], seat(&second).starts[0]];
    for who in [&first, &third] {
        until(|| {
            let seen = met(who).unwrap();
            seen.process == of && seen.copies.iter().any(|copy| (copy.process, copy.of) == (found, of))
        });
    }
    assert_eq!(original.append("order-1", "").0, 200, "the original has to suffer");

    // Without its mark it comes when the original is dead, to one who has seen it and to one who only wrote it down.
    drop(original);
    let before = witness.stop();
    assert!(before.seen.contains_key(&NodeId::new(2)), "{:?}", before.seen);
    let witness = Node::start(&third, &[AS_BEFORE]);
    std::fs::write(double.join("NODE"), unmarked).unwrap();
    assert_eq!(seat(&double).disowned, None);
    let (code, said) = refused(&double, &elsewhere);
    assert!(code == Some(1) && said.contains("stopped: this data directory is a copy"), "{said}");

    let before = seat(&second);
    let nodes = [founder, Node::start(&second, &[AS_BEFORE]), witness];
    assert_eq!(seat(&second).starts[1..], before.starts);
    super::agree(&nodes, 1);
}
