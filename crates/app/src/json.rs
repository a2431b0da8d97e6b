//! What calls itself JSON is JSON: state folds and queries rely on it, so it is checked before it is stored.

use chronos_block::Block;
use chronos_domain::{Batch, is_json};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::Error;

/// Refuses a batch in which a JSON payload or a metadata text is malformed, naming the event.
pub(crate) fn check(block: &Block) -> Result<(), Error> {
    for i in 0..block.events() {
        let event = block.event(i);
        if is_json(event.content_type) {
            check_text(event.payload).map_err(|why| malformed(i, "payload", &why))?;
        }
        if !event.metadata.is_empty() {
            check_object(event.metadata).map_err(|why| malformed(i, "metadata", &why))?;
        }
    }
    Ok(())
}

fn check_text(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("it is not UTF-8: {e}"))?;
    serde_json::from_str::<Foldable>(text).map(drop).map_err(|e| e.to_string())
}

/// Passes exactly the texts that can be made into a value later (escapes that mean a character, at most 127 levels
/// deep), and keeps nothing of them.
struct Foldable;

impl<'de> Deserialize<'de> for Foldable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Foldable)
    }
}

impl<'de> Visitor<'de> for Foldable {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(Self)
    }
}

fn check_object(bytes: &[u8]) -> Result<(), String> {
    check_text(bytes)?;
    // A valid JSON text is an object exactly when its first significant byte opens one.
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(()),
        _ => Err("metadata must be a JSON object".to_owned()),
    }
}

fn malformed(index: usize, field: &'static str, why: &str) -> Error {
    let text =
        format!("{field} of event {index} is not valid JSON: {why}; correct it or give another content type");
    Error::invalid(text).with("field", field).with("event", index)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn exactly_what_a_state_can_be_folded_from_passes() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        let texts =
            ["null", " {\"a\":[1]} ", "[1e400,-0,1.10,18446744073709551616]", "\"\\ud83d\\ude00\\n\""];
        let good = texts.iter().map(|text| text.as_bytes().to_vec()).chain([nested(100), nested(127)]);
        for good in good {
            assert_eq!(check_text(&good), Ok(()));
            assert!(serde_json::from_slice::<Value>(&good).is_ok());
        }
        for bad in
            [b"".to_vec(), b"{".to_vec(), b"1 2".to_vec(), b"\"\xff\"".to_vec(), nested(128), nested(100_000)]
        {
            assert!(check_text(&bad).is_err());
        }
    }

    #[test]
    fn metadata_is_an_object() {
        assert_eq!(check_object(b" {} "), Ok(()));
        for bad in [&b"[]"[..], b"1", b"{"] {
            assert!(check_object(bad).is_err());
        }
    }
}
