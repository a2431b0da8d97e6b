//! A fold: events, one after the other, into a value.

use chronos_block::Recorded;
use chronos_domain::{Token, Version, is_json};
use serde_json::{Map, Value};

use super::{Reducer, State};
use crate::error::{Class, Error, Reason};

/// Bytes of payloads that a list may have: it is answered as one message.
const LIST_BYTES_MAX: usize = 8 << 20;

/// What an entity's events have been folded into so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fold {
    pub(super) reducer: Reducer,
    /// The last version that was folded; zero before the first.
    pub(super) version: Version,
    pub(super) events: u64,
    /// Bytes of the payloads in a list; of a list no checkpoint is kept.
    pub(super) listed_bytes: usize,
    pub(super) value: Value,
    /// What of the entity had been erased when this was folded; `None` before anything was read.
    pub(super) truncated_before: Option<Version>,
}

impl Fold {
    pub(super) fn new(reducer: Reducer) -> Self {
        let value = match reducer {
            Reducer::Merge | Reducer::Last => Value::Null,
            Reducer::Count => Value::from(0),
            Reducer::List => Value::Array(Vec::new()),
        };
        Self { reducer, version: Version::ZERO, events: 0, listed_bytes: 0, value, truncated_before: None }
    }

    /// Whether the fold is still that of the entity's events when those before `mark` have been erased; notes the mark
    /// when it is the first one.
    pub(super) fn stands_after(&mut self, mark: Version) -> bool {
        *self.truncated_before.get_or_insert(mark) == mark
    }

    pub(super) fn add(&mut self, event: &Recorded) -> Result<(), Error> {
        self.version = event.version;
        self.events += 1;
        match (self.reducer, &mut self.value) {
            (Reducer::Count, value) => *value = Value::from(self.events),
            (Reducer::List, Value::Array(list)) => {
                self.listed_bytes += event.event().payload.len();
                if self.listed_bytes > LIST_BYTES_MAX {
                    return Err(too_long(event));
                }
                list.push(payload(event)?);
            }
            (Reducer::Merge, value) => merge(value, payload(event)?),
            (Reducer::Last | Reducer::List, value) => *value = payload(event)?,
        }
        Ok(())
    }

    pub(super) fn state(self, token: Token) -> State {
        State {
            version: self.version,
            events: self.events,
            value: self.value,
            token,
            truncated_before: self.truncated_before.unwrap_or_default(),
        }
    }
}

fn too_long(event: &Recorded) -> Error {
    let text = format!(
        "the list of {} has more than {LIST_BYTES_MAX} bytes at version {}; read the events instead, page by page",
        event.event().entity_id,
        event.version
    );
    Error::new(Class::Rejected, Reason::TooLarge, text)
        .with("limit", "state bytes")
        .with("max", LIST_BYTES_MAX)
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
