//! The operators' port of a node that is alone: a cluster of one is seen and steered like any other.

use std::path::Path;

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_proto::cluster::v1::cluster_admin_client::ClusterAdminClient;
use chronos_proto::cluster::{Comparison, Health, NodeId, NodeState, Role, Status, Verdict, v1};
use chronos_proto::{Class, Failure};
use chronos_server::{Node, serve_admin};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::served::config;

/// A node whose operators' port is open.
struct Operated {
    rpc: ClusterAdminClient<Channel>,
    stop: oneshot::Sender<()>,
    ended: chronos_env::Task<()>,
}

impl Operated {
    async fn start(data: &Path) -> Self {
        let env = Env::real();
        let node = Node::start(env.clone(), &config(data)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = env.tasks.spawn("operated", async move {
            let stopped = async {
                let _ = stopped.await;
            };
            serve_admin(&node, listener, stopped).await.unwrap();
            node.stop().await;
        });
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { rpc: ClusterAdminClient::new(channel), stop, ended }
    }

    /// The status once the node knows itself, which it does a moment after its start.
    async fn status(&mut self) -> Status {
        loop {
            match self.rpc.status(v1::StatusRequest {}).await {
                Ok(answer) => {
                    let status = Status::try_from(answer.into_inner()).unwrap();
                    if status.partitions.iter().all(|partition| partition.leader.is_some()) {
                        assert!(!status.nodes.is_empty(), "it knows its cluster, and not itself");
                        return status;
                    }
                }
                Err(refused) => assert_eq!(refused.code(), Code::Unavailable, "{refused}"),
            }
            Env::real().clock.sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        drop(self.rpc);
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

fn refusal(status: &tonic::Status) -> Failure {
    let failure = Failure::from_status(status);
    assert_eq!(failure.class, Class::Rejected, "{failure}");
    failure
}

async fn all<M>(mut answers: Streaming<M>) -> Vec<M> {
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        all.push(answer);
    }
    all
}

#[tokio::test]
async fn a_cluster_of_one_shows_itself_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut operated = Operated::start(dir.path()).await;
    let status = operated.status().await;
    assert_eq!(status.me, NodeId::new(1));
    assert!(status.epoch > 0 && !status.is_paused);
    let [node] = status.nodes.as_slice() else { panic!("{:?}", status.nodes) };
    assert!(node.is_up);
    assert_eq!((node.node, node.state), (status.me, NodeState::Active));
    assert_eq!((node.leads, node.replicas), (32, 32));
    assert_eq!(status.partitions.len(), 33);
    for partition in &status.partitions {
        assert_eq!(
            (partition.leader, partition.voters.as_slice()),
            (Some(status.me), [status.me].as_slice())
        );
        let replica = partition.replica(status.me).unwrap();
        assert_eq!((replica.role, &replica.health), (Role::Leader, &Health::Serving));
        assert_eq!(partition.lag(replica), 0);
    }
    let plan = operated.rpc.plan(v1::PlanRequest {}).await.unwrap().into_inner();
    assert!(!plan.paused);
    operated.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut operated = Operated::start(dir.path()).await;
    operated.status().await;
    let rpc = &mut operated.rpc;
    let last = refusal(&rpc.drain(v1::DrainRequest { node: 1 }).await.unwrap_err());
    assert!(last.message.contains("last node") && last.message.contains("--join"), "{last}");
    let live = refusal(&rpc.remove(v1::RemoveRequest { node: 1, force: false }).await.unwrap_err());
    assert!(live.message.contains("n1 cannot go"), "{live}");
    let unknown = rpc.drain(v1::DrainRequest { node: 9 }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().contains("n1"), "{unknown}");
    let nobody = rpc.transfer(v1::TransferRequest { partition: 7, to: 2 }).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    let nowhere = refusal(&rpc.transfer(v1::TransferRequest { partition: 33, to: 1 }).await.unwrap_err());
    assert!(nowhere.message.contains("0 to 32"), "{nowhere}");
    rpc.transfer(v1::TransferRequest { partition: 7, to: 1 }).await.unwrap();
    let even = rpc.set_replication(v1::SetReplicationRequest { replication: 2 }).await.unwrap_err();
    assert!(refusal(&even).message.contains("1, 3 or 5"));
    operated.stop().await;
}

#[tokio::test]
async fn placement_is_paused_and_resumed_and_watchers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut operated = Operated::start(dir.path()).await;
    let before = operated.status().await;
    let mut changes = operated.rpc.watch(v1::WatchRequest {}).await.unwrap().into_inner();
    let paused = operated.rpc.pause(v1::PauseRequest {}).await.unwrap().into_inner();
    assert!(paused.epoch > before.epoch);
    assert!(operated.status().await.is_paused);
    let told = changes.message().await.unwrap().unwrap();
    assert_eq!(
        (told.kind(), told.text.as_str()),
        (v1::watch_response::Kind::Settings, "placement is paused")
    );
    let again = operated.rpc.pause(v1::PauseRequest {}).await.unwrap().into_inner();
    assert_eq!(again.epoch, paused.epoch, "what is so already is not decided again");
    operated.rpc.resume(v1::ResumeRequest {}).await.unwrap();
    assert_eq!(changes.message().await.unwrap().unwrap().text, "placement goes on");
    operated.stop().await;
    assert!(changes.message().await.is_ok_and(|end| end.is_none()), "a node that stops ends what is watched");
}

#[tokio::test]
async fn replicas_are_compared_verified_scrubbed_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let mut operated = Operated::start(dir.path()).await;
    operated.status().await;
    let rpc = &mut operated.rpc;
    let compared =
        all(rpc.digest(v1::DigestRequest { partitions: vec![] }).await.unwrap().into_inner()).await;
    let compared: Vec<Comparison> = compared.into_iter().map(|one| one.try_into().unwrap()).collect();
    assert_eq!(compared.len(), 33);
    assert!(compared.iter().all(|one| one.verdict == Verdict::Equal), "{compared:?}");
    assert!(compared[32].partition == PartitionId::SYSTEM && compared[32].position.get() > 0);
    let wanted = v1::VerifyRequest { partitions: vec![32, 7], nodes: vec![1] };
    let verified = all(rpc.verify(wanted).await.unwrap().into_inner()).await;
    let seen = |one: &v1::VerifyResponse| one.outcome.clone().unwrap();
    assert_eq!(
        verified.iter().map(|one| (one.node, seen(one).partition)).collect::<Vec<_>>(),
        [(1, 7), (1, 32)]
    );
    assert!(verified.iter().all(|one| seen(one).failure.is_none() && seen(one).findings.is_empty()));
    let scrub =
        rpc.scrub(v1::ScrubRequest { partitions: vec![7], nodes: vec![] }).await.unwrap().into_inner();
    assert_eq!((scrub.nodes[0].node, scrub.nodes[0].partitions), (1, 1));
    let compact = v1::CompactRequest { partitions: vec![32], wait: true };
    let compacted = rpc.compact(compact).await.unwrap().into_inner().partitions;
    let outcome = compacted[0].outcome.clone().unwrap();
    assert_eq!((compacted[0].node, outcome.partition, outcome.failure), (Some(1), 32, None));
    assert!(outcome.position > 0);
    operated.stop().await;
}

#[tokio::test]
async fn a_live_setting_is_changed_and_all_others_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut operated = Operated::start(dir.path()).await;
    operated.status().await;
    let rpc = &mut operated.rpc;
    let set =
        |key: &str, value: &str| v1::SetConfigRequest { key: key.into(), value: value.into(), nodes: vec![] };
    let key = "compaction.bytes_per_second";
    let changed = rpc.set_config(set(key, "33554432")).await.unwrap().into_inner().nodes;
    assert_eq!((changed[0].before.as_str(), changed[0].after.as_str()), ("67108864", "33554432"));
    assert!(!changed[0].kept);
    let why = |changed: Vec<v1::SettingChanged>| changed[0].failure.clone().unwrap().message;
    let slow = why(rpc.set_config(set(key, "1")).await.unwrap().into_inner().nodes);
    assert!(slow.contains(key) && slow.contains("1048576"), "{slow}");
    let restart = why(rpc.set_config(set("lanes", "2")).await.unwrap().into_inner().nodes);
    assert!(restart.contains("start it again"), "{restart}");
    let config = rpc.get_config(v1::GetConfigRequest { nodes: vec![] }).await.unwrap().into_inner();
    let settings = &config.nodes[0].settings;
    let setting = settings.iter().find(|setting| setting.key == key).unwrap();
    assert!(setting.live);
    assert_eq!((setting.value.as_str(), setting.started_with.as_deref()), ("33554432", Some("67108864")));
    let stranger = rpc.get_config(v1::GetConfigRequest { nodes: vec![9] }).await.unwrap_err();
    assert_eq!(stranger.code(), Code::NotFound);
    operated.stop().await;
}
