//! What a node says of itself that cannot serve all it should, and how one ends that can serve nothing.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};

use chronos_domain::{PartitionId, place};
use chronos_env::Env;
use chronos_store::Withheld;

use super::{AS_BEFORE, Node, home, server, until};

#[test]
fn a_node_with_a_replica_that_has_diverged_names_it_and_serves_by_the_others_as_long_as_they_lead() {
    let (_home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let others = [Node::start(&second, &join), Node::start(&third, &join)];
    founder.leaders();
    let [other, stopped] = others;
    stopped.stop();
    let hurt = PartitionId::new(7).unwrap();
    let apart = Withheld::Diverged { index: 1, term: 1, leader: 1, leader_term: 1 };
    apart.write(Env::real().disk.as_ref(), &third.join("parts/p07")).unwrap();

    let node = Node::start(&third, &[AS_BEFORE]);
    until(|| node.ask("GET", "/readyz", "", "").0 == 200);
    // A replica serves once it knows that it is as far as it was.
    until(|| node.ask("GET", "/readyz", "", "").1["served"] == 31);
    let ready = node.ask("GET", "/readyz", "", "").1;
    assert_eq!(ready["refused"][0]["partition"], 7, "{ready}");
    let named = "ready; out of service on this node: partition 7 (callers are passed on to other nodes)";
    assert_eq!(ready["detail"], named);
    // Whoever is sent here is served.
    let entity = (0..).map(|n| format!("order-{n}")).find(|entity| place("default", entity) == hurt).unwrap();
    let (status, said) = node.append(&entity, "");
    assert_eq!(status, 200, "{said}");
    let (status, said) = node.ask("GET", &format!("/v1/entities/{entity}/events"), "", "");
    assert_eq!((status, said["events"].as_array().map(Vec::len)), (200, Some(1)), "{said}");

    // With nobody left who could do it instead it is no place to send anybody to.
    drop([founder, other]);
    let leaderless = || node.ask("GET", "/readyz", "", "").1["leaderless"].as_array().unwrap().len();
    until(|| leaderless() == 32);
    let (status, ready) = node.ask("GET", "/readyz", "", "");
    assert_eq!(status, 503, "{ready}");
}

#[test]
fn a_server_whose_directory_is_deleted_ends_by_itself_and_says_so() {
    let (_home, [data, ..]) = home();
    let mut child = server(&data, &["--log-filter", "off"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    // Of all its files the one by which it is known: nothing that is written or read now needs it.
    Env::real().disk.remove(&data.join("IDENTITY")).unwrap();
    let child = RefCell::new(child);
    until(|| child.borrow_mut().try_wait().unwrap().is_some());
    let ended = child.into_inner().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let why = format!("the data directory {} was deleted, moved or replaced", data.display());
    assert!(ended.status.code() == Some(1) && said.contains(&why) && said.contains("IDENTITY"), "{said}");
}
