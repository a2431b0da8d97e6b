//! Backups of a cluster none of whose nodes holds everything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chronos_client::{Backup, Client};
use chronos_env::Env;
use chronos_store::backup::{Arrival, BackupDir, Listing};

use super::{Node, chronos, ran, until};

/// Three nodes, each of which alone holds a third of the partitions; the third one asks nobody for its clients.
struct Scattered {
    home: tempfile::TempDir,
    nodes: Vec<Node>,
    written: u64,
}

impl Scattered {
    fn start() -> Scattered {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().canonicalize().unwrap().join(name);
        let founder = Node::start(&at("1"), &["--bootstrap", "--replication", "1"]);
        let join = ["--join", &founder.peers];
        let second = Node::start(&at("2"), &join);
        let third = Node::start(&at("3"), &[&join[..], &["--forward", "off"]].concat());
        let scattered = Scattered { nodes: vec![founder, second, third], home, written: 0 };
        // Spread, and at rest: what is on its way to another node is counted by neither.
        let status = ["cluster", "status", "--settled", "--admin", &scattered.nodes[0].operators];
        until(|| scattered.is_spread() && ran(&status).status.success());
        scattered
    }

    fn is_spread(&self) -> bool {
        let placement = self.nodes[0].ask("GET", "/v1/placement", "", "").1;
        let replicas = |of: &serde_json::Value| of["replicas"].as_array().unwrap().clone();
        let all: Vec<_> = placement["partitions"].as_array().unwrap().iter().map(replicas).collect();
        let held = |node: u64| all.iter().filter(|of| of.len() == 1 && of[0] == node).count();
        (1..=3).all(|node| (10..=11).contains(&held(node)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().unwrap().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Events of entities that nothing was written of before.
    fn write(&mut self, count: u64) {
        let line =
            |n| format!("{{\"entity_id\":\"order-{n}\",\"event_type\":\"a.b\",\"payload\":{{\"n\":{n}}}}}\n");
        let events: String = (self.written..self.written + count).map(line).collect();
        std::fs::write(self.path("events"), events).unwrap();
        let first = &self.nodes[0].clients;
        chronos(&["import", &self.text("events"), "--addr", first, "--timeout", "60s"]);
        self.written += count;
    }

    /// What a server holds that is made of a backup, and of nothing else.
    fn restored(&self, backup: &str) -> (u64, Vec<String>) {
        let data = format!("{backup}-restored");
        chronos(&["restore", &self.text(backup), "--data", &self.text(&data)]);
        Node::start(&self.path(&data), &[]).holds()
    }

    /// Has a command fail; what it says.
    fn fails(&self, args: &[&str]) -> String {
        let Output { status, stderr, .. } =
            Command::new(env!("CARGO_BIN_EXE_chronos")).args(args).output().unwrap();
        assert_eq!(status.code(), Some(1), "{args:?}");
        String::from_utf8_lossy(&stderr).into_owned()
    }
}

#[test]
fn a_backup_through_any_node_has_everything_though_none_of_them_holds_it() {
    let mut cluster = Scattered::start();
    cluster.write(800);
    let whole = cluster.nodes[0].holds();
    assert_eq!(whole.0, 800);
    assert!(whole.1.iter().all(|partition| !partition.starts_with("0 ")), "one is empty: {whole:?}");
    for node in &cluster.nodes[..2] {
        // A partition without a leader at that moment, on a machine that has much else to do, is counted by nobody.
        until(|| {
            let stats = chronos(&["stats", "--addr", &node.clients, "--output", "json"]);
            let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
            let counted = ["events", "entities", "partitions_served", "partitions_refused"]
                .map(|of| stats[of].as_u64());
            counted == [800, 800, 32, 0].map(Some)
        });
    }

    // At the clients' port, then again with what is new: only that is copied.
    let by_clients = cluster.text("by-clients");
    let back_up = |cluster: &Scattered| {
        let second = &cluster.nodes[1];
        let said = chronos(&["backup", &by_clients, "--addr", &second.clients, "--output", "json"]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()
    };
    assert_eq!(back_up(&cluster)["events"], 800);
    assert_eq!(cluster.restored("by-clients"), whole);
    cluster.write(20);
    let again = back_up(&cluster);
    assert_eq!(again["events"], 820);
    assert!(again["kept_files"].as_u64().unwrap() > 0, "{again}");
    chronos(&["backup", &by_clients, "--verify"]);

    // At the operators' port also of a node that asks no others for its clients.
    let (third, by_operators) = (&cluster.nodes[2], cluster.text("by-operators"));
    let refused = cluster.fails(&["backup", &by_operators, "--addr", &third.clients]);
    assert!(
        refused.contains("this node, n3, does not hold") && refused.contains("cluster backup"),
        "{refused}"
    );
    chronos(&["cluster", "backup", "--to", &by_operators, "--admin", &third.operators]);
    assert_eq!(cluster.restored("by-operators"), cluster.nodes[0].holds());

    // Without a node that alone holds something there is none, and the one before stays.
    cluster.nodes.pop();
    let refused = cluster.fails(&["backup", &cluster.text("none"), "--addr", &cluster.nodes[0].clients]);
    assert!(refused.contains("no backup was made") && refused.contains("partition "), "{refused}");
    let refused = cluster.fails(&["restore", &cluster.text("none"), "--data", &cluster.text("nothing")]);
    assert!(refused.contains("there is no finished backup"), "{refused}");
    cluster.fails(&["backup", &by_clients, "--addr", &cluster.nodes[0].clients]);
    let checked = chronos(&["backup", &by_clients, "--verify"]);
    assert!(checked.starts_with("clean: 820 events"), "{checked}");
}

/// What it consists of.
fn listing(backup: &Backup) -> Listing {
    Listing::decode(&backup.listing(), Path::new("/listing")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_listed_can_be_copied_although_its_holders_have_packed_it_anew_since() {
    let mut cluster = Scattered::start();
    cluster.write(200);
    let client = Client::connect(&cluster.nodes[1].clients).unwrap();
    let mut slow = client.backup().await.unwrap();
    // Eight small parts become a larger one, and their files are removed.
    let operators = cluster.nodes[0].operators.clone();
    for _ in 0..8 {
        cluster.write(200);
        chronos(&["partition", "compact", "--wait", "--admin", &operators, "--timeout", "60s"]);
    }
    let now = listing(&client.backup().await.unwrap());
    let now: BTreeSet<String> = now.files().map(|file| file.name).collect();
    let listed = listing(&slow);
    assert!(listed.files().any(|file| !now.contains(&file.name)), "nothing was packed anew");

    let mut copy = BackupDir::open(&Env::real(), &cluster.path("slow"), &mut |_| {}).unwrap();
    for file in copy.plan(&listed).unwrap().missing {
        let mut incoming = copy.receive(&file).unwrap();
        let mut fetched = slow.fetch(file.partition, &file.name, 0).await.unwrap();
        while let Some(piece) = fetched.next().await.unwrap() {
            incoming.write(&piece).unwrap();
        }
        assert_eq!(copy.finish(&file, incoming).unwrap(), Arrival::Whole);
    }
    copy.commit(listed).unwrap();
    drop(copy);
    assert_eq!(cluster.restored("slow").0, 200);
}
