//! Letting go of an entity's oldest events: the content goes, the numbers stay.
//!
//! An *erased* event keeps its position, version, id, entity, type and moment; payload, metadata, tags, content type
//! and the time it happened are gone. What apply decides afterwards treats it so on every replica, at once and
//! wherever the event lies: it still makes a request a duplicate, still counts as a version, still matches a condition
//! by its type, and carries no tag.

use crate::batch::Space;
use crate::id::Invalid;
use crate::index::Index;
use crate::invariants;
use crate::number::Version;
use crate::rejection::Rejection;

/// A request to erase the events of an entity before a version.
#[derive(Clone, Copy, Debug)]
pub struct Truncate<'a> {
    /// Whose entity.
    pub space: Space<'a>,
    /// Which entity.
    pub entity: &'a str,
    /// The first version that stays.
    pub before: Version,
}

/// How far an entity is truncated after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated {
    /// The first version that is left; zero when nothing has ever been erased.
    pub before: Version,
    /// The entity's version.
    pub version: Version,
    /// Whether this request moved the mark. The caller must then make it visible before the next command.
    pub moved: bool,
}

/// Decides a truncation. A mark that already lies at `before` or beyond stays: repeating a request is harmless.
///
/// # Errors
/// A fault of the index. Inside, the rule that said no: the entity must exist, and at least one event stays.
///
/// # Panics
/// When the index contradicts itself (see [`invariants`]).
pub fn truncate<I: Index>(
    index: &I,
    command: &Truncate<'_>,
) -> Result<Result<Truncated, Rejection>, I::Error> {
    let Truncate { space, entity, before } = *command;
    let version = index.version(space, entity)?;
    if version.is_zero() {
        let reason = "has no event in this tenant and fork; only what is there can be truncated";
        return Ok(Err(Invalid::new("entity", reason).into()));
    }
    if before.is_zero() || before > version {
        let reason = alloc::format!(
            "is {before}, but the entity is at version {version}; give 1 to {version}: at least one event stays"
        );
        return Ok(Err(Invalid::new("before", reason).into()));
    }
    let mark = index.truncated_before(space, entity)?;
    assert!(
        invariants::truncation_within_history(mark, version),
        "I-07: {entity:?} is truncated before {mark} but is at version {version}"
    );
    // Before version 1 there is nothing to erase.
    let moved = before > mark.max(Version::new(1));
    Ok(Ok(Truncated { before: if moved { before } else { mark }, version, moved }))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::id::{EntityId, EventId, EventType, Tag};
    use crate::model::{Event, Model, Request};
    use crate::{
        Append, Condition, ContentHash, Expectation, ForkId, PartitionId, PartitionState, QueryItem,
        Timestamp, Verdict,
    };

    const MAIN: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

    /// An entity `a` with four events of one type, each with a tag.
    fn four() -> (PartitionState, Model) {
        let mut state = PartitionState::new(PartitionId::new(3).unwrap());
        let mut model = Model::new();
        let batch = request(1..=4);
        let command = Append { space: MAIN, recorded_at: Timestamp::new(1), batch: &batch };
        let Ok(Verdict::Stored(receipt)) = state.apply(&model, &command) else { panic!() };
        model.record(&command, &receipt);
        (state, model)
    }

    fn request(ids: core::ops::RangeInclusive<u128>) -> Request {
        let event = |id| Event {
            entity: 0,
            id: EventId::from_u128(id),
            content: ContentHash::new(7),
            event_type: EventType::parse("x.made").unwrap(),
            tags: vec![Tag::parse("red").unwrap()],
        };
        Request {
            entities: vec![(EntityId::parse("a").unwrap(), Expectation::Any)],
            events: ids.map(event).collect(),
            condition: None,
        }
    }

    fn cut(model: &mut Model, before: u64) -> Result<Truncated, Rejection> {
        let command = Truncate { space: MAIN, entity: "a", before: Version::new(before) };
        let Ok(decided) = truncate(model, &command);
        if let Ok(Truncated { before, moved: true, .. }) = decided {
            model.truncate(MAIN, "a", before);
        }
        decided
    }

    fn done(before: u64, moved: bool) -> Truncated {
        Truncated { before: Version::new(before), version: Version::new(4), moved }
    }

    #[test]
    fn the_mark_only_rises_and_one_event_stays() {
        let (_, mut model) = four();
        assert_eq!(cut(&mut model, 1).unwrap(), done(0, false));
        assert_eq!(cut(&mut model, 3).unwrap(), done(3, true));
        assert_eq!(cut(&mut model, 3).unwrap(), done(3, false));
        assert_eq!(cut(&mut model, 2).unwrap(), done(3, false));
        assert_eq!(cut(&mut model, 4).unwrap(), done(4, true));
        for wrong in [0, 5] {
            let Err(Rejection::Invalid(invalid)) = cut(&mut model, wrong) else { panic!("{wrong}") };
            assert_eq!(invalid.field, "before");
        }
    }

    #[test]
    fn a_stranger_cannot_be_truncated() {
        let Ok(refused) =
            truncate(&Model::new(), &Truncate { space: MAIN, entity: "a", before: Version::new(1) });
        assert!(matches!(refused, Err(Rejection::Invalid(invalid)) if invalid.field == "entity"));
    }

    #[test]
    fn an_erased_event_keeps_its_type_and_its_identity_and_loses_its_tags() {
        let (mut state, mut model) = four();
        cut(&mut model, 3).unwrap();
        let batch = request(1..=4);
        let again = Append { space: MAIN, recorded_at: Timestamp::new(2), batch: &batch };
        let Ok(Verdict::Duplicate(receipt)) = state.apply(&model, &again) else { panic!() };
        assert_eq!(receipt.first.get(), 1);
        let typed = QueryItem { types: vec![EventType::parse("x.made").unwrap()], tags: vec![] };
        let tagged = QueryItem { types: vec![], tags: vec![Tag::parse("red").unwrap()] };
        for (item, first) in [(typed, 1), (tagged, 3)] {
            let mut batch = request(9..=9);
            batch.condition = Some(Condition { fail_if: vec![item], after: Default::default() });
            let command = Append { space: MAIN, recorded_at: Timestamp::new(2), batch: &batch };
            let Ok(Verdict::Rejected(Rejection::ConditionFailed { position, .. })) =
                state.apply(&model, &command)
            else {
                panic!()
            };
            assert_eq!(position.get(), first);
        }
    }
}
