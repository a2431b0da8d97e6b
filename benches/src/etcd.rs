//! A cluster of etcd beside ours: the store that most people would name when they hear "Raft".
//!
//! It runs with its defaults, so it syncs every write, and is asked at its leader, where it is quickest. A request of
//! several events is a transaction of as many puts.

mod wire;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronos_block::Draft;
use prost::Message;
use tempfile::TempDir;
use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::cluster::free_ports;
use crate::suite::Bench;

/// The program, where it is installed (Debian: `apt-get install etcd-server`).
const PROGRAM: &str = "etcd";

/// How long a cluster may take to elect somebody.
const READY_MAX: Duration = Duration::from_secs(30);

const READY_STEP: Duration = Duration::from_millis(50);

/// A running cluster with directories of its own. Everything is gone when it is dropped.
pub(crate) struct Etcd {
    members: Vec<Child>,
    addresses: Vec<SocketAddr>,
    _data: TempDir,
}

/// What `etcd --version` says first; nothing where it is not installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

impl Etcd {
    /// Starts one with empty directories.
    pub(crate) fn start(bench: &Bench<'_>, nodes: usize) -> Result<Etcd, Failure> {
        let data = bench.fresh_dir()?;
        let ports = free_ports(2 * nodes)?;
        let at = |i: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, ports[i]));
        let (clients, peers): (Vec<_>, Vec<_>) = (0..nodes).map(|i| (at(2 * i), at(2 * i + 1))).unzip();
        let cluster: Vec<String> =
            peers.iter().enumerate().map(|(i, peer)| format!("e{i}=http://{peer}")).collect();
        let mut etcd = Etcd { members: Vec::new(), addresses: clients, _data: data };
        for (i, peer) in peers.iter().enumerate() {
            let (client, peer) = (format!("http://{}", etcd.addresses[i]), format!("http://{peer}"));
            let log = File::create(etcd._data.path().join(format!("e{i}.log")))?;
            let member = Command::new(PROGRAM)
                .args(["--name", &format!("e{i}"), "--initial-cluster", &cluster.join(",")])
                .arg("--data-dir")
                .arg(etcd._data.path().join(format!("e{i}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster-state", "new", "--max-txn-ops", "4096", "--log-level", "error"])
                // What it would not take otherwise: a run of large batches.
                .args(["--quota-backend-bytes", "8589934592", "--max-request-bytes", "16777216"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()?;
            etcd.members.push(member);
        }
        Ok(etcd)
    }

    /// A connection to the leader, once there is one.
    pub(crate) async fn leader(&self) -> Result<Kv, Failure> {
        let start = Instant::now();
        loop {
            for address in &self.addresses {
                if let Ok(mut member) = Kv::connect(*address).await
                    && member.leads().await.unwrap_or(false)
                {
                    return Ok(member);
                }
            }
            if start.elapsed() > READY_MAX {
                return Err("etcd elected no leader".into());
            }
            tokio::time::sleep(READY_STEP).await;
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that is gone already need not be killed.
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// A connection to one member. Clones share it.
#[derive(Clone)]
pub(crate) struct Kv {
    address: SocketAddr,
    grpc: Grpc<Channel>,
}

impl Kv {
    async fn connect(address: SocketAddr) -> Result<Kv, Failure> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        Ok(Kv { address, grpc: Grpc::new(channel).max_encoding_message_size(16 << 20) })
    }

    /// The same member over another connection.
    pub(crate) async fn another(&self) -> Result<Kv, Failure> {
        Kv::connect(self.address).await
    }

    async fn leads(&mut self) -> Result<bool, Failure> {
        let status: wire::StatusResponse =
            self.ask("/etcdserverpb.Maintenance/Status", wire::StatusRequest {}).await?;
        let member = status.header.unwrap_or_default().member_id;
        Ok(member != 0 && status.leader == member)
    }

    /// Puts every event under its id: one put, or one transaction of several.
    pub(crate) async fn put(&mut self, drafts: &[Draft]) -> Result<(), Failure> {
        let put = |draft: &Draft| wire::PutRequest {
            key: Bytes::copy_from_slice(&draft.event_id.as_u128().to_be_bytes()),
            value: draft.payload.clone(),
        };
        if let [draft] = drafts {
            let _: wire::PutResponse = self.ask("/etcdserverpb.KV/Put", put(draft)).await?;
            return Ok(());
        }
        let success = drafts.iter().map(|draft| wire::RequestOp { put: Some(put(draft)) }).collect();
        let done: wire::TxnResponse = self.ask("/etcdserverpb.KV/Txn", wire::TxnRequest { success }).await?;
        if done.succeeded { Ok(()) } else { Err("etcd did not do a transaction without conditions".into()) }
    }

    /// How many keys there are.
    pub(crate) async fn count(&mut self) -> Result<u64, Failure> {
        let all = Bytes::from_static(&[0]);
        let request = wire::RangeRequest { key: all.clone(), range_end: all, count_only: true };
        let counted: wire::RangeResponse = self.ask("/etcdserverpb.KV/Range", request).await?;
        Ok(counted.count.cast_unsigned())
    }

    async fn ask<Q, A>(&mut self, path: &'static str, question: Q) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.grpc.ready().await?;
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let answer = self.grpc.unary(Request::new(question), PathAndQuery::from_static(path), codec);
        Ok(answer.await?.into_inner())
    }
}
