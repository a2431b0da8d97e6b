//! What parts add up to, up to a position: the numbers of a manifest, computed from the events.

use chronos_domain::{Position, Timestamp, Version};
use chronos_parts::{Fault, Part};
use chronos_proof::{CHUNK_HEIGHT, CHUNK_LEAVES, Frontier};

/// The numbers of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// The Merkle tree head over its events.
    pub(super) frontier: Frontier,
    /// Entities with at least one event.
    pub(super) entities: u64,
    /// When its last event was recorded; [`Timestamp::MIN`] without one.
    pub(super) recorded_at: Timestamp,
}

/// The numbers of the events up to and including `bound`, which these parts hold in order.
pub(super) fn summarise(parts: &[Part], bound: Position) -> Result<Summary, Fault> {
    let mut summary = Summary { frontier: Frontier::new(), entities: 0, recorded_at: Timestamp::MIN };
    for part in parts.iter().take_while(|part| part.meta().first <= bound) {
        let last = part.meta().last.min(bound);
        push_leaves(&mut summary.frontier, part, last)?;
        summary.entities += entities(part, last)?;
        summary.recorded_at = part.numbers_at(last)?.1;
    }
    Ok(summary)
}

/// Appends the leaves of a part up to and including `last`: whole chunks by the roots that its index holds.
fn push_leaves(frontier: &mut Frontier, part: &Part, last: Position) -> Result<(), Fault> {
    let mut at = part.meta().first;
    while at <= last {
        let leaf = at.get() - 1;
        let chunk = leaf / CHUNK_LEAVES;
        let end = Position::new((chunk + 1) * CHUNK_LEAVES);
        match part.chunk(chunk) {
            Some(root) if leaf.is_multiple_of(CHUNK_LEAVES) && end <= last => {
                frontier.push_subtree(CHUNK_HEIGHT, root);
            }
            _ => part.leaves(at..=end.min(last))?.into_iter().for_each(|leaf| frontier.push(leaf)),
        }
        at = end.next();
    }
    Ok(())
}

/// Entities whose first event lies in the part, at `last` or before. Versions have no gap, so each has one event of
/// version 1, erased or not.
fn entities(part: &Part, last: Position) -> Result<u64, Fault> {
    let mut entities = 0;
    let mut at = part.meta().first;
    while at <= last {
        entities += u64::from(part.numbers_at(at)?.0 == Version::new(1));
        at = at.next();
    }
    Ok(entities)
}

/// The last position that was recorded at `moment` or before; zero when there is none.
pub(super) fn bound_at(parts: &[Part], moment: Timestamp) -> Result<Position, Fault> {
    let begun = parts.iter().rev().find(|part| part.meta().recorded.0 <= moment);
    let bound = begun.map_or(Ok(None), |part| part.bound_at(moment))?;
    Ok(bound.unwrap_or(Position::ZERO))
}
