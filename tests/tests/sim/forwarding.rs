//! Five nodes with three replicas of everything: whoever comes to any one of them is served as if it had all, whatever it
//! leads or holds; and who wants nobody else to be asked learns where to go.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{
    AllRequest, Class, Consistency, EntityRequest, Error, Principal, Reason, Reducer, StateRequest, View,
};
use chronos_block::{Block, Compression, Direction, Draft, Filter, Packer, Recorded};
use chronos_domain::{EntityId, EventId, EventType, PartitionId, Token, place};
use chronos_env::Clock;
use chronos_env::sim::World;
use chronos_server::{Config, Membership, Node};

use crate::life::App;

const NODES: u64 = 5;
const SECOND: Duration = Duration::from_secs(1);
/// Of virtual time; far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(240);

struct Five {
    world: World,
    clock: Clock,
    nodes: BTreeMap<u64, Node>,
}

impl Five {
    /// Five nodes, once every partition has its replicas and a leader, spread evenly.
    async fn start(world: &World) -> Five {
        let mut five = Five { world: world.clone(), clock: world.env().clock, nodes: BTreeMap::new() };
        for number in 1..=NODES {
            five.begin(number).await;
        }
        let began = five.clock.monotonic();
        while !five.is_spread() {
            assert!(
                five.clock.monotonic() - began < PATIENCE,
                "the partitions are never spread over five nodes"
            );
            five.clock.sleep(SECOND).await;
        }
        // What everybody knows of everybody is a second or two old.
        five.clock.sleep(3 * SECOND).await;
        five
    }

    async fn begin(&mut self, number: u64) {
        let node = start(&self.world, number).await;
        self.nodes.insert(number, node);
    }

    fn is_spread(&self) -> bool {
        let view = self.any().cluster().view();
        let mut data = view.partitions.iter().filter(|group| group.id != PartitionId::SYSTEM);
        let loads: Vec<u8> = view.nodes.iter().map(|node| node.replicas).collect();
        data.all(|group| group.voters.len() == 3 && group.learners.is_empty() && group.leader.is_some())
            && loads.len() == NODES as usize
            && loads.iter().all(|load| (19..=20).contains(load))
    }

    fn any(&self) -> &Node {
        self.nodes.values().next().expect("a node runs")
    }

    /// Who holds a partition, as far as anybody knows.
    fn holders(&self, partition: PartitionId) -> Vec<u64> {
        self.any().cluster().replicas(partition).iter().map(|node| node.get()).collect()
    }

    /// A node that has no replica of the partition.
    fn outsider(&self, partition: PartitionId) -> &Node {
        let holders = self.holders(partition);
        let is_outside = |(number, _): &(&u64, &Node)| !holders.contains(number);
        self.nodes.iter().find(is_outside).expect("two of five hold nothing of it").1
    }

    fn soon(&self) -> Duration {
        self.clock.monotonic() + 10 * SECOND
    }

    fn view(&self, consistency: Consistency) -> View {
        View {
            direction: Direction::Forward,
            limit: None,
            as_of: None,
            filter: Filter::default(),
            consistency,
            deadline: self.soon(),
        }
    }

    async fn append(&self, app: &App, block: &Block) -> Result<Token, Error> {
        let appended = app.append(&Principal::default(), block.clone(), self.soon()).await;
        appended.map(|appended| appended.token)
    }

    /// Appends through one node until it is certain that it happened.
    async fn insist(&self, app: &App, block: &Block) -> Vec<Error> {
        let began = self.clock.monotonic();
        let mut errors = Vec::new();
        while let Err(error) = self.append(app, block).await {
            assert!(self.clock.monotonic() - began < PATIENCE, "it is never acknowledged: {error}");
            assert_ne!(error.class, Class::Rejected, "{error}");
            errors.push(error);
            self.clock.sleep(SECOND / 4).await;
        }
        errors
    }

    async fn entity(&self, app: &App, entity: &str, fresh: Consistency) -> Result<Vec<Recorded>, Error> {
        let (entity, view) = (EntityId::parse(entity).expect("valid"), self.view(fresh));
        let request = EntityRequest { entity, from: None, to: None, view };
        let mut reader = app.read_entity(&Principal::default(), request).await?;
        let mut events = Vec::new();
        while let Some(page) = reader.next().await? {
            events.extend(page);
        }
        Ok(events)
    }

    async fn everything(&self, app: &App, fresh: Consistency) -> Result<Vec<EventId>, Error> {
        let request = AllRequest { from: None, view: self.view(fresh) };
        let mut reader = app.read_all(&Principal::default(), request).await?;
        let mut ids = Vec::new();
        loop {
            let events = reader.next(100).await?;
            if events.is_empty() {
                return Ok(ids);
            }
            ids.extend(events.iter().map(|event| event.event().event_id));
        }
    }

    async fn stop(self) {
        for node in self.nodes.into_values() {
            node.stop().await;
        }
    }
}

/// Starts a node of a cluster, which the first one founds.
pub(crate) async fn start(world: &World, number: u64) -> Node {
    let name = format!("n{number}");
    let join = if number == 1 { vec![] } else { vec!["n1:7401".to_owned()] };
    let cluster = Membership {
        peer_listen: Some(([0, 0, 0, 0], 7401).into()),
        advertise: Some(name.clone()),
        bootstrap: number == 1,
        plaintext_anywhere: true,
        join,
        ..Membership::default()
    };
    let mut config = Config {
        data: "/data".into(),
        listen: Some(([0, 0, 0, 0], 7400).into()),
        segment_bytes: 32 << 20,
        cluster,
        ..Config::default()
    };
    config.scrub.background = false;
    let node = Node::start(world.host(&name).env(), &config).await.expect("the node starts");
    assert_eq!(node.id().get(), number);
    node
}

pub(crate) fn entity_of(partition: PartitionId) -> String {
    let lives_there = |name: &String| place("default", name) == partition;
    (0..).map(|i| format!("e-{i}")).find(lives_there).expect("names spread over the partitions")
}

pub(crate) fn block(id: u128, entity: &str) -> Block {
    let mut packer = Packer::new();
    let (entity, kind) =
        (EntityId::parse(entity).expect("valid"), EventType::parse("thing.seen").expect("valid"));
    let payload = Bytes::from(format!("{{\"n\":{id}}}"));
    packer.push(Draft::json(EventId::from_u128(id), entity, kind, payload)).expect("within the limits");
    packer.finish(Compression::None).expect("it has an event")
}

#[test]
fn five_nodes_serve_everybody_as_if_each_had_everything_also_while_some_of_them_die() {
    let world = World::new(21);
    world.run(async {
        let mut five = Five::start(&world).await;
        whoever_comes_to_one_node_writes_and_reads_everything(&five).await;
        all_nodes_speak_of_the_same_history(&five).await;
        who_wants_nobody_else_to_be_asked_is_told_where_to_go(&five).await;
        what_is_passed_on_while_nodes_die_is_stored_once(&mut five).await;
        five.stop().await;
    });
}

async fn whoever_comes_to_one_node_writes_and_reads_everything(five: &Five) {
    let (one, other) = (five.nodes[&2].app(), five.nodes[&4].app());
    let principal = Principal::default();
    for partition in PartitionId::all() {
        let (id, entity) = (u128::from(partition.get()) + 1, entity_of(partition));
        let token = five.append(one, &block(id, &entity)).await.expect("one node is enough");
        // The same again is the same, also by way of another node.
        assert_eq!(five.append(other, &block(id, &entity)).await.expect("it is there"), token);
        for fresh in [Consistency::Linearizable, Consistency::AtLeast(token)] {
            let read = five.entity(other, &entity, fresh).await.expect("one node is enough");
            let read: Vec<_> =
                read.iter().map(|event| (event.event().event_id, event.version.get())).collect();
            assert_eq!(read, [(EventId::from_u128(id), 1)], "partition {partition}");
        }
        let found = other.event(&principal, EventId::from_u128(id), five.soon()).await;
        assert_eq!(found.expect("it is somewhere").partition, partition);
        let request = StateRequest {
            entity: EntityId::parse(&entity).expect("valid"),
            as_of: None,
            occurred_until: None,
            reducer: Reducer::Merge,
            consistency: Consistency::Linearizable,
            deadline: five.soon(),
        };
        let state = other.state(&principal, request).await.expect("it has a state");
        assert_eq!(state.value["n"], id as u64);
    }
    let nothing = other.event(&principal, EventId::from_u128(77_777), five.soon()).await;
    assert_eq!(nothing.expect_err("nobody wrote it").reason, Reason::NotFound);
}

async fn all_nodes_speak_of_the_same_history(five: &Five) {
    let principal = Principal::default();
    let mut digests = Vec::new();
    for node in five.nodes.values() {
        let (app, deadline) = (node.app(), five.soon());
        let all = five.everything(app, Consistency::Linearizable).await.expect("every node reads everything");
        assert_eq!(all.len(), PartitionId::all().len(), "{}", node.id());
        let heads = app.watermarks(&principal).await.expect("anybody may ask");
        assert!(heads.iter().all(|(_, marks)| marks.as_ref().is_ok_and(|marks| marks.applied.get() == 1)));
        let all = app.digests(&principal, None, deadline).await.expect("anybody may ask").partitions;
        digests.push(all.into_iter().map(|(_, digest)| digest.expect("each has one")).collect::<Vec<_>>());
        let held = app.holdings(&principal).await.expect("anybody may ask");
        assert!(held.iter().all(|(_, held)| held.as_ref().is_ok_and(|held| held.events == 1)));
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "all speak of the same history");
}

/// And nobody ever reads from an empty replica.
async fn who_wants_nobody_else_to_be_asked_is_told_where_to_go(five: &Five) {
    for partition in PartitionId::all() {
        let (id, entity) = (u128::from(partition.get()) + 1000, entity_of(partition));
        let (outsider, holders) = (five.outsider(partition), five.holders(partition));
        let check = |error: &Error, class| {
            assert_eq!((error.class, error.reason), (class, Reason::NotLeader), "{error}");
            names_the_leader(error, outsider, partition);
            assert!(holders.iter().all(|holder| error.message.contains(&format!("n{holder}"))), "{error}");
        };
        let app = outsider.app_here();
        check(&five.append(app, &block(id, &entity)).await.expect_err("it does not lead"), Class::NotApplied);
        for fresh in [Consistency::Local, Consistency::Linearizable, Consistency::AtLeast(Token::new())] {
            let read = five.entity(app, &entity, fresh).await.expect_err("it has nothing of it");
            check(&read, Class::Failed);
        }
        // A member that does not lead says who does, too.
        let leader = outsider.cluster().leader(partition).expect("it is known").get();
        let follower = holders.iter().find(|node| **node != leader).expect("one of three");
        let follower = &five.nodes[follower];
        let error =
            five.append(follower.app_here(), &block(id, &entity)).await.expect_err("it does not lead");
        assert_eq!((error.class, error.reason), (Class::NotApplied, Reason::NotLeader), "{error}");
        names_the_leader(&error, follower, partition);
    }
    let all = five.everything(five.any().app_here(), Consistency::Local).await;
    assert_eq!(all.expect_err("it has only part of it").reason, Reason::NotLeader);
}

fn names_the_leader(error: &Error, node: &Node, partition: PartitionId) {
    let leader = node.cluster().leader(partition).expect("it is known").get();
    let detail = |name| error.details.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
    assert_eq!(detail("leader_node"), Some(leader.to_string()), "{error:?}");
    assert_eq!(detail("leader"), Some(format!("n{leader}:7400")));
    assert_eq!(detail("epoch"), Some(node.cluster().epoch().to_string()));
}

async fn what_is_passed_on_while_nodes_die_is_stored_once(five: &mut Five) {
    let (before, mut sent, mut errors) = (10_000, 10_000u128, Vec::new());
    for victim in [5, 4] {
        for step in 0..32u128 {
            sent += 1;
            let partition = PartitionId::new((step % 32) as u8).expect("valid");
            if step == 8 {
                five.world.host(&format!("n{victim}")).kill();
                five.nodes.remove(&victim);
            }
            if step == 20 {
                five.begin(victim).await;
            }
            let block = block(sent, &entity_of(partition));
            errors.extend(five.insist(five.nodes[&1].app(), &block).await);
        }
        five.clock.sleep(5 * SECOND).await;
    }
    let is_honest = |error: &Error| matches!(error.class, Class::NotApplied | Class::Unknown);
    assert!(errors.iter().all(is_honest), "{errors:?}");
    let all = five.everything(five.nodes[&2].app(), Consistency::Linearizable).await.expect("whole again");
    let mut passed_on: Vec<_> = all.into_iter().filter(|id| id.as_u128() > before).collect();
    passed_on.sort_unstable();
    assert_eq!(passed_on, (before + 1..=sent).map(EventId::from_u128).collect::<Vec<_>>());
}
