//! What operators are told by servers, alone and among others.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Node, home, refused, server};

#[test]
fn a_node_without_others_says_so_and_what_would_change_that() {
    let (_home, [data, ..]) = home();
    let node = Node::start(&data, &["--bootstrap", "--replication", "1"]);
    for (verb, code, wanted) in [
        (&["cluster", "status", "--check"][..], 0, "healthy: 33 of 33"),
        (&["cluster", "drain", "n1"], 4, "n1 is the last node"),
        (&["cluster", "remove", "n1", "--force"], 4, "add another one first"),
        (&["cluster", "replication", "2"], 4, "give 1, 3 or 5"),
        (&["cluster", "drain", "n2"], 3, "its nodes are n1"),
        (&["cluster", "config", "set", "lanes", "2"], 4, "lanes is read when a node starts"),
        (&["cluster", "config", "get", "nothing"], 3, "no setting has \"nothing\""),
        (&["cluster", "log-level", ""], 4, "it is empty"),
        (&["partition", "transfer", "7", "--to", "n1"], 0, "partition 7 is led by n1"),
        (&["partition", "verify", "7"], 0, "1 replica looked at, all of them whole"),
        (&["repair"], 0, "33 replicas looked at: 33 whole"),
    ] {
        let (exit, said) = node.asked(verb);
        assert!(exit == Some(code) && said.contains(wanted), "{verb:?} {exit:?}: {said}");
    }
    let (_, shown) = node.asked(&["partition", "show", "7"]);
    assert!(shown.contains("last scrub") && !shown.contains("never"), "it was verified: {shown}");
}

#[test]
fn a_node_keeps_its_name_and_is_counted_with_the_others() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap", "--name", "north"]);
    let other = Node::start(&second, &["--join", &founder.peers, "--name", "west"]);
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
    other.stop();
    let again = Node::start(&second, &[]);
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
    let (_, said) = again.asked(&["cluster", "nodes"]);
    assert!(said.contains("north") && said.contains("west"), "{said}");
    let stats = std::process::Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(["stats", "--addr", &founder.clients])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stats.stdout).into_owned();
    let nodes =
        said.lines().find(|line| line.starts_with("nodes ")).expect("it says how many nodes there are");
    assert_eq!(nodes.split_whitespace().last(), Some("2"), "{said}");
}

#[test]
fn a_file_may_leave_to_a_flag_where_others_find_the_node() {
    let (_home, [data, ..]) = home();
    let file = data.with_extension("toml");
    std::fs::write(&file, "[cluster]\npeer_listen = \"0.0.0.0:0\"\nplaintext_anywhere = true\n").unwrap();
    let config = ["--config", file.to_str().unwrap(), "--bootstrap"];
    let (code, why) = refused(&data, &config);
    assert!(code == Some(2) && why.contains("--advertise HOST"), "{why}");
    let mut told = server(&data, &[&config[..], &["--advertise", "localhost"]].concat()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(told.stdout.take().unwrap()), &mut line)
        .unwrap();
    told.kill().unwrap();
    told.wait().unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    // What was said once is known, and may be left out.
    let mut known = server(&data, &config).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(known.stdout.take().unwrap()), &mut line)
        .unwrap();
    known.kill().unwrap();
    known.wait().unwrap();
    assert!(line.starts_with("listening on "), "{line}");
}

#[test]
fn strangers_at_the_port_for_nodes_are_answered_as_they_speak_and_counted() {
    let (_home, [data, ..]) = home();
    let node = Node::start(&data, &["--bootstrap"]);
    let visit = |bytes: &[u8]| {
        let mut stranger = TcpStream::connect(&node.peers).unwrap();
        stranger.write_all(bytes).unwrap();
        let mut said = Vec::new();
        // A reset is an end, too.
        let _ = stranger.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    let said = visit(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 421") && said.contains("this port is for the nodes"), "{said}");
    assert_eq!(visit(&[0xA5; 512]), "");
    node.counts_at_last("chronos_peer_strangers_total{why=\"garbage\"}", 2);
}
