//! Random steps of a history. A step is relative ("one below its present version", "the third stored request once more,
//! with a hole"), so that shrinking keeps it meaningful, and resolved against what has happened so far.

use chronos_domain::model::{Event, Request};
use chronos_domain::{
    Condition, ContentHash, EntityId, EventId, EventType, Expectation, ForkId, Position, QueryItem, Tag,
    Timestamp, Verdict, Version,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::Logged;
use crate::referee::Referee;

/// Two tenants, and a fork of the first.
pub(crate) const SPACES: [(&str, u64); 3] = [("default", 0), ("other", 0), ("default", 1)];
const ENTITIES: [&str; 4] = ["a", "b", "c", "d"];
const TYPES: [&str; 3] = ["x.made", "y.made", "z.made"];
const TAGS: [&str; 3] = ["red", "green", "blue"];

#[derive(Clone, Debug)]
pub(crate) struct Step {
    clock: i64,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    /// A request with ids of its own.
    New { space: usize, request: Draft },
    /// An earlier request once more, changed in one way.
    Again { which: Index, space: Option<usize>, change: Change },
}

#[derive(Clone, Debug)]
struct Draft {
    /// Entities in the order of the table; any subset of [`ENTITIES`].
    entities: Vec<(usize, Expect)>,
    events: Vec<(Index, usize, Vec<usize>)>,
    condition: Option<(Vec<DraftItem>, Index)>,
}

/// Types and tags of a condition's item.
type DraftItem = (Vec<usize>, Vec<usize>);

#[derive(Clone, Copy, Debug)]
enum Expect {
    Any,
    NoEntity,
    Exists,
    /// The present version and so many more or less.
    Near(i64),
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    /// The expectations a client would send after reading again.
    Expectations,
    /// Only a part: some events from somewhere on.
    Run(Index, Index),
    /// Another event in the middle is left out.
    Hole(Index),
    Reversed,
    OtherContent(Index),
    /// An event with a new id is put in.
    Extended(Index),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let fresh = (0..3usize, draft()).prop_map(|(space, request)| Action::New { space, request });
    let again = (any::<Index>(), prop::option::weighted(0.1, 0..3usize), change())
        .prop_map(|(which, space, change)| Action::Again { which, space, change });
    (-20..1000i64, prop_oneof![3 => fresh, 2 => again]).prop_map(|(clock, action)| Step { clock, action })
}

fn draft() -> impl Strategy<Value = Draft> {
    let entities = prop::sample::subsequence(vec![0, 1, 2, 3], 1..=4).prop_shuffle();
    let tabled = entities.prop_flat_map(|entities| {
        let count = entities.len();
        (Just(entities), prop::collection::vec(expect(), count))
    });
    let tags = || prop::sample::subsequence(vec![0, 1, 2], 0..=2);
    let event = (any::<Index>(), 0..3usize, tags());
    let item = (prop::sample::subsequence(vec![0, 1, 2], 0..=2), tags());
    let condition = (prop::collection::vec(item, 0..3), any::<Index>());
    (tabled, prop::collection::vec(event, 0..5), prop::option::weighted(0.3, condition)).prop_map(
        |((entities, expects), events, condition)| Draft {
            entities: entities.into_iter().zip(expects).collect(),
            events,
            condition,
        },
    )
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        6 => Just(Expect::Any),
        1 => Just(Expect::NoEntity),
        1 => Just(Expect::Exists),
        4 => Just(Expect::Near(0)),
        1 => (-2..3i64).prop_map(Expect::Near),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => Just(Change::Nothing),
        1 => Just(Change::Expectations),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, count)| Change::Run(from, count)),
        1 => any::<Index>().prop_map(Change::Hole),
        1 => Just(Change::Reversed),
        1 => any::<Index>().prop_map(Change::OtherContent),
        1 => any::<Index>().prop_map(Change::Extended),
    ]
}

impl Step {
    /// The command of this step after `log`. Ids of new events are derived from the length of the log.
    pub(crate) fn resolve(&self, log: &[(Logged, Verdict)], referee: &Referee) -> Logged {
        let last = log.last().map_or(0, |(logged, _)| logged.recorded_at.get());
        let recorded_at = Timestamp::new(last + self.clock);
        let serial = log.len() as u128 * 100 + 1;
        match &self.action {
            Action::New { space, request } => {
                let (tenant, fork) = space_of(*space);
                let request = request.resolve((tenant, fork), referee, serial);
                Logged { tenant, fork, recorded_at, request }
            }
            Action::Again { which, space, change } => {
                let Some((earlier, _)) = pick(log, which) else {
                    let request = Request::default();
                    return Logged { tenant: "default", fork: ForkId::MAIN, recorded_at, request };
                };
                let (tenant, fork) = space.map_or((earlier.tenant, earlier.fork), space_of);
                let mut request = earlier.request.clone();
                change.make(&mut request, (tenant, fork), referee, serial);
                Logged { tenant, fork, recorded_at, request }
            }
        }
    }
}

fn pick<'l, T>(list: &'l [T], which: &Index) -> Option<&'l T> {
    (!list.is_empty()).then(|| which.get(list))
}

fn space_of(n: usize) -> (&'static str, ForkId) {
    let (tenant, fork) = SPACES[n];
    (tenant, ForkId::new(fork))
}

fn tags(chosen: &[usize]) -> Vec<Tag> {
    chosen.iter().map(|t| Tag::parse(TAGS[*t]).expect("valid")).collect()
}

fn event_type(n: usize) -> EventType {
    EventType::parse(TYPES[n]).expect("valid")
}

impl Draft {
    fn resolve(&self, space: (&str, ForkId), referee: &Referee, serial: u128) -> Request {
        let entity = |(n, expect): &(usize, Expect)| {
            let name = ENTITIES[*n];
            let version = referee.version_now(space, name);
            (EntityId::parse(name).expect("valid"), expect.resolve(version))
        };
        let event = |(id, (entity, kind, chosen)): (u128, &(Index, usize, Vec<usize>))| Event {
            entity: entity.index(self.entities.len()),
            id: EventId::from_u128(id),
            content: ContentHash::new(id as u64),
            event_type: event_type(*kind),
            tags: tags(chosen),
        };
        let condition = self.condition.as_ref().map(|(items, after)| Condition {
            fail_if: items
                .iter()
                .map(|(types, chosen)| QueryItem {
                    types: types.iter().copied().map(event_type).collect(),
                    tags: tags(chosen),
                })
                .collect(),
            after: Position::new(after.index(referee.len() + 2) as u64),
        });
        Request {
            entities: self.entities.iter().map(entity).collect(),
            events: (serial..).zip(&self.events).map(event).collect(),
            condition,
        }
    }
}

impl Expect {
    fn resolve(self, version: u64) -> Expectation {
        match self {
            Expect::Any => Expectation::Any,
            Expect::NoEntity => Expectation::NoEntity,
            Expect::Exists => Expectation::Exists,
            Expect::Near(off) => Expectation::Exact(Version::new(version.saturating_add_signed(off))),
        }
    }
}

impl Change {
    fn make(&self, request: &mut Request, space: (&str, ForkId), referee: &Referee, serial: u128) {
        let count = request.events.len();
        match self {
            Change::Expectations => {
                for (entity, expectation) in &mut request.entities {
                    *expectation = Expect::Near(0).resolve(referee.version_now(space, entity.as_str()));
                }
            }
            Change::Reversed => request.events.reverse(),
            Change::Run(from, length) if count > 0 => {
                let from = from.index(count);
                let until = from + 1 + length.index(count - from);
                request.events = request.events[from..until].to_vec();
            }
            Change::Hole(at) if count > 2 => {
                request.events.remove(1 + at.index(count - 2));
            }
            Change::OtherContent(at) if count > 0 => {
                let event = &mut request.events[at.index(count)];
                event.content = ContentHash::new(!event.content.get());
            }
            Change::Extended(at) if count > 0 => {
                let mut event = request.events[0].clone();
                event.id = EventId::from_u128(serial);
                request.events.insert(at.index(count + 1), event);
            }
            _ => {}
        }
    }
}
