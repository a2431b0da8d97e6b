//! Server processes that become a cluster, and those that do not.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod backup;
mod campaigns;
mod copies;
mod majority;
mod operators;
mod service;
mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use chronos_domain::{NodeId, place};
use chronos_env::Env;
use chronos_store::{Seat, Threshold};
use serde_json::Value;

/// No flag: a server that is told nothing about where to listen.
const AS_BEFORE: &str = "as before";

/// A server on free ports of this machine, not yet started.
fn server(data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronos"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHRONOS_") {
            command.env_remove(name);
        }
    }
    command.arg("server").arg("--data").arg(data);
    // Where it says so, it comes back where it was.
    if !more.contains(&AS_BEFORE) {
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    }
    command.args(more.iter().filter(|flag| **flag != AS_BEFORE));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that has to end by itself.
fn refused(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = server(data, more).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// How long servers may take to find each other on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

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
        let peers: &[&str] = if more.contains(&AS_BEFORE) { &[] } else { &["--peer-listen", "127.0.0.1:0"] };
        Node::started(data, &[peers, more].concat())
    }

    /// Listens for peers there, and on any port for all others.
    fn listening(data: &Path, peers: &str, more: &[&str]) -> Node {
        Node::started(data, &[&["--peer-listen", peers], more].concat())
    }

    fn started(data: &Path, flags: &[&str]) -> Node {
        let mut command = server(data, flags);
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

    /// The digest of everything it holds, partition by partition, and how many events that is.
    fn holds(&self) -> (u64, Vec<String>) {
        let held = self.ask("GET", "/v1/digest", "", "").1;
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

    /// Waits until it counts at least so many.
    #[expect(clippy::disallowed_methods, reason = "processes find each other in real time")]
    fn counts_at_last(&self, sample: &str, least: u64) {
        let begun = Instant::now();
        while self.counted(sample) < least {
            assert!(begun.elapsed() < PATIENCE, "{sample} does not come to {least}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What an operator's command says when this node is asked, and its exit code.
    fn asked(&self, verb: &[&str]) -> (Option<i32>, String) {
        let asked = Command::new(env!("CARGO_BIN_EXE_chronos"))
            .args(verb)
            .args(["--admin", &self.operators])
            .output();
        let Output { status, stdout, stderr } = asked.unwrap();
        (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    }

    /// One request on a connection of its own: the status, and the body if it is JSON.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut http = TcpStream::connect(&self.clients).unwrap();
        let length = body.len();
        write!(http, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n{body}").unwrap();
        let mut text = String::new();
        http.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}")))
    }

    fn append(&self, entity: &str, headers: &str) -> (u16, Value) {
        let headers = format!("Content-Type: application/json\r\n{headers}");
        let body = format!(r#"{{"entity_id":"{entity}","event_type":"order.placed","payload":{{}}}}"#);
        self.ask("POST", "/v1/events?timeout_ms=60000", &headers, &body)
    }

    /// By partition: who leads it, once every node has every partition and a third of them leads.
    fn leaders(&self) -> Vec<u64> {
        loop {
            let placement = self.ask("GET", "/v1/placement", "", "").1;
            let partitions = placement["partitions"].as_array().unwrap();
            let whole = partitions.iter().all(|one| one["replicas"].as_array().unwrap().len() == 3);
            let leaders: Vec<u64> = partitions.iter().filter_map(|one| one["leader"].as_u64()).collect();
            let leads = |node| leaders.iter().filter(|leader| **leader == node).count();
            if whole && (1..=3).all(|node| (10..=11).contains(&leads(node))) {
                return leaders;
            }
            pause();
        }
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

/// Between two looks at what takes its time.
fn pause() {
    #[expect(clippy::disallowed_methods, reason = "real processes take real time")]
    std::thread::sleep(Duration::from_millis(200));
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
    assert_eq!([seats[0].node, seats[1].node], [2, 3].map(NodeId::new));
    // No flag is needed again; the ports are those that the others, clients and operators know.
    let again = Node::start(&second, &[AS_BEFORE]);
    let at = &seats[0].at;
    assert_eq!([&again.peers, &again.clients, &again.operators], [&at.peer_listen, &at.client, &at.admin]);
    // Whoever has taken one of them meanwhile is named.
    let squatter = std::net::TcpListener::bind(&seats[1].at.client).unwrap();
    let (code, why) = refused(&third, &[AS_BEFORE]);
    assert!(code == Some(1) && why.contains(&seats[1].at.client) && why.contains("--listen"), "{why}");
    drop(squatter);
    // And those of the first time do no harm.
    let third_again = Node::start(&third, &join);
    for (node, before) in [again, third_again].into_iter().zip(&seats) {
        let seat = node.stop();
        assert_eq!((seat.node, seat.machine, seat.cluster), (before.node, before.machine, before.cluster));
        assert_eq!(seat.incarnation, before.incarnation + 1);
    }
    let (code, why) = refused(&second, &["--bootstrap"]);
    assert!(
        code == Some(2) && why.contains("belongs to node n2") && why.contains("remove --bootstrap"),
        "{why}"
    );
    let seat = founder.stop();
    assert_eq!((seat.node, seat.cluster), (NodeId::FIRST, seats[0].cluster));
    let (code, why) = refused(&first, &["--join", "127.0.0.1:1"]);
    assert!(code == Some(2) && why.contains("n1, which founded its cluster"), "{why}");
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
    let client_port = ["--join", founder.clients.as_str(), "--peer-listen", "127.0.0.1:0"];
    let (code, why) = refused(&second, &client_port);
    assert!(code == Some(1) && why.contains("--peer-listen"), "{why}");
    // What was refused is done with the right words, in the same directory.
    let admitted = Node::started(&second, &[&join[..], &["--token", "hush"]].concat());
    assert_eq!(admitted.stop().node, NodeId::new(2));
}

#[test]
fn the_first_node_of_a_cluster_that_has_lost_its_directory_founds_no_other_one() {
    let (_home, [first, second, third]) = home();
    // Nobody is anywhere yet, so it founds; and it comes back with the same words.
    let nobody = ["--bootstrap", "--join", "127.0.0.1:1"];
    let founded = Node::start(&first, &nobody).stop();
    let founder = Node::start(&first, &nobody);
    let join = ["--join", founder.peers.as_str()];
    let others = [&second, &third].map(|data| Node::start(data, &join));
    founder.leaders();
    drop(founder);
    std::fs::remove_dir_all(&first).unwrap();
    let peers = others.each_ref().map(|other| other.peers.as_str()).join(",");
    let either = ["--bootstrap", "--join", &peers];
    let seat = Node::start(&first, &either).stop();
    assert_eq!((seat.node, seat.cluster), (NodeId::new(4), founded.cluster));
    assert_eq!(Node::start(&first, &either).stop().node, NodeId::new(4), "as often as it is started");
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
fn a_client_that_reaches_one_node_of_three_is_served_there_unless_the_operator_or_it_itself_wants_otherwise()
{
    let (_home, [first, second, third]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let join = ["--join", &founder.peers];
    let second = Node::start(&second, &join);
    let third = Node::start(&third, &[&join[..], &["--forward", "off"]].concat());
    let (leaders, addresses) = (second.leaders(), [&founder.clients, &second.clients, &third.clients]);
    for number in 0..64 {
        let entity = format!("order-{number}");
        let (status, said) = second.append(&entity, "");
        assert_eq!((status, said["deduplicated"].as_bool()), (200, Some(false)), "{said}");
        let (status, said) = founder.ask("GET", &format!("/v1/entities/{entity}/events"), "", "");
        assert_eq!((status, said["events"].as_array().map(Vec::len)), (200, Some(1)), "{said}");
        for (node, (asked, headers)) in [(2, (&second, "chronos-routing: direct\r\n")), (3, (&third, ""))] {
            let (status, said) = asked.append(&format!("{entity}-{node}"), headers);
            let leader_of = leaders[place("default", &format!("{entity}-{node}")).index()];
            if leader_of == node {
                assert_eq!(status, 200, "{said}");
                continue;
            }
            assert_eq!((status, said["reason"].as_str()), (421, Some("NOT_LEADER")), "{said}");
            assert_eq!(said["class"], "NOT_APPLIED");
            assert_eq!(said["details"]["leader_node"], leader_of.to_string());
            assert_eq!(said["details"]["leader"], *addresses[leader_of as usize - 1]);
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused_with_what_to_do() {
    let (_home, [first, ..]) = home();
    for (flags, wanted) in [
        (&["--bootstrap", "--replication", "2"][..], "give 1, 3 or 5"),
        (&["--bootstrap", "--peer-listen", "0.0.0.0:0"], "--advertise HOST"),
        (&["--bootstrap", "--peer-listen", "0.0.0.0:0", "--advertise", "here"], "allow plaintext explicitly"),
        (&["--bootstrap", "--peer-certificate", "c"], "give --peer-key, too"),
        (&["--join", "a"], "give HOST:PORT"),
    ] {
        let (code, why) = refused(&first, flags);
        assert!(code.is_some_and(|code| code > 0) && why.contains(wanted), "{flags:?}: {why}");
    }
}

#[test]
fn an_empty_directory_founds_no_cluster_in_silence_where_one_is_to_be_joined() {
    let (_home, [first, ..]) = home();
    for flag in [["--token", "hush"], ["--peer-listen", "127.0.0.1:0"], ["--advertise", "localhost"]] {
        let (code, why) = refused(&first, &flag);
        let says = |what: &str| why.contains(what);
        assert!(
            code == Some(2) && says(flag[0]) && says("--join ADDR") && says("--bootstrap"),
            "{code:?}: {why}"
        );
    }
    // One that is founded needs neither any more.
    let founder = Node::start(&first, &["--bootstrap", "--token", "hush"]);
    founder.stop();
    Node::start(&first, &["--token", "hush"]).stop();
}

/// A command of the CLI that has to succeed; what it prints.
fn chronos(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = ran(args);
    let (said, why) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{args:?}: {why}{said}");
    said.into_owned()
}

fn ran(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHRONOS_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

/// Asks until it is so.
fn until(is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        pause();
    }
    panic!("it does not come to be so");
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
    chronos(&["restore", &text(&place("backup")), "--data", &text(&place("new1"))]);
    // Somebody means it to stand in for the original, which is not gone.
    let stray = text(&place("stray"));
    chronos(&["restore", &text(&place("backup")), "--data", &stray, "--keep-cluster-id"]);

    // Two fresh nodes join the restored one, and get everything.
    let first = Node::start(&place("new1"), &[]);
    let join_new = ["--join", &first.peers];
    let (second, third) = (Node::start(&place("new2"), &join_new), Node::start(&place("new3"), &join_new));
    let new = [first, second, third];
    agree(&new, 600);
    // While replicas move there is now and then one that cannot be asked.
    let status = ["cluster", "status", "--settled", "--admin", &new[1].operators];
    until(|| ran(&status).status.success());
    let table = chronos(&["partition", "digest", "--admin", &new[1].operators, "--timeout", "60s"]);
    assert!(!table.contains("differ"), "{table}");

    // Where the founder of the old cluster was, another directory with its number comes up: nobody takes it for that, not
    // even a node that starts meanwhile and has nobody to ask.
    let seat = founder.stop();
    let [old2, old3] = old;
    old3.stop();
    old2.stop();
    let stray = Node::listening(&place("stray"), &seat.at.peer_listen, &[]);
    let old2 = Node::start(&place("old2"), &[]);
    old2.counts_at_last("chronos_peer_turned_away_total{why=\"outdated\"}", 1);
    assert_eq!(old2.counted("chronos_peer_link_up{node=\"n1\"}"), 0);
    stray.stop();
    // Nor does it get into that cluster as another one.
    let (code, why) = refused(&place("stray"), &["--join", &old2.peers]);
    assert!(code == Some(2) && why.contains("n1, which founded its cluster"), "{why}");
}

#[test]
fn who_was_removed_and_which_machines_the_others_are_is_written_down_beside_the_seat() {
    let (_home, [first, second, _]) = home();
    let founder = Node::start(&first, &["--bootstrap"]);
    let leaving = Node::start(&second, &["--join", &founder.peers]);
    let noted = || Seat::peek(&Env::real(), &first).unwrap().unwrap();
    until(|| !noted().members.is_empty());
    let [other] = noted().members.try_into().unwrap();
    let of_itself = Seat::peek(&Env::real(), &second).unwrap().unwrap();
    assert_eq!((other.node, other.machine, &other.peer), (NodeId::new(2), of_itself.machine, &leaving.peers));
    let [told] = of_itself.members.try_into().unwrap();
    assert_eq!((told.node, told.machine, &told.peer), (NodeId::FIRST, noted().machine, &founder.peers));
    let (code, said) = founder.asked(&["cluster", "remove", "n2", "--force", "--timeout", "60s"]);
    assert_eq!(code, Some(0), "{said}");
    until(|| noted().removed.contains(&NodeId::new(2)));
    let seat = founder.stop();
    assert_eq!((seat.members, seat.removed), (Vec::new(), [NodeId::new(2)].into()));
    drop(leaving);
}
