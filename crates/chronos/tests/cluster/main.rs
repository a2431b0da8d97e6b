//! Server processes that become a cluster, and those that do not.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod operators;
mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use chronos_env::Env;
use chronos_store::{Seat, Threshold};

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
        let mut command = server(data, &[peers, more].concat());
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
