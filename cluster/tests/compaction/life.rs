//! One life of a node under load, and what the next one finds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_cluster::{Outcome, ProposeError, Request};
use chronos_domain::{
    EntityId, EventId, EventType, Expectation, ForkId, PartitionId, Tag, TenantId, Version,
};
use chronos_env::Entropy;
use chronos_env::sim::World;

use crate::ledger::Ledger;
use crate::node::{Node, check_files, segment_files};

/// Groups of entities that share a partition, and entities in each.
const GROUPS: u64 = 3;
const ENTITIES: u64 = 3;
const CLIENTS: usize = 3;

/// Shared by the clients of all lives of one world.
pub(crate) type Shared = Arc<Mutex<Ledger>>;

pub(crate) fn lock(ledger: &Shared) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("no client panics while it holds the ledger")
}

/// Starts the node on what the last life left and lets clients work until each has sent `requests` or the power goes.
pub(crate) async fn under_load(world: &World, ledger: &Shared, requests: u64) -> Result<(), String> {
    let node = Arc::new(Node::start(world).await?);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let entropy = node.env.entropy.child(&format!("client-{client}"));
        let work = client_life(world.clone(), Arc::clone(&node), entropy, Arc::clone(ledger), requests);
        clients.push(node.env.tasks.spawn("client", work));
    }
    for client in clients {
        client.await.expect("a client does not panic");
    }
    if !world.disk().is_off() {
        // The compactor has time to do what it is behind with.
        node.env.clock.sleep(Duration::from_secs(1)).await;
    }
    if !world.disk().is_off() {
        Arc::into_inner(node).expect("the clients are gone").stop().await;
    }
    Ok(())
}

async fn client_life(world: World, node: Arc<Node>, entropy: Entropy, ledger: Shared, requests: u64) {
    for _ in 0..requests {
        if world.disk().is_off() {
            return;
        }
        let wish = random(&entropy, &ledger);
        lock(&ledger).sending(&wish);
        let answer = send(&node, &wish).await;
        lock(&ledger).answered(&wish, &answer);
        node.env.clock.sleep(Duration::from_micros(entropy.below(2000))).await;
    }
}

/// A request, kept so that it can be sent again.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Append(Block),
    Truncate(EntityId, Version),
    Cut(PartitionId),
}

impl Wish {
    pub(crate) fn partition(&self) -> PartitionId {
        match self {
            Wish::Append(block) => block.placement("default").expect("one partition"),
            Wish::Truncate(entity, _) => chronos_domain::place("default", entity.as_str()),
            Wish::Cut(id) => *id,
        }
    }
}

pub(crate) async fn send(node: &Node, wish: &Wish) -> Result<Outcome, ProposeError> {
    let (tenant, fork) = (TenantId::default_tenant(), ForkId::MAIN);
    let request = match wish.clone() {
        Wish::Append(block) => Request::Append { tenant, fork, block },
        Wish::Truncate(entity, before) => Request::Truncate { tenant, fork, entity, before },
        Wish::Cut(_) => Request::Cut { settle: false },
    };
    node.groups.propose(wish.partition(), request, node.deadline()).await
}

fn random(entropy: &Entropy, ledger: &Shared) -> Wish {
    let group = entropy.below(GROUPS);
    match entropy.below(30) {
        0 => Wish::Cut(chronos_domain::place("default", entity(group, 0).as_str())),
        1 | 2 => {
            let entity = entity(group, entropy.below(ENTITIES));
            let version = lock(ledger).version(&entity);
            Wish::Truncate(entity, Version::new(1 + entropy.below(version + 1)))
        }
        3 | 4 => lock(ledger).acknowledged(entropy.u64()).unwrap_or_else(|| append(entropy, group)),
        _ => append(entropy, group),
    }
}

pub(crate) fn append(entropy: &Entropy, group: u64) -> Wish {
    let mut packer = Packer::new();
    for i in 0..=entropy.below(4) {
        let entity = entity(group, entropy.below(ENTITIES));
        if i == 0 && entropy.below(6) == 0 {
            packer.expect(entity.clone(), Expectation::Exact(Version::new(entropy.below(4)))).unwrap();
        }
        packer.push(draft(entropy, entity, 500)).unwrap();
    }
    let compression = if entropy.below(4) == 0 { Compression::Lz4 } else { Compression::None };
    Wish::Append(packer.finish(compression).unwrap())
}

pub(crate) fn draft(entropy: &Entropy, entity: EntityId, pad: u64) -> Draft {
    let id = u128::from(entropy.u64()) << 64 | u128::from(entropy.u64());
    let text = format!("{{\"n\":{},\"pad\":\"{}\"}}", entropy.u64(), "x".repeat(entropy.below(pad) as usize));
    let kind = EventType::parse("thing.changed").unwrap();
    let mut draft = Draft::json(EventId::from_u128(id), entity, kind, Bytes::from(text));
    draft.tags = vec![Tag::parse("tagged").unwrap()];
    draft
}

pub(crate) fn entity(group: u64, n: u64) -> EntityId {
    EntityId::parse(&format!("thing-{{g{group}}}-{n}")).unwrap()
}

/// Starts the node once more, resolves what is open by retries, and holds what is there against the ledger: before
/// everything is compacted and after, and once more after another start, when the log no longer has anything.
pub(crate) fn aftermath(world: &World, ledger: &Shared) {
    world.run(async {
        let node = Node::start(world).await.expect("a node starts after a power cut");
        resolve(&node, ledger).await;
        lock(ledger).check(&node);
        node.compact().await.expect("a healthy disk");
        lock(ledger).check(&node);
        check_files(world, &node.groups);
        node.env.clock.sleep(Duration::from_secs(1)).await;
        assert!(segment_files(world) <= 3, "{} segment files are left of the log", segment_files(world));
        node.stop().await;
        let node = Node::start(world).await.expect("a node starts on parts alone");
        check_files(world, &node.groups);
        lock(ledger).check(&node);
        retry_the_first(&node, ledger).await;
        node.stop().await;
    });
}

/// Sends again what was never answered for certain.
pub(crate) async fn resolve(node: &Node, ledger: &Shared) {
    let open = lock(ledger).open();
    for wish in open {
        let answer = send(node, &wish).await;
        lock(ledger).answered(&wish, &answer);
    }
    assert!(lock(ledger).open().is_empty(), "a retry resolves every open outcome");
}

/// The oldest requests are still known, with the numbers they got.
async fn retry_the_first(node: &Node, ledger: &Shared) {
    let first: Vec<_> = lock(ledger).first_acknowledged(5);
    for wish in first {
        let answer = send(node, &wish).await;
        lock(ledger).check_duplicate(&answer);
        lock(ledger).answered(&wish, &answer);
    }
}
