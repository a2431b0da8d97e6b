//! Which positions carry a type or a tag, and where several lists meet.

use chronos_domain::{Position, QueryItem};

use crate::names::Names;

/// Ascending positions.
pub(crate) type Postings = Vec<Position>;

/// The postings of one tenant and fork.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) types: Names<Postings>,
    pub(crate) tags: Names<Postings>,
}

impl Marked {
    pub(crate) const fn new() -> Marked {
        Marked { types: Names::new(), tags: Names::new() }
    }

    /// The first position after `after` that carries any of the item's types and all of its tags.
    ///
    /// The item names a type or a tag: where it names neither, every event matches and no list is needed.
    pub(crate) fn first_match(&self, item: &QueryItem, after: Position) -> Option<Position> {
        let mut needed = Vec::with_capacity(item.tags.len() + 1);
        for tag in &item.tags {
            needed.push(AnyOf(vec![self.tags.get(tag.as_str())?]));
        }
        if !item.types.is_empty() {
            needed.push(AnyOf(item.types.iter().filter_map(|t| self.types.get(t.as_str())).collect()));
        }
        assert!(
            !needed.is_empty(),
            "an item without types and tags matches everything and is not looked up here"
        );
        meet(&needed, after.checked_add(1)?)
    }
}

/// The union of some lists.
struct AnyOf<'a>(Vec<&'a Postings>);

impl AnyOf<'_> {
    /// The first position that is not before `from`.
    fn seek(&self, from: Position) -> Option<Position> {
        let first = |list: &&Postings| list.get(list.partition_point(|p| *p < from)).copied();
        self.0.iter().filter_map(first).min()
    }
}

/// The first position from `from` on that is in all of `needed`: every list in turn moves the candidate forward
/// until a whole round leaves it where it is.
fn meet(needed: &[AnyOf<'_>], from: Position) -> Option<Position> {
    let mut candidate = from;
    loop {
        let start = candidate;
        for list in needed {
            candidate = list.seek(candidate)?;
        }
        if candidate == start && needed.iter().all(|list| list.seek(start) == Some(start)) {
            return Some(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use chronos_domain::id::{EventType, Tag};
    use proptest::prelude::*;

    use super::*;

    fn item(types: &[usize], tags: &[usize]) -> QueryItem {
        QueryItem {
            types: types.iter().map(|t| EventType::parse(&format!("type{t}")).unwrap()).collect(),
            tags: tags.iter().map(|t| Tag::parse(&format!("tag{t}")).unwrap()).collect(),
        }
    }

    proptest! {
        #[test]
        fn the_first_match_is_the_one_a_walk_over_all_events_finds(
            events in prop::collection::vec((0..4_usize, prop::collection::btree_set(0..4_usize, 0..4)), 0..60),
            types in prop::collection::vec(0..6_usize, 0..3),
            tags in prop::collection::vec(0..6_usize, 0..3),
            after in 0..70_u64,
        ) {
            prop_assume!(!types.is_empty() || !tags.is_empty());
            let mut marked = Marked::new();
            for (i, (event_type, event_tags)) in events.iter().enumerate() {
                let position = Position::new(i as u64 + 1);
                let number = marked.types.intern(&format!("type{event_type}"));
                marked.types.value_mut(number).push(position);
                for tag in event_tags {
                    let number = marked.tags.intern(&format!("tag{tag}"));
                    marked.tags.value_mut(number).push(position);
                }
            }
            let matches = |(event_type, event_tags): &(usize, std::collections::BTreeSet<usize>)| {
                (types.is_empty() || types.contains(event_type)) && tags.iter().all(|t| event_tags.contains(t))
            };
            let walked = (1..).zip(&events).find(|(p, e)| *p > after && matches(e)).map(|(p, _)| Position::new(p));
            prop_assert_eq!(marked.first_match(&item(&types, &tags), Position::new(after)), walked);
        }
    }
}
