//! Dynamic consistency boundaries: "only if nothing like this has happened".

use alloc::vec::Vec;

use crate::id::{EventType, Tag};
use crate::limits::{CONDITION_ITEMS_MAX, CONDITION_TAGS_MAX, CONDITION_TYPES_MAX};
use crate::number::Position;
use crate::rejection::Rejection;

/// One alternative of a query.
///
/// Matches an event when `types` is empty or names the event's type, and the event carries all of `tags`. With
/// both empty it matches every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryItem {
    /// Event types, any of which will do; empty for all.
    pub types: Vec<EventType>,
    /// Tags, all of which are needed.
    pub tags: Vec<Tag>,
}

impl QueryItem {
    /// Whether an event of this type with these tags matches.
    pub fn matches<'t>(&self, event_type: &str, tags: impl Iterator<Item = &'t str> + Clone) -> bool {
        let typed = self.types.is_empty() || self.types.iter().any(|t| t.as_str() == event_type);
        typed && self.tags.iter().all(|wanted| tags.clone().any(|tag| tag == wanted.as_str()))
    }
}

/// The append fails when any event of the same tenant and fork, in the same partition, with a position greater
/// than `after` matches any item. No items: it never fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The query: any of its items.
    pub fail_if: Vec<QueryItem>,
    /// Positions up to this one have been seen by the writer; zero looks at the whole history.
    pub after: Position,
}

impl Condition {
    /// Checks the bounds of [`limits`](crate::limits).
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] names the bound that is broken.
    pub fn check(&self) -> Result<(), Rejection> {
        Rejection::bound("condition items", CONDITION_ITEMS_MAX, self.fail_if.len())?;
        for item in &self.fail_if {
            Rejection::bound("event types of a condition item", CONDITION_TYPES_MAX, item.types.len())?;
            Rejection::bound("tags of a condition item", CONDITION_TAGS_MAX, item.tags.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn item(types: &[&str], tags: &[&str]) -> QueryItem {
        QueryItem {
            types: types.iter().map(|t| EventType::parse(t).unwrap()).collect(),
            tags: tags.iter().map(|t| Tag::parse(t).unwrap()).collect(),
        }
    }

    #[test]
    fn an_item_needs_any_of_its_types_and_all_of_its_tags() {
        let tags = ["a", "b"];
        let matches = |i: QueryItem| i.matches("order.placed", tags.into_iter());
        assert!(matches(item(&[], &[])));
        assert!(matches(item(&["x", "order.placed"], &[])));
        assert!(matches(item(&["order.placed"], &["b", "a"])));
        assert!(!matches(item(&["x"], &["a"])));
        assert!(!matches(item(&[], &["a", "c"])));
    }

    #[test]
    fn each_bound_of_a_condition_is_held() {
        let fits = Condition { fail_if: vec![item(&[], &[]); CONDITION_ITEMS_MAX], after: Position::ZERO };
        assert_eq!(fits.check(), Ok(()));
        let tag = Tag::parse("t").unwrap();
        let kind = EventType::parse("t").unwrap();
        let wide = QueryItem { types: vec![], tags: vec![tag; CONDITION_TAGS_MAX + 1] };
        let long = QueryItem { types: vec![kind; CONDITION_TYPES_MAX + 1], tags: vec![] };
        for fail_if in [vec![item(&[], &[]); CONDITION_ITEMS_MAX + 1], vec![wide], vec![long]] {
            let refused = Condition { fail_if, after: Position::ZERO }.check();
            assert!(matches!(refused, Err(Rejection::TooLarge { .. })), "{refused:?}");
        }
    }
}
