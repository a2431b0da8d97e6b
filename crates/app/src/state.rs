//! The state of an entity: its events folded by a named reducer, as of any moment.

use std::time::Duration;

use chronos_block::{Direction, Filter, Recorded};
use chronos_domain::{EntityId, Timestamp, Token, Version, is_json};
use serde_json::{Map, Value};

use crate::App;
use crate::as_of::{AsOf, Consistency};
use crate::authority::Principal;
use crate::error::Error;
use crate::port::Node;
use crate::read::{EntityRequest, View};

/// How events become a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reducer {
    /// Each payload is a JSON merge patch (RFC 7396) on what came before.
    #[default]
    Merge,
    /// The last payload.
    Last,
    /// How many events there are.
    Count,
    /// All payloads, in order.
    List,
}

impl Reducer {
    /// Reads a reducer's name.
    ///
    /// # Errors
    /// `INVALID`, with the names there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "merge" => Ok(Self::Merge),
            "last" => Ok(Self::Last),
            "count" => Ok(Self::Count),
            "list" => Ok(Self::List),
            other => Err(Error::invalid(format!(
                "no reducer is named {other:?}; take one of merge, last, count, list"
            ))
            .with("field", "reducer")),
        }
    }
}

/// Which state.
#[derive(Clone, Debug)]
pub struct StateRequest {
    /// Whose.
    pub entity: EntityId,
    /// The moment.
    pub as_of: Option<AsOf>,
    /// Only events that occurred (or, where they do not say, were recorded) until then.
    pub occurred_until: Option<Timestamp>,
    /// The fold.
    pub reducer: Reducer,
    /// How fresh.
    pub consistency: Consistency,
    /// On the node's clock.
    pub deadline: Duration,
}

/// A folded entity.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The last version that was folded; 0 when the view has no event.
    pub version: Version,
    /// How many events were folded.
    pub events: u64,
    /// The result; `null` for a merge or a last of nothing. Numbers keep the digits they were written with.
    pub value: Value,
    /// The past that was folded.
    pub token: Token,
}

impl<N: Node> App<N> {
    /// Folds an entity's events.
    ///
    /// Memory is bounded by the state and one page, not by the entity's length (but a `list` is as long as it
    /// is).
    ///
    /// # Errors
    /// As [`App::read_entity`]; `INVALID` when a payload that must be folded is not JSON.
    pub async fn state(&self, principal: &Principal, request: StateRequest) -> Result<State, Error> {
        let filter = Filter { occurred_until: request.occurred_until, ..Filter::default() };
        let view = View {
            direction: Direction::Forward,
            limit: None,
            as_of: request.as_of,
            filter,
            consistency: request.consistency,
            deadline: request.deadline,
        };
        let read = EntityRequest { entity: request.entity, from: None, to: None, view };
        let mut reader = self.read_entity(principal, read).await?;
        let mut fold = Fold::new(request.reducer);
        while let Some(page) = reader.next().await? {
            for event in &page {
                fold.add(event)?;
            }
        }
        Ok(State { version: fold.version, events: fold.events, value: fold.value, token: reader.token() })
    }
}

struct Fold {
    reducer: Reducer,
    version: Version,
    events: u64,
    value: Value,
}

impl Fold {
    fn new(reducer: Reducer) -> Self {
        let value = match reducer {
            Reducer::Merge | Reducer::Last => Value::Null,
            Reducer::Count => Value::from(0),
            Reducer::List => Value::Array(Vec::new()),
        };
        Self { reducer, version: Version::ZERO, events: 0, value }
    }

    fn add(&mut self, event: &Recorded) -> Result<(), Error> {
        self.version = event.version;
        self.events += 1;
        match (self.reducer, &mut self.value) {
            (Reducer::Count, value) => *value = Value::from(self.events),
            (Reducer::List, Value::Array(list)) => list.push(payload(event)?),
            (Reducer::Merge, value) => merge(value, payload(event)?),
            (Reducer::Last | Reducer::List, value) => *value = payload(event)?,
        }
        Ok(())
    }
}

fn payload(event: &Recorded) -> Result<Value, Error> {
    let view = event.event();
    if !is_json(view.content_type) {
        let text = format!(
            "version {} of {} is {}; a state is folded from JSON only: count it, or read the events",
            event.version, view.entity_id, view.content_type
        );
        return Err(Error::invalid(text));
    }
    serde_json::from_slice(view.payload)
        .map_err(|e| Error::invalid(format!("version {} of {}: {e}", event.version, view.entity_id)))
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { unreachable!("it was made an object above") };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_keep_the_digits_they_were_written_with() {
        let mut state: Value = serde_json::from_str(r#"{"a":1.10,"b":1}"#).expect("JSON");
        let patch = r#"{"b":18446744073709551616,"c":1e400,"d":-0}"#;
        merge(&mut state, serde_json::from_str(patch).expect("JSON"));
        // An exponent gets its sign; nothing else changes.
        assert_eq!(state.to_string(), r#"{"a":1.10,"b":18446744073709551616,"c":1e+400,"d":-0}"#);
    }

    /// The examples of RFC 7396, appendix A: original, patch, result.
    #[test]
    fn merge_gives_the_results_of_the_rfc() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (original, patch, wanted) in cases {
            let mut target = original.clone();
            merge(&mut target, patch.clone());
            assert_eq!(target, wanted, "{original} patched with {patch}");
        }
    }
}
