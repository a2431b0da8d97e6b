//! Server processes that become a cluster, and those that do not.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use chronos_env::Env;
use chronos_store::{Seat, Threshold};

/// A server on free ports of this machine, not yet started.
fn server(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronos"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHRONOS_") {
            command.env_remove(name);
        }
    }
    command.arg("server").arg("--data").arg(data);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that has to end by itself.
fn refused(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = server(data, more).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// A server that is up.
struct Node {
    child: Child,
    clients: String,
    peers: String,
    operators: String,
    data: PathBuf,
}

impl Node {
    fn start(data: &Path, more: &[&str]) -> Node {
        Node::listening(data, "127.0.0.1:0", more)
    }

    fn listening(data: &Path, peers: &str, more: &[&str]) -> Node {
        let mut command = server(data, &[&["--peer-listen", peers], more].concat());
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = |what: &str| {
            let line = lines.next().expect("it says where it listens").unwrap();
            line.strip_prefix(what)
                .unwrap_or_else(|| panic!("{line:?} does not begin with {what:?}"))
                .to_owned()
        };
        let (clients, peers) = (next("listening on "), next("peers on "));
        let operators = next("admin on ");
        Node { child, clients, peers, operators, data: data.to_path_buf() }
    }

    /// What it serves there over HTTP.
    fn get(&self, path: &str) -> serde_json::Value {
        let mut http = TcpStream::connect(&self.clients).unwrap();
        http.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        http.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    /// The digest of everything it holds, partition by partition, and how many events that is.
    fn holds(&self) -> (u64, Vec<String>) {
        let held = self.get("/v1/digest");
        let each = held["partitions"].as_array().unwrap();
        let events = each.iter().map(|of| of["position"].as_u64().unwrap_or(0)).sum();
        (events, each.iter().map(|of| format!("{} {}", of["position"], of["digest"])).collect())
    }

    /// What it counts under this name and these labels.
    fn counted(&self, sample: &str) -> u64 {
        let mut http = TcpStream::connect(&self.clients).unwrap();
        http.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        http.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.unwrap_or_else(|| panic!("{sample} is not counted")).trim().parse().unwrap()
    }

    /// SIGTERM; its seat, once it has ended in order.
    fn stop(mut self) -> Seat {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        Threshold::enter(&Env::real(), &self.data).unwrap().seat().unwrap().clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> (tempfile::TempDir, [PathBuf; 3]) {
    let home = tempfile::tempdir().unwrap();
    let data = ["first", "second", "third"].map(|name| home.path().canonicalize().unwrap().join(name));
    (home, data)
}

#[test]
fn three_servers_become_a_cluster_and_each_is_the_same_node_when_it_starts_again() {
    let (_home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap", "--token", "hush"]);
    let join = ["--join", &founder.peers, "--token", "hush"];
    let others = [Node::start(&second, &join), Node::start(&third, &join)];
    let cluster = founder.counted("chronos_peer_joins_total");
    assert_eq!(cluster, 2);
    let seats: Vec<Seat> = others.into_iter().map(Node::stop).collect();
    assert_eq!([seats[0].node, seats[1].node], [2, 3]);
    // No flag is needed again; the port is the one that the others know.
    let again = Node::start(&second, &[]);
    assert_eq!(again.peers, seats[0].at.peer_listen);
    // And those of the first time do no harm.
    let third_again = Node::start(&third, &join);
    for (node, before) in [again, third_again].into_iter().zip(&seats) {
        let seat = node.stop();
        assert_eq!((seat.node, seat.machine, seat.cluster), (before.node, before.machine, before.cluster));
        assert_eq!(seat.incarnation, before.incarnation + 1);
    }
    let (code, why) = refused(&second, &["--bootstrap"]);
    assert!(
        code == Some(1) && why.contains("belongs to node n2") && why.contains("remove --bootstrap"),
        "{why}"
    );
    let seat = founder.stop();
    assert_eq!((seat.node, seat.cluster), (1, seats[0].cluster));
    let (code, why) = refused(&first, &["--join", "127.0.0.1:1"]);
    assert!(code == Some(1) && why.contains("n1, which founded its cluster"), "{why}");
}

#[test]
fn who_is_not_admitted_is_told_why_and_it_is_counted() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap", "--token", "hush"]);
    let join = ["--join", founder.peers.as_str(), "--peer-listen", "127.0.0.1:0"];
    let (code, why) = refused(&second, &[&join[..], &["--token", "guess"]].concat());
    assert!(code == Some(1) && why.contains("does not admit this node") && why.contains("(token)"), "{why}");
    assert_eq!(founder.counted("chronos_peer_joins_denied_total{why=\"token\"}"), 1);
    let other = ["--token", "hush", "--cluster-id", "01890a5d-ac96-774b-bcce-b302099a8057"];
    let (code, why) = refused(&second, &[&join[..], &other].concat());
    assert!(code == Some(1) && why.contains("(other cluster)"), "{why}");
    assert_eq!(founder.counted("chronos_peer_joins_denied_total{why=\"other cluster\"}"), 1);
    // The directory belongs to nobody yet, and is not taken for one of its own.
    let (code, why) = refused(&second, &[]);
    assert!(code == Some(1) && why.contains("start with --join again"), "{why}");
    let join = ["--join", founder.clients.as_str(), "--peer-listen", "127.0.0.1:0"];
    let (code, why) = refused(&second, &join);
    assert!(code == Some(1) && why.contains("--peer-listen"), "{why}");
}

#[test]
fn a_client_at_the_port_for_nodes_is_told_so_and_it_is_counted() {
    let (_home, [first, ..]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let asked = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(["stats", "--addr", &founder.peers])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(!asked.status.success() && said.contains("this port is for the nodes"), "{said}");
    assert!(founder.counted("chronos_peer_strangers_total{why=\"other service\"}") >= 1);
}

#[test]
fn what_contradicts_itself_is_refused_with_what_to_do() {
    let (_home, [first, ..]) = home();
    for (flags, wanted) in [
        (&["--bootstrap", "--join", "a:1"][..], "exactly one node of a cluster founds it"),
        (&["--bootstrap", "--replication", "2"], "give 1, 3 or 5"),
        (&["--bootstrap", "--peer-listen", "0.0.0.0:0"], "--advertise HOST"),
        (&["--bootstrap", "--peer-listen", "0.0.0.0:0", "--advertise", "here"], "allow plaintext explicitly"),
        (&["--bootstrap", "--peer-certificate", "c"], "give --peer-key, too"),
        (&["--join", "a"], "give HOST:PORT"),
    ] {
        let (code, why) = refused(&first, flags);
        assert!(code.is_some_and(|code| code > 0) && why.contains(wanted), "{flags:?}: {why}");
    }
}

/// A command of the CLI that has to succeed; what it prints.
fn chronos(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHRONOS_")) {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.args(args).stdin(Stdio::null()).output().unwrap();
    assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).into_owned()
}

/// Asks until it is so; a test that waits for ever is stopped from outside.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Nodes that all hold the same: so many events, and the same digests.
fn agree(nodes: &[Node], events: u64) {
    until(|| nodes.iter().all(|node| node.holds().0 == events));
    let all: Vec<_> = nodes.iter().map(|node| node.holds().1).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}

#[test]
fn a_restored_backup_grows_into_a_cluster_of_its_own_and_is_never_the_node_it_came_from() {
    let home = tempfile::tempdir().unwrap();
    let place = |name: &str| home.path().canonicalize().unwrap().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let events: String = (0..600)
        .map(|i| {
            format!(
                "{{\"entity_id\":\"order-{}\",\"event_type\":\"a.b\",\"payload\":{{\"n\":{i}}}}}\n",
                i % 50
            )
        })
        .collect();
    std::fs::write(place("events"), events).unwrap();

    // A cluster of three, a backup of it, and a directory restored from that.
    let founder = Node::start(&place("old1"), &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let old = [Node::start(&place("old2"), &join), Node::start(&place("old3"), &join)];
    chronos(&["import", &text(&place("events")), "--addr", &founder.clients, "--timeout", "60s"]);
    until(|| old.iter().all(|node| node.holds().0 == 600));
    chronos(&["backup", &text(&place("backup")), "--addr", &founder.clients, "--timeout", "60s"]);
    for name in ["new1", "stray"] {
        chronos(&["restore", &text(&place("backup")), "--data", &text(&place(name))]);
    }

    // Two fresh nodes join the restored one, and get everything.
    let first = Node::start(&place("new1"), &[]);
    let join_new = ["--join", &first.peers];
    let (second, third) = (Node::start(&place("new2"), &join_new), Node::start(&place("new3"), &join_new));
    let new = [first, second, third];
    agree(&new, 600);
    let table = chronos(&["partition", "digest", "--admin", &new[1].operators, "--timeout", "60s"]);
    assert!(!table.contains("differ"), "{table}");

    // Where the founder of the old cluster was, another directory with its number comes up: nobody takes it for that.
    let seat = founder.stop();
    let [old2, old3] = old;
    old3.stop();
    old2.stop();
    let stray = Node::listening(&place("stray"), &seat.at.peer_listen, &[]);
    let old2 = Node::start(&place("old2"), &[]);
    until(|| old2.counted("chronos_peer_turned_away_total{why=\"outdated\"}") > 0);
    assert_eq!(old2.counted("chronos_peer_link_up{node=\"n1\"}"), 0);
    stray.stop();
    let (code, why) = refused(&place("stray"), &["--join", &old2.peers]);
    assert!(code == Some(1) && why.contains("n1, which founded its cluster"), "{why}");
}
