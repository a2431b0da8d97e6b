//! What operators are told by servers, alone and among others.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::majority::ends;
use super::{AS_BEFORE, Node, home, refused, server, until};

#[test]
fn a_node_without_others_says_so_and_what_would_change_that() {
    let (_home, [data, ..]) = home();
    let node = Node::start(&data, &["--bootstrap", "--replication", "1"]);
    for (verb, code, wanted) in [
        (&["cluster", "status"][..], 0, "healthy: 33 of 33"),
        (&["cluster", "drain", "n1"], 4, "n1 is the last node"),
        (&["cluster", "remove", "n1", "--force"], 4, "add another one first"),
        (&["cluster", "replication", "2"], 2, "give 1, 3 or 5"),
        (&["cluster", "replication", "x"], 2, "give 1, 3 or 5"),
        (&["cluster", "drain", "n2"], 3, "its nodes are n1"),
        (&["cluster", "config", "set", "lanes", "2"], 4, "lanes is read when a node starts"),
        (&["cluster", "config", "get", "nothing"], 3, "no setting has \"nothing\""),
        (
            &["cluster", "config", "set", "nonsense", "1"],
            3,
            "these can be changed: cluster.transfer_bytes_per_second",
        ),
        (&["cluster", "config", "set", "log.filter", "bogus"], 4, "is no level; give off, error, warn"),
        (&["cluster", "config", "set", "log.filter", "info", "--node", "n8"], 3, "no node n8"),
        (&["cluster", "log-level", "info", "--node", "n8"], 3, "no node n8"),
        (&["cluster", "undrain", "n1"], 0, "n1 is not being drained, so there is nothing to take back"),
        (&["cluster", "log-level", ""], 2, "it is empty"),
        (&["cluster", "log-level", "bogus"], 2, "is no level; give off, error, warn"),
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
    let (_home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap", "--name", "north"]);
    let other = Node::start(&second, &["--join", &founder.peers, "--name", "west"]);
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
    other.stop();
    let again = Node::start(&second, &[]);
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
    let (_, said) = again.asked(&["cluster", "nodes"]);
    assert!(said.contains("north") && said.contains("west"), "{said}");
    let stats = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(["stats", "--addr", &founder.clients])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stats.stdout).into_owned();
    let nodes =
        said.lines().find(|line| line.starts_with("nodes ")).expect("it says how many nodes there are");
    assert_eq!(nodes.split_whitespace().last(), Some("2"), "{said}");
    let flags = ["--peer-listen", "127.0.0.1:0", "--join", &founder.peers, "--name", "west"];
    let (code, why) = refused(&third, &flags);
    assert!(code == Some(1) && why.contains("the name \"west\" is that of n2"), "{code:?} {why}");
    let (code, said) = founder.asked(&["cluster", "drain", "east"]);
    assert!(code == Some(3) && said.contains("n1 (north), n2 (west)"), "{code:?} {said}");
}

#[test]
fn the_server_of_a_node_that_was_removed_ends_by_itself_and_says_why_and_does_not_start_again() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let quiet = ["--log-filter", "error", "--peer-listen", "127.0.0.1:0"];
    let joining = ["--join", &founder.peers, "--name", "west"];
    let leaving = RefCell::new(server(&second, &[&quiet[..], &joining].concat()).spawn().unwrap());
    until(|| founder.asked(&["cluster", "nodes"]).1.contains("west"));
    let (code, said) = founder.asked(&["cluster", "remove", "west", "--force", "--timeout", "60s"]);
    assert!(code == Some(0) && said.contains("n2 is removed"), "{said}");
    until(|| leaving.borrow_mut().try_wait().unwrap().is_some());
    let ended = leaving.into_inner().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let why = "this node, n2, was removed from its cluster for good, as n1 says";
    assert!(
        ended.status.code() == Some(1) && said.contains(why) && said.contains("can be deleted"),
        "{said}"
    );
    let (code, said) = refused(&second, &[AS_BEFORE]);
    assert!(code == Some(1) && said.contains(why), "{said}");
}

#[test]
fn whether_a_node_that_was_killed_just_now_can_be_replaced_is_decided_when_that_shows() {
    let (_home, [first, second, third]) = home();
    let asked = Node::start(&first, &["--bootstrap"]);
    let [_other, dead] = [&second, &third].map(|data| Node::start(data, &["--join", &asked.peers]));
    asked.leaders();
    until(|| asked.asked(&["cluster", "status"]).0 == Some(0));
    let (code, said) = asked.asked(&["cluster", "replace", "n3"]);
    assert!(code == Some(4) && said.contains("n3 is up: it answered just now"), "{code:?} {said}");
    drop(dead);
    // It is not said to be up any more; what speaks against it is that nobody is there to take its place.
    let (code, said) = asked.asked(&["cluster", "replace", "n3"]);
    assert!(code == Some(4) && said.contains("without n3 there are 2 nodes left"), "{code:?} {said}");
}

#[test]
fn what_is_waited_for_is_told_as_progress_and_what_fails_as_an_error() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let _other = Node::start(&second, &["--join", &founder.peers]);
    let holds = |of: &serde_json::Value| of["replicas"].as_array().unwrap().contains(&2.into());
    let placed = || founder.ask("GET", "/v1/placement", "", "").1["partitions"].as_array().unwrap().clone();
    until(|| placed().iter().any(holds));
    let (code, _, said) = ends(&["cluster", "drain", "n2", "--wait", "--admin", &founder.operators]);
    assert!(code == Some(0) && said.contains(" to go from n2"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("waiting")), "{said}");
    let (code, _, said) = ends(&["cluster", "drain", "n7", "--admin", &founder.operators]);
    assert!(code != Some(0) && said.starts_with("error: "), "{said}");
    // As it is where the command itself is not understood, which shows the usage of this very verb.
    let (code, _, said) = ends(&["cluster", "drain"]);
    assert!(code == Some(2) && said.starts_with("error: "), "{said}");
    assert!(said.contains("Usage: chronos cluster drain [OPTIONS] <NODE>"), "{said}");
}

#[test]
fn who_takes_one_port_for_the_other_is_told_which_is_which() {
    let (_home, [data, ..]) = home();
    let node = Node::start(&data, &["--bootstrap"]);
    let run = |args: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_chronos")).args(args).output().unwrap();
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let (code, said) = run(&["cluster", "status", "--admin", &node.clients]);
    let expected = format!("this is the port for clients; operators are answered at {}", node.operators);
    assert!(code == Some(1) && said.contains(&expected), "{said}");
    let expected = format!("this is the port for operators; clients are answered at {}", node.clients);
    for verb in [&["read", "--all"][..], &["append", "order-1", "order.placed", "{}"], &["stats"]] {
        let (code, said) = run(&[verb, &["--addr", &node.operators, "--timeout", "5s"]].concat());
        assert!(code != Some(0) && said.contains(&expected), "{verb:?}: {said}");
    }
    let (code, said) = run(&["cluster", "status", "--admin", "foo"]);
    assert!(code == Some(2) && said.contains("give HOST:PORT"), "{said}");
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
    BufRead::read_line(&mut BufReader::new(told.stdout.take().unwrap()), &mut line).unwrap();
    told.kill().unwrap();
    told.wait().unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    // What was said once is known, and may be left out.
    let mut known = server(&data, &config).spawn().unwrap();
    let mut line = String::new();
    BufRead::read_line(&mut BufReader::new(known.stdout.take().unwrap()), &mut line).unwrap();
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

#[test]
fn a_node_whose_majority_is_gone_is_not_ready_names_no_leader_and_says_what_is_waited_for() {
    let (_home, [first, second, third]) = home();
    let left = Node::start(&first, &["--bootstrap"]);
    let others = [&second, &third].map(|data| Node::start(data, &["--join", &left.peers]));
    left.leaders();
    until(|| left.asked(&["cluster", "status"]).0 == Some(0));
    assert_eq!(left.ask("GET", "/readyz", "", "").0, 200);
    drop(others);
    let (exit, said) = left.asked(&["cluster", "status"]);
    assert!(
        exit == Some(6) && !said.contains("healthy"),
        "at once, though nobody is missed yet: {exit:?} {said}"
    );
    until(|| left.ask("GET", "/readyz", "", "").0 == 503);
    until(|| left.ask("GET", "/readyz", "", "").1["leaderless"].as_array().unwrap().len() == 32);
    let ready = left.ask("GET", "/readyz", "", "").1;
    assert_eq!((&ready["ready"], &ready["served"]), (&false.into(), &32.into()), "{ready}");
    until(|| left.asked(&["cluster", "status"]).1.contains("33 partitions have no leader"));
    let (_, shown) = left.asked(&["partition", "show", "7"]);
    assert!(shown.contains("led by nobody"), "{shown}");
    let (_, plan) = left.asked(&["cluster", "plan"]);
    assert!(plan.contains("has no majority of its voters, n2, n3 are down"), "{plan}");
    assert_eq!(left.counted("chronos_replica_knows_leader{partition=\"7\"}"), 0);
    assert_eq!(left.counted("chronos_replica_leads{partition=\"7\"}"), 0);
}

impl Node {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

#[test]
fn a_node_that_falls_silent_is_told_of_and_what_can_be_looked_at_is() {
    let (_home, [first, second, third]) = home();
    let asked = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &asked.peers];
    let [_other, silent] = [&second, &third].map(|data| Node::start(data, &join));
    asked.leaders();
    until(|| asked.asked(&["cluster", "status"]).0 == Some(0));
    let admin = asked.operators.as_str();
    let (code, equal, said) = ends(&["partition", "digest", "--admin", admin]);
    assert!(code == Some(0) && equal.matches(" equal ").count() == 33, "{equal}{said}");

    // It is up, as far as the one that is asked knows, and answers nothing.
    silent.signal(Signal::STOP);
    let (code, compared, said) = ends(&["partition", "digest", "--admin", admin]);
    assert!(code == Some(1) && said.is_empty(), "{said}");
    assert_eq!(compared.matches(" incomplete ").count(), 33, "{compared}");
    assert_eq!(compared.matches("n3 gave none: ").count(), 33, "{compared}");
    assert!(compared.matches("n3 gave none: as said above").count() > 30, "{compared}");
    assert!(compared.matches(" n1 n2\n").count() > 30, "{compared}");
    let (code, read, said) = ends(&["partition", "verify", "--admin", admin]);
    assert!(code == Some(1) && said.is_empty(), "{said}");
    assert!(read.contains("66 of 99 replicas looked at and whole; not looked at"), "{read}");
    assert!(read.contains("nothing is known of them: 33 on n3"), "{read}");
    let (_, shown) = asked.asked(&["partition", "show", "7"]);
    let health = shown.lines().find(|line| line.starts_with("health")).unwrap();
    assert!(health.contains("unreachable"), "{shown}");
    assert!(shown.contains("n3 is down: what is shown of it is what it said last"), "{shown}");
    silent.signal(Signal::CONT);
    who_waits_for_it_to_lead_waits_no_longer_than_that(&asked, &silent);
}

fn who_waits_for_it_to_lead_waits_no_longer_than_that(asked: &Node, silent: &Node) {
    let wanted = |partition| format!("n3 does not lead partition {partition} yet after 3s");
    // When it is known to be down by then, it is not handed anything in the first place.
    for _ in 0..10 {
        until(|| asked.asked(&["cluster", "status"]).0 == Some(0));
        let partition = asked.leaders().iter().position(|leader| *leader == 1).unwrap().to_string();
        silent.signal(Signal::STOP);
        let transfer = ["partition", "transfer", &partition, "--to", "n3", "--wait", "--timeout", "3s"];
        let (code, printed, said) = ends(&[&transfer[..], &["--admin", &asked.operators]].concat());
        silent.signal(Signal::CONT);
        if said.contains("is down") {
            continue;
        }
        assert!(code == Some(1) && printed.is_empty(), "{code:?} {printed}{said}");
        assert!(said.contains(&wanted(partition)) && said.contains("chronos cluster plan"), "{said}");
        return;
    }
    panic!("it is known to be down as soon as it is silent");
}

/// A command that follows what happens at a node, once it was told something.
fn listener(node: &Node) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut events = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(["cluster", "events", "--admin", &node.operators])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    // Something happens until it is told, so that there is somebody who listens.
    std::thread::scope(|scope| {
        let heard = scope.spawn(|| lines.next());
        while !heard.is_finished() {
            node.asked(&["cluster", "pause"]);
            node.asked(&["cluster", "resume"]);
        }
        assert!(heard.join().unwrap().is_some());
    });
    (events, lines)
}

#[test]
fn who_listens_to_a_node_that_ends_or_falls_silent_is_told_so() {
    let (_home, [data, ..]) = home();
    let node = Node::start(&data, &["--bootstrap"]);
    let (events, lines) = listener(&node);
    node.stop();
    lines.for_each(drop);
    let ended = events.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("has ended the stream"), "{said}");

    let node = Node::start(&data, &[AS_BEFORE]);
    let (events, lines) = listener(&node);
    node.signal(Signal::STOP);
    lines.for_each(drop);
    let ended = events.wait_with_output().unwrap();
    node.signal(Signal::CONT);
    let said = String::from_utf8_lossy(&ended.stderr);
    let lost = "the node that was asked was lost before it had answered everything";
    assert!(ended.status.code() == Some(1) && said.contains(lost), "{said}");
}

#[test]
fn a_server_waits_for_its_address_while_the_process_before_it_ends() {
    let (_home, [data, ..]) = home();
    let before = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = before.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronos"));
    command.arg("server").arg("--data").arg(&data).args([
        "--listen",
        &address,
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let told = said.find(|line| line.as_ref().is_ok_and(|line| line.contains("is taken"))).unwrap().unwrap();
    assert!(told.contains(&address) && told.contains("trying again for"), "{told}");
    drop(before);
    let mut printed = BufReader::new(waiting.stdout.take().unwrap()).lines();
    assert_eq!(printed.next().unwrap().unwrap(), format!("listening on {address}"));
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let taken = TcpListener::bind(&address).unwrap();
    let (code, why) = refused(&data, &[AS_BEFORE, "--listen", &address]);
    assert!(code == Some(1) && why.contains(&address) && why.contains("--listen"), "{why}");
    drop(taken);
}

#[test]
fn a_node_that_was_killed_can_be_started_again_at_once() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let mut other = Node::start(&second, &["--join", &founder.peers]);
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
    for _ in 0..3 {
        // Nobody waits until it is gone.
        other.child.kill().unwrap();
        let again = Node::start(&second, &[AS_BEFORE]);
        other = again;
    }
    founder.counts_at_last("chronos_peer_link_up{node=\"n2\"}", 1);
}
