//! What calls itself JSON is JSON: state folds and queries rely on it, so it is checked before it is stored.

use chronos_block::Block;
use chronos_domain::Batch;
use serde::de::IgnoredAny;

use crate::error::Error;

/// The content type whose payloads are checked.
pub(crate) const JSON: &str = "application/json";

/// Refuses a batch in which a JSON payload or a metadata text is malformed, naming the event.
pub(crate) fn check(block: &Block) -> Result<(), Error> {
    for i in 0..block.events() {
        let event = block.event(i);
        if event.content_type == JSON {
            serde_json::from_slice::<IgnoredAny>(event.payload).map_err(|e| malformed(i, "payload", &e))?;
        }
        if !event.metadata.is_empty() {
            check_object(event.metadata).map_err(|e| malformed(i, "metadata", &e))?;
        }
    }
    Ok(())
}

fn check_object(text: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<IgnoredAny>(text)?;
    // A valid JSON text is an object exactly when its first significant byte opens one.
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(()),
        _ => Err(serde::de::Error::custom("metadata must be a JSON object")),
    }
}

fn malformed(index: usize, field: &'static str, error: &serde_json::Error) -> Error {
    let text = format!(
        "{field} of event {index} is not valid JSON: {error}; correct it or give another content type"
    );
    Error::invalid(text).with("field", field).with("event", index)
}
