//! JSON text as a thing SQL can look into: `json_get_str(payload, 'items', 0, 'sku')`, `payload ->> 'status'`.
//!
//! A path goes through members by name and through items by number, from 0. What is not there, text that is not JSON,
//! and a value of another kind than asked for are all `NULL`: a question over many kinds of events must not end at
//! the first that looks different. Where a member occurs twice, the last one counts.

mod functions;
mod operators;
mod path;

pub(crate) use functions::functions;
pub(crate) use operators::Arrows;
