//! Questions about the past, held against a plain list of what was appended: as of a time, a token, a version; by
//! when things happened; forward, backward, in pages of any size; every reducer. And the same question later.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::{
    AllRequest, App, AsOf, Consistency, EntityRequest, Principal, Reason, Reducer, StateRequest, View,
};
use chronos_block::{Block, Compression, Direction, Draft, Filter, Packer, Recorded};
use chronos_domain::{EntityId, EventId, EventType, PartitionId, Position, Timestamp, Token, Version, place};
use chronos_env::sim::World;
use chronos_env::{Entropy, Env};
use chronos_server::{Engine, Node};
use serde_json::{Map, Value, json};

use crate::life::config;

const ENTITIES: u64 = 5;
const EVENTS: u64 = 160;
const QUESTIONS: u64 = 300;

/// What the plain list knows of one event.
#[derive(Clone, Debug)]
struct Fact {
    id: EventId,
    entity: EntityId,
    partition: PartitionId,
    position: Position,
    version: Version,
    recorded_at: Timestamp,
    occurred_at: Option<Timestamp>,
    payload: Value,
}

impl Fact {
    fn happened(&self) -> Timestamp {
        self.occurred_at.unwrap_or(self.recorded_at)
    }
}

/// A question of TigerBeetle with several predicates had a wrong answer (Jepsen, 0.16.11).
#[test]
fn t_34_every_question_about_the_past_has_the_answer_of_a_plain_list_now_and_after_more_events() {
    let world = World::new(11);
    let mut asked = Vec::new();
    world.run(async {
        let env = world.env();
        let node = Node::start(env.clone(), &config()).await.expect("a healthy start");
        let entropy = env.entropy.child("past");
        let mut facts = Vec::new();
        for _ in 0..EVENTS {
            facts.push(append(&env, node.app(), &entropy).await);
        }
        for _ in 0..QUESTIONS {
            let question = Question::random(&entropy, &facts, env.clock.wall_micros());
            let answer = question.ask(&env, node.app()).await;
            assert_eq!(answer, question.answer(&facts), "{question:?}");
            asked.push((question, answer));
        }
        for _ in 0..EVENTS {
            append(&env, node.app(), &entropy).await;
        }
        for (question, answer) in asked.iter().filter(|(question, _)| question.as_of.is_some()) {
            assert_eq!(question.ask(&env, node.app()).await, *answer, "asked again: {question:?}");
        }
        check_all(&env, node.app(), &facts).await;
        node.stop().await;
    });
    // And once more from what a restart finds.
    world.run(async {
        let env = world.env();
        let node = Node::start(env.clone(), &config()).await.expect("a healthy start");
        for (question, answer) in asked.iter().filter(|(question, _)| question.as_of.is_some()) {
            assert_eq!(question.ask(&env, node.app()).await, *answer, "after a restart: {question:?}");
        }
    });
}

#[test]
fn the_future_and_a_version_that_is_not_there_are_refused() {
    let world = World::new(12);
    world.run(async {
        let env = world.env();
        let node = Node::start(env.clone(), &config()).await.expect("a healthy start");
        let entropy = env.entropy.child("past");
        let fact = append(&env, node.app(), &entropy).await;
        let far = Timestamp::new(env.clock.wall_micros() + 1_000_000);
        for as_of in [AsOf::Timestamp(far), AsOf::Version(Version::new(99))] {
            let request = entity_request(&env, fact.entity.clone(), Some(as_of));
            let error = node.app().read_entity(&Principal::default(), request).await.err().expect("refused");
            assert_eq!(error.reason, Reason::Invalid, "{error}");
        }
        let nobody = entity_request(&env, EntityId::parse("nobody").expect("valid"), None);
        let error = node.app().read_entity(&Principal::default(), nobody).await.err().expect("refused");
        assert_eq!(error.reason, Reason::NotFound, "{error}");
    });
}

async fn append(env: &Env, app: &App<Engine>, entropy: &Entropy) -> Fact {
    env.clock.sleep(Duration::from_micros(1 + entropy.below(50))).await;
    let entity = EntityId::parse(&format!("thing-{}", entropy.below(ENTITIES))).expect("valid");
    let occurred_at = (entropy.below(3) > 0)
        .then(|| Timestamp::new(env.clock.wall_micros() - 1_000_000 + entropy.below(2_000_000) as i64));
    let key = ["a", "b", "c"][entropy.below(3) as usize];
    let value = if entropy.below(4) == 0 { Value::Null } else { json!({ "n": entropy.below(9), key: true }) };
    let payload = json!({ key: value, "at": entropy.below(100) });
    let id = EventId::from_u128(u128::from(entropy.u64()) << 64 | u128::from(entropy.u64()));
    let block = pack(id, &entity, occurred_at, &payload);
    let deadline = env.clock.monotonic() + Duration::from_secs(9);
    let done = app.append(&Principal::default(), block, deadline).await.expect("appended");
    let (partition, position, version) = (done.partition, done.first_position, done.versions[0]);
    Fact { id, entity, partition, position, version, recorded_at: done.recorded_at, occurred_at, payload }
}

fn pack(id: EventId, entity: &EntityId, occurred_at: Option<Timestamp>, payload: &Value) -> Block {
    let event_type = EventType::parse("thing.changed").expect("valid");
    let mut draft = Draft::json(id, entity.clone(), event_type, Bytes::from(payload.to_string()));
    draft.occurred_at = occurred_at;
    let mut packer = Packer::new();
    packer.push(draft).expect("within the limits");
    packer.finish(Compression::None).expect("it has an event")
}

#[derive(Clone, Debug)]
struct Question {
    entity: EntityId,
    as_of: Option<AsOf>,
    occurred_until: Option<Timestamp>,
    direction: Direction,
    from: Option<Version>,
    limit: Option<u64>,
    reducer: Reducer,
}

/// Ids in the order of the read, and the state.
type Answer = (Vec<EventId>, Value);

impl Question {
    fn random(entropy: &Entropy, facts: &[Fact], now: i64) -> Self {
        let pick = |n: usize| entropy.below(n as u64) as usize;
        let fact = &facts[pick(facts.len())];
        let partition = place("default", fact.entity.as_str());
        let as_of = match entropy.below(5) {
            0 => None,
            1 => Some(AsOf::Version(fact.version)),
            2 => Some(AsOf::Token(Token::at(partition, fact.position))),
            3 => Some(AsOf::Timestamp(fact.recorded_at)),
            _ => Some(AsOf::Timestamp(Timestamp::new(now - 1 - entropy.below(8000) as i64))),
        };
        Self {
            entity: fact.entity.clone(),
            as_of,
            occurred_until: (entropy.below(2) == 0).then(|| facts[pick(facts.len())].happened()),
            direction: [Direction::Forward, Direction::Backward][pick(2)],
            from: (entropy.below(3) == 0).then(|| Version::new(1 + entropy.below(30))),
            limit: (entropy.below(3) == 0).then(|| entropy.below(10)),
            reducer: [Reducer::Merge, Reducer::Last, Reducer::Count, Reducer::List][pick(4)],
        }
    }

    async fn ask(&self, env: &Env, app: &App<Engine>) -> Answer {
        let mut request = entity_request(env, self.entity.clone(), self.as_of.clone());
        request.view.filter.occurred_until = self.occurred_until;
        (request.view.direction, request.from, request.view.limit) = (self.direction, self.from, self.limit);
        let mut reader = app.read_entity(&Principal::default(), request).await.expect("a reader");
        let mut ids = Vec::new();
        while let Some(page) = reader.next().await.expect("a page") {
            ids.extend(page.iter().map(|event| event.event().event_id));
        }
        let request = StateRequest {
            entity: self.entity.clone(),
            as_of: self.as_of.clone(),
            occurred_until: self.occurred_until,
            reducer: self.reducer,
            consistency: Consistency::Linearizable,
            deadline: env.clock.monotonic() + Duration::from_secs(9),
        };
        (ids, app.state(&Principal::default(), request).await.expect("a state").value)
    }

    fn answer(&self, facts: &[Fact]) -> Answer {
        let seen: Vec<&Fact> = facts.iter().filter(|fact| self.sees(fact)).collect();
        let wanted = |fact: &&&Fact| match (self.direction, self.from) {
            (_, None) => true,
            (Direction::Forward, Some(from)) => fact.version >= from,
            (Direction::Backward, Some(from)) => fact.version <= from,
        };
        let mut ids: Vec<EventId> = seen.iter().filter(wanted).map(|fact| fact.id).collect();
        if self.direction == Direction::Backward {
            ids.reverse();
        }
        ids.truncate(self.limit.unwrap_or(u64::MAX) as usize);
        let payloads: Vec<Value> = seen.iter().map(|fact| fact.payload.clone()).collect();
        (ids, fold(self.reducer, payloads))
    }

    fn sees(&self, fact: &Fact) -> bool {
        let known = match &self.as_of {
            None => true,
            Some(AsOf::Version(version)) => fact.version <= *version,
            Some(AsOf::Token(token)) => fact.position <= token.get(fact.partition),
            Some(AsOf::Timestamp(t)) => fact.recorded_at <= *t,
        };
        known && fact.entity == self.entity && self.occurred_until.is_none_or(|t| fact.happened() <= t)
    }
}

fn fold(reducer: Reducer, payloads: Vec<Value>) -> Value {
    match reducer {
        Reducer::Count => json!(payloads.len()),
        Reducer::List => Value::Array(payloads),
        Reducer::Last => payloads.into_iter().next_back().unwrap_or_default(),
        Reducer::Merge => payloads.into_iter().fold(Value::Null, patch),
    }
}

/// RFC 7396 for the payloads of this test, written the other way round than the product does.
fn patch(target: Value, patch_value: Value) -> Value {
    let Value::Object(changes) = patch_value else { return patch_value };
    let mut result = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, change) in changes {
        let before = result.remove(&key).unwrap_or_default();
        if !change.is_null() {
            result.insert(key, patch(before, change));
        }
    }
    Value::Object(result)
}

/// The merge of all partitions, both ways, limited to the first `facts`: ordered, complete, resumable anywhere.
async fn check_all(env: &Env, app: &App<Engine>, facts: &[Fact]) {
    let last = facts.iter().map(|fact| fact.recorded_at).max().expect("facts");
    let mut wanted: Vec<_> = facts.iter().map(|f| (f.recorded_at, f.partition, f.position, f.id)).collect();
    wanted.sort();
    for direction in [Direction::Forward, Direction::Backward] {
        let mut cursor = None;
        let mut found = Vec::new();
        loop {
            let request = AllRequest {
                from: cursor.take(),
                view: View { direction, limit: Some(7), ..view(env, Some(AsOf::Timestamp(last))) },
            };
            let mut reader = app.read_all(&Principal::default(), request).await.expect("a reader");
            let events = reader.next(100).await.expect("events");
            if events.is_empty() {
                break;
            }
            found.extend(events.iter().map(key));
            cursor = Some(reader.cursor());
        }
        assert_eq!(found, wanted, "{direction:?}");
        wanted.reverse();
    }
}

fn key(event: &Recorded) -> (Timestamp, PartitionId, Position, EventId) {
    (event.recorded_at, event.partition, event.position, event.event().event_id)
}

fn entity_request(env: &Env, entity: EntityId, as_of: Option<AsOf>) -> EntityRequest {
    EntityRequest { entity, from: None, to: None, view: view(env, as_of) }
}

fn view(env: &Env, as_of: Option<AsOf>) -> View {
    View {
        direction: Direction::Forward,
        limit: None,
        as_of,
        filter: Filter::default(),
        consistency: Consistency::Linearizable,
        deadline: env.clock.monotonic() + Duration::from_secs(9),
    }
}
