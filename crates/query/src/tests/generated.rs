//! Random questions, answered twice: by the engine and by loops.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::fact::{EVENTS, Fact, HOUR, START, STATUSES, TAGS, TYPES, entity, facts};
use super::plain::Asker;
use crate::Limits;

type Rows = Vec<Vec<String>>;

/// A condition, with SQL's three answers: yes, no, and not known.
#[derive(Clone, Debug)]
enum Condition {
    Entity(Vec<u64>),
    Kind(Vec<usize>),
    Id(usize),
    Partition(u8),
    Positions(u64, u64),
    Recorded { from: i64, until: i64 },
    Occurred,
    Version(u64),
    Number(i64),
    Status(usize),
    Tag(usize),
    Erased,
    Not(Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        prop::collection::vec(0u64..45, 1..6).prop_map(Condition::Entity),
        prop::collection::vec(0usize..5, 1..4).prop_map(Condition::Kind),
        (0usize..EVENTS as usize).prop_map(Condition::Id),
        (0u8..32).prop_map(Condition::Partition),
        (0u64..60, 0u64..60).prop_map(|(from, to)| Condition::Positions(from, to)),
        (-2i64..74, -2i64..74).prop_map(|(from, until)| Condition::Recorded { from, until }),
        Just(Condition::Occurred),
        (0u64..30).prop_map(Condition::Version),
        (-60i64..160).prop_map(Condition::Number),
        (0usize..4).prop_map(Condition::Status),
        (0usize..3).prop_map(Condition::Tag),
        Just(Condition::Erased),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|condition| Condition::Not(Box::new(condition))),
            (inner.clone(), inner).prop_map(|(a, b)| Condition::Or(Box::new(a), Box::new(b))),
        ]
    })
}

fn time(micros: i64) -> String {
    let hours = (micros - START).div_euclid(HOUR);
    let (day, hour) = (hours.div_euclid(24), hours.rem_euclid(24));
    // The generator stays within a few days around the start.
    match day {
        ..0 => format!("2025-12-{:02}T{hour:02}:00:00Z", 32 + day),
        _ => format!("2026-01-{:02}T{hour:02}:00:00Z", 1 + day),
    }
}

impl Condition {
    fn sql(&self, table: &str, facts: &[Fact]) -> String {
        match self {
            Condition::Entity(ids) => match ids.as_slice() {
                [one] => format!("{table}.entity_id = '{}'", entity(*one)),
                many => {
                    let list: Vec<_> = many.iter().map(|id| format!("'{}'", entity(*id))).collect();
                    format!("{table}.entity_id IN ({})", list.join(", "))
                }
            },
            Condition::Kind(kinds) => {
                let list: Vec<_> = kinds.iter().map(|kind| format!("'{}'", TYPES[*kind])).collect();
                format!("{table}.event_type IN ({})", list.join(", "))
            }
            Condition::Id(number) => format!("{table}.event_id = '{}'", facts[*number].event_id),
            Condition::Partition(number) => format!("{table}.partition = {number}"),
            Condition::Positions(from, to) => format!("{table}.position BETWEEN {from} AND {to}"),
            Condition::Recorded { from, until } => {
                let (from, until) = (time(START + from * HOUR), time(START + until * HOUR));
                format!("({table}.recorded_at >= '{from}' AND {table}.recorded_at < TIMESTAMP '{until}')")
            }
            Condition::Occurred => format!("{table}.occurred_at < '{}'", time(START)),
            Condition::Version(least) => format!("{table}.version > {least}"),
            Condition::Number(least) => format!("json_get_int({table}.payload, 'n') > {least}"),
            Condition::Status(number) => {
                format!("{table}.payload ->> 'status' = '{}'", STATUSES[*number].replace('\'', "''"))
            }
            Condition::Tag(number) => format!("array_has({table}.tags, '{}')", TAGS[*number]),
            Condition::Erased => format!("{table}.erased"),
            Condition::Not(inner) => format!("NOT ({})", inner.sql(table, facts)),
            Condition::Or(a, b) => format!("({} OR {})", a.sql(table, facts), b.sql(table, facts)),
        }
    }

    fn holds(&self, fact: &Fact, facts: &[Fact]) -> Option<bool> {
        Some(match self {
            Condition::Entity(ids) => ids.iter().any(|id| entity(*id) == fact.entity),
            Condition::Kind(kinds) => kinds.iter().any(|kind| TYPES[*kind] == fact.kind),
            Condition::Id(number) => facts[*number].event_id == fact.event_id,
            Condition::Partition(number) => fact.partition.get() == *number,
            Condition::Positions(from, to) => (*from..=*to).contains(&fact.position),
            Condition::Recorded { from, until } => {
                (START + from * HOUR..START + until * HOUR).contains(&fact.recorded_at)
            }
            Condition::Occurred => fact.occurred_at? < START,
            Condition::Version(least) => fact.version > *least,
            Condition::Number(least) => fact.n? > *least,
            Condition::Status(number) => fact.status? == STATUSES[*number],
            Condition::Tag(number) => fact.tags.contains(&TAGS[*number]),
            Condition::Erased => fact.erased,
            Condition::Not(inner) => !inner.holds(fact, facts)?,
            Condition::Or(a, b) => match (a.holds(fact, facts), b.holds(fact, facts)) {
                (Some(true), _) | (_, Some(true)) => true,
                (a, b) => a? || b?,
            },
        })
    }
}

/// What is asked about the events that pass all conditions.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Rows,
    Payloads,
    Count,
    PerKind,
    PerEntityAtLeast(usize),
    PerHour,
    Sum,
    Kinds,
    Newest(usize),
    Oldest(usize),
    Successors,
    Twice,
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Rows),
        Just(Shape::Payloads),
        Just(Shape::Count),
        Just(Shape::PerKind),
        (1usize..12).prop_map(Shape::PerEntityAtLeast),
        Just(Shape::PerHour),
        Just(Shape::Sum),
        Just(Shape::Kinds),
        (1usize..20).prop_map(Shape::Newest),
        (1usize..20).prop_map(Shape::Oldest),
        Just(Shape::Successors),
        Just(Shape::Twice),
    ]
}

impl Shape {
    fn sql(self, passes: &str) -> String {
        match self {
            Shape::Rows => format!(
                "SELECT partition, position, entity_id, version, event_id, erased FROM events e WHERE {passes} \
                 ORDER BY partition, position"
            ),
            Shape::Payloads => format!(
                "SELECT payload, length(payload) \
                 FROM events e WHERE {passes} ORDER BY recorded_at, entity_id, version"
            ),
            Shape::Count => format!("SELECT count(*) FROM events e WHERE {passes}"),
            Shape::PerKind => format!(
                "SELECT event_type, count(*), max(position), count(DISTINCT entity_id) FROM events e WHERE {passes} \
                 GROUP BY event_type ORDER BY event_type"
            ),
            Shape::PerEntityAtLeast(least) => format!(
                "SELECT entity_id, count(*) AS n, min(version) FROM events e WHERE {passes} GROUP BY entity_id \
                 HAVING count(*) >= {least} ORDER BY n DESC, entity_id"
            ),
            Shape::PerHour => format!(
                "SELECT CAST(date_trunc('hour', recorded_at) AS BIGINT) AS h, count(*) FROM events e WHERE {passes} \
                 GROUP BY h ORDER BY h"
            ),
            Shape::Sum => {
                format!("SELECT sum(json_get_int(payload, 'n')), count(payload) FROM events e WHERE {passes}")
            }
            Shape::Kinds => {
                format!("SELECT DISTINCT event_type FROM events e WHERE {passes} ORDER BY 1 LIMIT 3")
            }
            Shape::Newest(count) => {
                format!(
                    "SELECT event_id FROM events e WHERE {passes} ORDER BY recorded_at DESC LIMIT {count}"
                )
            }
            Shape::Oldest(count) => {
                format!(
                    "SELECT event_id FROM events e WHERE {passes} ORDER BY recorded_at, position LIMIT {count}"
                )
            }
            Shape::Successors => format!(
                "SELECT e.entity_id, e.version, next.event_type FROM events e JOIN events next \
                 ON next.entity_id = e.entity_id AND next.version = e.version + 1 WHERE {passes} \
                 ORDER BY e.entity_id, e.version"
            ),
            Shape::Twice => format!(
                "WITH some AS (SELECT * FROM events e WHERE {passes}) SELECT count(*) FROM some a \
                 WHERE a.version = (SELECT max(b.version) FROM some b WHERE b.entity_id = a.entity_id)"
            ),
        }
    }

    fn answer(self, passing: &[&Fact], all: &[Fact]) -> Rows {
        match self {
            Shape::Rows => rows(passing),
            Shape::Payloads => payloads(passing),
            Shape::Count => vec![vec![passing.len().to_string()]],
            Shape::PerKind => per_kind(passing),
            Shape::PerEntityAtLeast(least) => per_entity(passing, least),
            Shape::PerHour => per_hour(passing),
            Shape::Sum => {
                vec![vec![sum(passing), passing.iter().filter(|f| f.payload().is_some()).count().to_string()]]
            }
            Shape::Kinds => {
                let mut kinds: Vec<_> = passing.iter().map(|fact| fact.kind).collect();
                kinds.sort_unstable();
                kinds.dedup();
                kinds.into_iter().take(3).map(|kind| vec![kind.to_owned()]).collect()
            }
            Shape::Newest(count) => ids(passing.iter().rev().take(count)),
            Shape::Oldest(count) => ids(passing.iter().take(count)),
            Shape::Successors => successors(passing, all),
            Shape::Twice => {
                let entities: std::collections::BTreeSet<_> =
                    passing.iter().map(|fact| &fact.entity).collect();
                vec![vec![entities.len().to_string()]]
            }
        }
    }
}

fn ids<'a>(facts: impl Iterator<Item = &'a &'a Fact>) -> Rows {
    facts.map(|fact| vec![fact.event_id.to_string()]).collect()
}

fn rows(passing: &[&Fact]) -> Rows {
    let mut sorted = passing.to_vec();
    sorted.sort_by_key(|fact| (fact.partition, fact.position));
    let row = |fact: &Fact| {
        vec![
            fact.partition.to_string(),
            fact.position.to_string(),
            fact.entity.clone(),
            fact.version.to_string(),
            fact.event_id.to_string(),
            fact.erased.to_string(),
        ]
    };
    sorted.into_iter().map(row).collect()
}

fn payloads(passing: &[&Fact]) -> Rows {
    let row = |fact: &&Fact| match fact.payload() {
        Some(text) => vec![text.clone(), text.chars().count().to_string()],
        None => vec!["NULL".to_owned(), "NULL".to_owned()],
    };
    // Facts come in the order they were recorded.
    passing.iter().map(row).collect()
}

fn per_kind(passing: &[&Fact]) -> Rows {
    let mut kinds: BTreeMap<&str, (usize, u64, std::collections::BTreeSet<&str>)> = BTreeMap::new();
    for fact in passing {
        let (count, last, entities) = kinds.entry(fact.kind).or_default();
        *count += 1;
        *last = fact.position.max(*last);
        entities.insert(&fact.entity);
    }
    let row = |(kind, (count, last, entities)): (&str, (usize, u64, std::collections::BTreeSet<&str>))| {
        vec![kind.to_owned(), count.to_string(), last.to_string(), entities.len().to_string()]
    };
    kinds.into_iter().map(row).collect()
}

fn per_entity(passing: &[&Fact], least: usize) -> Rows {
    let mut entities: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for fact in passing {
        let (count, first) = entities.entry(&fact.entity).or_insert((0, u64::MAX));
        (*count, *first) = (*count + 1, fact.version.min(*first));
    }
    let mut sorted: Vec<_> = entities.into_iter().filter(|(_, (count, _))| *count >= least).collect();
    sorted.sort_by_key(|(entity, (count, _))| (std::cmp::Reverse(*count), *entity));
    sorted
        .into_iter()
        .map(|(entity, (count, first))| vec![entity.to_owned(), count.to_string(), first.to_string()])
        .collect()
}

fn per_hour(passing: &[&Fact]) -> Rows {
    let mut hours: BTreeMap<i64, usize> = BTreeMap::new();
    for fact in passing {
        *hours.entry(fact.recorded_at.div_euclid(HOUR) * HOUR).or_default() += 1;
    }
    hours.into_iter().map(|(hour, count)| vec![hour.to_string(), count.to_string()]).collect()
}

fn sum(passing: &[&Fact]) -> String {
    let numbers: Vec<i64> = passing.iter().filter_map(|fact| fact.n).collect();
    if numbers.is_empty() { "NULL".to_owned() } else { numbers.iter().sum::<i64>().to_string() }
}

fn successors(passing: &[&Fact], all: &[Fact]) -> Rows {
    let kinds: BTreeMap<(&str, u64), &str> =
        all.iter().map(|fact| ((fact.entity.as_str(), fact.version), fact.kind)).collect();
    let mut sorted: Vec<_> = passing
        .iter()
        .filter_map(|fact| {
            let next = kinds.get(&(fact.entity.as_str(), fact.version + 1))?;
            Some((fact.entity.clone(), fact.version, (*next).to_owned()))
        })
        .collect();
    sorted.sort();
    sorted.into_iter().map(|(entity, version, kind)| vec![entity, version.to_string(), kind]).collect()
}

fn asker() -> &'static (Asker, Vec<Fact>) {
    static ASKER: OnceLock<(Asker, Vec<Fact>)> = OnceLock::new();
    ASKER.get_or_init(|| (Asker::new(Limits::default()), facts()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn every_question_is_answered_as_loops_over_the_events_answer_it(
        conditions in prop::collection::vec(conditions(), 0..4),
        shape in shapes(),
        // As of: events recorded later are not there.
        last_hour in prop_oneof![Just(72i64), 0i64..72],
    ) {
        let (asker, facts) = asker();
        let there: Vec<Fact> =
            facts.iter().filter(|fact| fact.recorded_at <= START + last_hour * HOUR).cloned().collect();
        let passing: Vec<&Fact> = there
            .iter()
            .filter(|fact| conditions.iter().all(|condition| condition.holds(fact, facts) == Some(true)))
            .collect();
        let mut passes: Vec<_> = conditions.iter().map(|condition| condition.sql("e", facts)).collect();
        passes.push("true".to_owned());
        let sql = shape.sql(&passes.join(" AND "));
        prop_assert_eq!(asker.rows(&there, &sql), shape.answer(&passing, &there), "{}", sql);
    }
}
