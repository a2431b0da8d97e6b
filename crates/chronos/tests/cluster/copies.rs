//! A copy of a node's directory, served beside the original.

use std::path::Path;

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

#[test]
fn a_copy_of_a_directory_ends_once_and_for_all_and_the_original_goes_on() {
    let (home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let original = Node::start(&second, &join);
    let witness = Node::start(&third, &join);
    founder.leaders();
    // While it stands still, its files are those of a moment.
    let (double, stranger) = (home.path().join("double"), home.path().join("stranger"));
    let process = Pid::from_child(&original.child);
    kill_process(process, Signal::STOP).unwrap();
    copy(&second, &double);
    kill_process(process, Signal::CONT).unwrap();

    // Where the original is, nobody else gets in.
    let elsewhere = ["--peer-listen", "127.0.0.2:0"];
    let (code, said) = refused(&double, &elsewhere);
    assert!(code == Some(1) && said.contains("stopped: this data directory is a copy"), "{code:?}: {said}");
    // Whoever takes another copy from it has one that is marked, too.
    copy(&double, &stranger);
    for data in [&double, &stranger] {
        let (code, said) = refused(data, &elsewhere);
        assert!(code == Some(1) && said.contains("says that this data directory is a copy"), "{said}");
    }
    let seat = |data: &Path| Seat::peek(&Env::real(), data).unwrap().unwrap();
    let [found, of] = [seat(&double).starts[0], seat(&second).starts[0]];
    for witness in [&first, &third] {
        let knows = || {
            let seen = seat(witness).seen.into_iter().find(|seen| seen.node == 2).unwrap();
            seen.process == of && seen.copies.iter().any(|copy| (copy.process, copy.of) == (found, of))
        };
        until(knows);
    }

    assert_eq!(original.append("order-1", "").0, 200, "the original has to suffer");
    let before = original.stop();
    let original = Node::start(&second, &[AS_BEFORE]);
    assert_eq!(seat(&second).starts[1..], before.starts);
    let nodes = [founder, original, witness];
    super::agree(&nodes, 1);
}
