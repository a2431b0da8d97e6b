//! A state is the plain fold of the entity's events, however it was come by.

use std::time::Duration;

use chronos_app::{App, AsOf, Consistency, Principal, Reducer, State, StateRequest};
use chronos_domain::{ContentType, EntityId, Timestamp, Version};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::node::{Plain, at_once};

fn entity() -> EntityId {
    EntityId::parse("order-7").unwrap()
}

fn ask(app: &App<Plain>, reducer: Reducer, as_of: Option<AsOf>) -> State {
    let request = StateRequest {
        entity: entity(),
        as_of,
        occurred_until: None,
        reducer,
        consistency: Consistency::Linearizable,
        deadline: Duration::MAX,
    };
    at_once(app.state(&Principal::default(), request)).unwrap()
}

fn version(version: u64) -> Option<AsOf> {
    Some(AsOf::Version(Version::new(version)))
}

/// What any fold must give: version, number of events, value.
fn plainly(node: &Plain, reducer: Reducer, last: u64) -> (u64, u64, Value) {
    let left = node.left(&entity());
    let past: Vec<_> = left.iter().filter(|(version, _)| version.get() <= last).collect();
    let mut payloads = past.iter().map(|(_, payload)| serde_json::from_slice::<Value>(payload).unwrap());
    let value = match reducer {
        Reducer::Merge => payloads.fold(Value::Null, |state, patch| merged(state, &patch)),
        Reducer::Last => payloads.next_back().unwrap_or(Value::Null),
        Reducer::Count => json!(past.len()),
        Reducer::List => payloads.collect(),
    };
    (past.last().map_or(0, |(version, _)| version.get()), past.len() as u64, value)
}

/// RFC 7396, written another way than the code under test.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut result = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (key, value) in patch {
        let before = result.remove(key).unwrap_or(Value::Null);
        if !value.is_null() {
            result.insert(key.clone(), merged(before, value));
        }
    }
    Value::Object(result)
}

fn told(state: &State) -> (u64, u64, Value) {
    (state.version.get(), state.events, state.value.clone())
}

/// An entity whose events set, remove and count up members.
fn filled(events: u64) -> Plain {
    let node = Plain::default();
    for n in 1..=events {
        let payload = match n % 5 {
            0 => format!(r#"{{"k{}":null,"n":{n}.50}}"#, n % 7),
            1 => format!(r#"{{"k{}":{{"deep":{{"at":{n}}}}}}}"#, n % 7),
            _ => format!(r#"{{"k{}":{{"deep":{{"b":[{n}]}}}},"big":18446744073709551616}}"#, n % 11),
        };
        node.store(&entity(), &payload, ContentType::json());
    }
    node
}

const ALL: [Reducer; 4] = [Reducer::Merge, Reducer::Last, Reducer::Count, Reducer::List];

#[test]
fn after_the_first_fold_no_more_than_256_events_are_read_whatever_the_moment() {
    let node = filled(9000);
    let app = App::new(node.clone());
    for reducer in [Reducer::Merge, Reducer::Last, Reducer::Count] {
        assert_eq!(told(&ask(&app, reducer, None)), plainly(&node, reducer, 9000));
        assert_eq!(node.take_read(), 9000);
        let moments = [1, 255, 256, 257, 511, 512, 4321, 8191, 8960, 8999, 9000];
        for last in moments.into_iter().chain((1..9000).step_by(613)) {
            assert_eq!(
                told(&ask(&app, reducer, version(last))),
                plainly(&node, reducer, last),
                "as of {last}"
            );
            assert!(node.take_read() <= 256, "as of {last}");
        }
    }
}

#[test]
fn without_room_for_checkpoints_every_fold_reads_everything() {
    let node = filled(600);
    let app = App::new(node.clone()).with_checkpoint_bytes(0);
    for _ in 0..2 {
        assert_eq!(told(&ask(&app, Reducer::Merge, None)), plainly(&node, Reducer::Merge, 600));
        assert_eq!(node.take_read(), 600);
    }
}

#[test]
fn what_occurred_until_a_time_is_folded_from_the_events_themselves() {
    let node = filled(600);
    let app = App::new(node);
    ask(&app, Reducer::Count, None);
    let request = StateRequest {
        entity: entity(),
        as_of: None,
        // The events say no time of their own; the 300th was recorded at second 299.
        occurred_until: Some(Timestamp::new(299_000_000)),
        reducer: Reducer::Count,
        consistency: Consistency::Local,
        deadline: Duration::MAX,
    };
    let state = at_once(app.state(&Principal::default(), request)).unwrap();
    assert_eq!(told(&state), (300, 300, json!(300)));
    assert_eq!(told(&ask(&app, Reducer::Count, None)), (600, 600, json!(600)));
}

#[test]
fn a_truncation_is_seen_by_the_next_fold_and_told() {
    let node = filled(1000);
    let app = App::new(node.clone());
    for reducer in ALL {
        assert_eq!(ask(&app, reducer, None).truncated_before, Version::ZERO);
    }
    for mark in [300, 301, 999, 1000] {
        node.truncate(&entity(), Version::new(mark));
        for reducer in ALL {
            for last in [1, 256, 299, 300, 512, 700, 768, 1000] {
                let state = ask(&app, reducer, version(last));
                assert_eq!(
                    told(&state),
                    plainly(&node, reducer, last),
                    "{reducer:?} before {mark} as of {last}"
                );
                assert_eq!(state.truncated_before, Version::new(mark));
            }
        }
    }
}

#[test]
fn a_truncation_in_the_middle_of_a_fold_begins_it_again() {
    // 4096 events are one page: this fold reads three, and has nothing more to read after the last.
    for pages in 0..2 {
        let node = filled(9000);
        let app = App::new(node.clone());
        node.truncate_after(pages, &entity(), Version::new(5000));
        assert_eq!(told(&ask(&app, Reducer::Merge, None)), plainly(&node, Reducer::Merge, 9000), "{pages}");
        assert_eq!(told(&ask(&app, Reducer::Merge, version(8000))), plainly(&node, Reducer::Merge, 8000));
    }
}

#[test]
fn an_event_that_is_not_json_fails_every_fold_that_comes_to_it() {
    let node = filled(400);
    node.store(&entity(), "\u{0}", ContentType::parse("application/octet-stream").unwrap());
    (0..400).for_each(|_| node.store(&entity(), "{}", ContentType::json()));
    let app = App::new(node);
    for _ in 0..2 {
        assert_eq!(told(&ask(&app, Reducer::Count, None)), (801, 801, json!(801)));
        assert_eq!(ask(&app, Reducer::Merge, version(400)).events, 400);
        let request = StateRequest {
            entity: entity(),
            as_of: None,
            occurred_until: None,
            reducer: Reducer::Last,
            consistency: Consistency::Local,
            deadline: Duration::MAX,
        };
        let error = at_once(app.state(&Principal::default(), request)).unwrap_err();
        assert!(error.message.contains("version 401"), "{error}");
    }
}

/// A step in the life of an entity and of those who ask for it.
#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    /// At this part of what there is, in 256ths.
    Ask(Reducer, u8),
    AskNow(Reducer),
    Truncate(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let reducer = || proptest::sample::select(ALL.to_vec());
    prop_oneof![
        2 => (100..=u8::MAX).prop_map(Step::Append),
        6 => (reducer(), 0..=u8::MAX).prop_map(|(reducer, at)| Step::Ask(reducer, at)),
        2 => reducer().prop_map(Step::AskNow),
        1 => (0..=u8::MAX).prop_map(Step::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Little room for checkpoints, so that some are displaced.
    #[test]
    fn a_state_is_the_plain_fold_at_every_moment(
        steps in proptest::collection::vec(step(), 1..40),
        room in prop_oneof![Just(4 << 10), Just(64 << 10), Just(1 << 20)],
    ) {
        let node = filled(300);
        let app = App::new(node.clone()).with_checkpoint_bytes(room);
        let (mut head, mut mark) = (300, 0);
        for step in steps {
            let part = |of: u8| (u64::from(of) * head / 256).max(1);
            match step {
                Step::Append(count) => {
                    for n in 0..u64::from(count) {
                        node.store(&entity(), &format!(r#"{{"k{}":{n}}}"#, n % 3), ContentType::json());
                    }
                    head += u64::from(count);
                }
                Step::Ask(reducer, at) => {
                    let state = ask(&app, reducer, version(part(at)));
                    prop_assert_eq!(told(&state), plainly(&node, reducer, part(at)));
                }
                Step::AskNow(reducer) => {
                    let state = ask(&app, reducer, None);
                    prop_assert_eq!(told(&state), plainly(&node, reducer, head));
                    prop_assert_eq!(state.truncated_before, Version::new(mark));
                }
                Step::Truncate(at) => {
                    mark = mark.max(part(at));
                    node.truncate(&entity(), Version::new(mark));
                }
            }
        }
    }
}
