//! A stored event as a JSON object: what HTTP answers, what commands print, what import and export exchange.
//!
//! The members are the fields of an event, by name and in order. A JSON payload is embedded byte for byte, so that
//! numbers keep their digits and objects their order; any other payload is a base64 string (RFC 4648, padded).
//! `content_type` stands there unless it is exactly `application/json`. `metadata` is an object, `tags` an array, times are microseconds since the
//! Unix epoch, and `occurred_at` is `null` when the writer did not say. Of an event
//! whose content a truncation has erased, `payload` is `null` and `"erased":true` ends the object; no other event has
//! that member.
//!
//! ```text
//! {"event_id":"…","tenant_id":"default","entity_id":"order-7","event_type":"order.placed","payload":{"qty":2},
//!  "metadata":{},"tags":["vip"],"occurred_at":null,"recorded_at":1714521600000000,"version":1,"position":9,"partition":3}
//! ```

mod read;
mod write;

pub use read::EventJson;
pub use write::{EventView, Layout, ViewTags, write};

/// The content type that goes without saying.
pub const CONTENT_TYPE: &str = "application/json";
