//! What calls itself JSON is JSON: state folds and queries rely on it, so it is checked before it is stored.

use chronos_block::Block;
use chronos_domain::Batch;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::error::Error;

/// The content type whose payloads are checked.
pub(crate) const JSON: &str = "application/json";

/// How deep a text may nest: as deep as the parser that folds states goes.
const DEPTH_MAX: usize = 128;

/// Refuses a batch in which a JSON payload or a metadata text is malformed, naming the event.
pub(crate) fn check(block: &Block) -> Result<(), Error> {
    for i in 0..block.events() {
        let event = block.event(i);
        if event.content_type == JSON {
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
    if may_be_deep(bytes) {
        // Builds the value, which refuses what nests too deeply.
        return serde_json::from_str::<Value>(text).map(drop).map_err(|e| e.to_string());
    }
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|e| e.to_string())
}

/// Whether there are enough brackets to nest beyond the limit; most texts are cleared by this count alone.
fn may_be_deep(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() >= DEPTH_MAX
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
    use super::*;

    #[test]
    fn what_a_state_could_not_be_folded_from_is_refused() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        for good in [b"null".to_vec(), b" {\"a\":[1]} ".to_vec(), nested(100), nested(127)] {
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
