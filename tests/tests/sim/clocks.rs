//! Three nodes, one of whose wall clocks is a minute ahead: what it stamps as a leader is in the past for everybody within
//! half a second, so that who reads as of now at another node does not miss it for a minute; and all say whose clock it is.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_app::{AsOf, Consistency, EntityRequest, Principal, View};
use chronos_block::{Direction, Filter};
use chronos_domain::limits::CLOCK_OFFSET_MICROS_MAX;
use chronos_domain::{EntityId, EventId, PartitionId, Timestamp};
use chronos_env::Clock;
use chronos_env::sim::World;
use chronos_server::Node;

use crate::forwarding::{block, entity_of, start};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE_MICROS: i64 = 60_000_000;
/// Of virtual time; far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(240);

struct Three {
    world: World,
    /// The right one.
    clock: Clock,
    nodes: BTreeMap<u64, Node>,
    sent: u128,
}

impl Three {
    async fn start(world: &World) -> Three {
        let (clock, nodes) = (world.env().clock, BTreeMap::new());
        let mut three = Three { world: world.clone(), clock, nodes, sent: 0 };
        for number in 1..=3 {
            three.nodes.insert(number, start(world, number).await);
        }
        three
    }

    /// A partition with three replicas that the first node leads, as soon as there is one.
    async fn led_by_first(&self) -> PartitionId {
        let began = self.clock.monotonic();
        let is_led = |id: &PartitionId| {
            let view = self.nodes[&2].cluster().view();
            let group = &view.partitions[id.index()];
            let leader = self.nodes[&1].cluster().living_leader(*id);
            group.voters.len() == 3
                && [group.leader, leader].iter().all(|leader| leader.is_some_and(|n| n.get() == 1))
        };
        loop {
            if let Some(id) = PartitionId::all().find(is_led) {
                return id;
            }
            assert!(self.clock.monotonic() - began < PATIENCE, "the first node never leads anything");
            self.clock.sleep(SECOND).await;
        }
    }

    /// What the second node reads of an entity, as of now by the right clock.
    async fn as_of_now(&self, entity: &str) -> Vec<(EventId, Timestamp)> {
        let now = Timestamp::new(self.clock.wall_micros() - 1);
        let view = View {
            direction: Direction::Forward,
            limit: None,
            as_of: Some(AsOf::Timestamp(now)),
            filter: Filter::default(),
            consistency: Consistency::Linearizable,
            deadline: self.clock.monotonic() + 10 * SECOND,
        };
        let request =
            EntityRequest { entity: EntityId::parse(entity).expect("valid"), from: None, to: None, view };
        let reader = self.nodes[&2].app().read_entity(&Principal::default(), request).await;
        let mut reader = reader.expect("now has come for the leader, too");
        let mut events = Vec::new();
        while let Some(page) = reader.next().await.expect("it is there") {
            events.extend(page.iter().map(|event| (event.event().event_id, event.recorded_at)));
        }
        events
    }

    /// Appends to a partition that the first node leads, by way of the second one, which then reads it as of now.
    async fn append_and_read_back(&mut self) {
        let partition = self.led_by_first().await;
        self.sent += 1;
        let (id, entity) = (EventId::from_u128(self.sent), entity_of(partition));
        let (principal, deadline) = (Principal::default(), self.clock.monotonic() + 10 * SECOND);
        let app = self.nodes[&2].app();
        app.append(&principal, block(self.sent, &entity), deadline).await.expect("it has a leader");
        let latest = Timestamp::new(self.clock.wall_micros() + CLOCK_OFFSET_MICROS_MAX);
        let leader = self.nodes[&1].cluster().living_leader(partition);
        assert_eq!(leader.map(|node| node.get()), Some(1), "it led until the answer was there");
        let stamp = app.event(&principal, id, deadline).await.expect("it was stored").recorded_at;
        assert!(stamp <= latest, "stamped {} µs too late", stamp.get() - latest.get());
        self.clock.sleep(Duration::from_micros(CLOCK_OFFSET_MICROS_MAX as u64 + 1)).await;
        assert_eq!(self.as_of_now(&entity).await.last(), Some(&(id, stamp)));
    }

    /// How far the first node's clock is off, as each node sees it.
    fn told(&self) -> Vec<Option<i64>> {
        let of = |node: &Node| {
            let view = node.cluster().view();
            let offsets = view.nodes.iter().map(|node| (node.member.node.get(), node.clock_offset_micros));
            assert!(offsets.clone().all(|(number, offset)| number == 1 || offset == Some(0)), "{view:?}");
            offsets.clone().find(|(number, _)| *number == 1).and_then(|(_, offset)| offset)
        };
        self.nodes.values().map(of).collect()
    }
}

#[test]
fn what_a_leader_whose_clock_is_ahead_stamps_is_soon_in_the_past_of_all_and_all_say_whose_clock_it_is() {
    let world = World::new(31);
    world.run(async {
        let mut three = Three::start(&world).await;
        three.append_and_read_back().await;
        three.clock.sleep(3 * SECOND).await;
        assert_eq!(three.told(), [Some(0); 3]);

        // Set while it leads.
        world.host("n1").set_wall_offset_micros(MINUTE_MICROS);
        three.append_and_read_back().await;
        three.clock.sleep(3 * SECOND).await;
        let near =
            |offset: &Option<i64>| offset.is_some_and(|offset| (offset - MINUTE_MICROS).abs() < 100_000);
        assert!(three.told().iter().all(near), "{:?}", three.told());

        // Wrong from its start on.
        three.nodes.remove(&1);
        world.host("n1").kill();
        three.clock.sleep(3 * SECOND).await;
        let first = start(&three.world, 1).await;
        three.nodes.insert(1, first);
        three.append_and_read_back().await;
        assert!(three.told().iter().all(near), "{:?}", three.told());

        world.host("n1").set_wall_offset_micros(0);
        three.clock.sleep(3 * SECOND).await;
        assert_eq!(three.told(), [Some(0); 3]);
        three.append_and_read_back().await;
        for node in three.nodes.into_values() {
            node.stop().await;
        }
    });
}
