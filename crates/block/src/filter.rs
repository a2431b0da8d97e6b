//! Which stored events a reader wants.

use chronos_domain::Timestamp;

use crate::event::EventRef;
use crate::recorded::Recorded;

/// Wishes about stored events, all of which must hold. What is left out, or empty, asks nothing; the default matches
/// every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these event types.
    pub types: Vec<String>,
    /// An event type that starts so.
    pub type_prefix: Option<String>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// An entity id that starts so.
    pub entity_prefix: Option<String>,
    /// Happened at this moment or before; an event whose writer did not say when happened when it was recorded.
    pub occurred_until: Option<Timestamp>,
    /// Recorded at this moment or after.
    pub recorded_from: Option<Timestamp>,
    /// Recorded at this moment or before.
    pub recorded_until: Option<Timestamp>,
}

impl Filter {
    /// Whether the event is wanted.
    pub fn matches(&self, recorded: &Recorded) -> bool {
        if self.recorded_from.is_some_and(|from| recorded.recorded_at < from)
            || self.recorded_until.is_some_and(|until| recorded.recorded_at > until)
        {
            return false;
        }
        let event = recorded.event();
        let occurred_at = event.occurred_at.unwrap_or(recorded.recorded_at);
        self.occurred_until.is_none_or(|until| occurred_at <= until) && self.matches_names(&event)
    }

    fn matches_names(&self, event: &EventRef<'_>) -> bool {
        let has_tag = |wanted: &String| event.tags.clone().any(|tag| tag == wanted);
        (self.types.is_empty() || self.types.iter().any(|wanted| wanted == event.event_type))
            && self.type_prefix.as_ref().is_none_or(|prefix| event.event_type.starts_with(prefix.as_str()))
            && self.entity_prefix.as_ref().is_none_or(|prefix| event.entity_id.starts_with(prefix.as_str()))
            && self.tags.iter().all(has_tag)
    }
}
