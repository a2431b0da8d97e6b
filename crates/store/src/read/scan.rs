//! One step of a scan: candidates from a single layer, and where the next step starts.

use std::sync::Arc;

use chronos_block::{Direction, Filter};
use chronos_domain::{Position, Space};

use super::pick::{Picked, pick_positions};
use crate::fault::Fault;
use crate::shelf::{Run, Shelf};
use crate::state::State;

/// The candidates of one step, in the order of the scan.
pub(crate) struct Step {
    pub(super) candidates: Candidates,
    pub(super) next: Next,
}

/// Where the candidates are.
pub(super) enum Candidates {
    Memory(Picked),
    Part(Run),
}

/// What follows the candidates, within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An event of the space is here.
    Event(Position),
    /// The layer has no more; the next one starts here.
    Layer(Position),
    /// Nothing is left.
    Nothing,
}

/// What a step needs that the lock does not protect.
enum Found {
    Step(Step),
    Shelf(Arc<Shelf>),
}

/// Looks for up to `count` candidates from position `from` on in the one layer that holds it. Parts may be asked for
/// fewer than all events, those that the filter can match; whoever reads them looks again.
///
/// # Errors
/// A fault of storage.
pub(crate) fn step<'s>(
    state: impl FnOnce() -> Result<parking_lot::RwLockReadGuard<'s, State>, Fault>,
    space: Space<'_>,
    direction: Direction,
    filter: &Filter,
    (from, limit): (Position, Position),
    count: usize,
) -> Result<Step, Fault> {
    let from = match direction {
        Direction::Forward => from,
        Direction::Backward => from.min(limit),
    };
    if from.is_zero() || from > limit {
        return Ok(Step { candidates: Candidates::Memory(Picked::default()), next: Next::Nothing });
    }
    let found = {
        let state = state()?;
        match from <= state.layers.compacted() {
            true => Found::Shelf(state.layers.shelf().clone()),
            false => Found::Step(in_memory(&state, space, direction, (from, limit), count)),
        }
    };
    match found {
        Found::Step(step) => Ok(step),
        Found::Shelf(shelf) => in_parts(&shelf, space, direction, filter, (from, limit), count),
    }
}

fn in_memory(
    state: &State,
    space: Space<'_>,
    direction: Direction,
    (from, limit): (Position, Position),
    count: usize,
) -> Step {
    let layers = &state.layers;
    let generation = layers.holding(from).expect("a position up to the applied mark is in a layer");
    let (picked, next) = pick_positions(layers, generation, space, direction, (from, limit), count);
    let next = next.map(Next::Event);
    let beyond = || match direction {
        Direction::Forward => layer_after(generation.head(), limit),
        Direction::Backward => layer_before(generation.base().next()),
    };
    Step { candidates: Candidates::Memory(picked), next: next.unwrap_or_else(beyond) }
}

fn in_parts(
    shelf: &Shelf,
    space: Space<'_>,
    direction: Direction,
    filter: &Filter,
    (from, limit): (Position, Position),
    count: usize,
) -> Result<Step, Fault> {
    let (mut run, ends) = shelf.matching(space, filter, direction, (from, limit), count + 1)?;
    let next = match run.positions.get(count) {
        Some(next) => Next::Event(*next),
        None => match direction {
            Direction::Forward => layer_after(*ends.end(), limit),
            Direction::Backward => layer_before(*ends.start()),
        },
    };
    let leaves_parts = |next| matches!(next, Next::Layer(at) if at > shelf.compacted());
    chronos_env::sometimes!("store.scan_left_parts", leaves_parts(next));
    run.positions.truncate(count);
    Ok(Step { candidates: Candidates::Part(run), next })
}

/// What follows a layer that ends at `last`.
fn layer_after(last: Position, limit: Position) -> Next {
    if last < limit { Next::Layer(last.next()) } else { Next::Nothing }
}

/// What comes before a layer that starts at `first`.
fn layer_before(first: Position) -> Next {
    first.previous().filter(|before| !before.is_zero()).map_or(Next::Nothing, Next::Layer)
}
