//! The state of an entity: its events folded by a named reducer, as of any moment.
//!
//! A fold that comes past a multiple of [`STATE_CHECKPOINT_VERSIONS`](chronos_domain::limits::STATE_CHECKPOINT_VERSIONS)
//! leaves a checkpoint there, and later folds of the same entity begin at the last one that lies in their past. The past
//! does not change, so a checkpoint is right for ever; but for a truncation, which every page read tells of.

mod checkpoints;
mod fold;

use std::time::Duration;

use chronos_block::Filter;
use chronos_domain::{EntityId, ForkId, Timestamp, Token, Version};
use serde_json::Value;

pub(crate) use checkpoints::Checkpoints;

use crate::App;
use crate::as_of::{AsOf, Consistency};
use crate::authority::Principal;
use crate::error::Error;
use crate::port::Node;
use crate::read::EntityPast;
use checkpoints::Line;
use fold::Fold;

/// How events become a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reducer {
    /// Each payload is a JSON merge patch (RFC 7396) on what came before.
    #[default]
    Merge,
    /// The last payload.
    Last,
    /// How many events there are.
    Count,
    /// All payloads, in order.
    List,
}

impl Reducer {
    /// Reads a reducer's name.
    ///
    /// # Errors
    /// `INVALID`, with the names there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "merge" => Ok(Self::Merge),
            "last" => Ok(Self::Last),
            "count" => Ok(Self::Count),
            "list" => Ok(Self::List),
            other => Err(Error::invalid(format!(
                "no reducer is named {other:?}; take one of merge, last, count, list"
            ))
            .with("field", "reducer")),
        }
    }
}

/// Which state.
#[derive(Clone, Debug)]
pub struct StateRequest {
    /// Whose.
    pub entity: EntityId,
    /// The moment.
    pub as_of: Option<AsOf>,
    /// Only events that occurred (or, where they do not say, were recorded) until then.
    pub occurred_until: Option<Timestamp>,
    /// The fold.
    pub reducer: Reducer,
    /// How fresh.
    pub consistency: Consistency,
    /// On the node's clock.
    pub deadline: Duration,
}

/// A folded entity.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The last version that was folded; 0 when the view has no event.
    pub version: Version,
    /// How many events were folded.
    pub events: u64,
    /// The result; `null` for a merge or a last of nothing. Numbers keep the digits they were written with.
    pub value: Value,
    /// The past that was folded.
    pub token: Token,
    /// The version before which the entity's events have been erased, and are not folded; 0 when none have.
    pub truncated_before: Version,
}

impl<N: Node> App<N> {
    /// Folds an entity's events.
    ///
    /// Memory is bounded by the state and one page, not by the entity's length (but a `list` is as long as it
    /// is). Once an entity has been folded, a fold as of any moment reads few of its events, as long as its checkpoints
    /// are not displaced by those of others.
    ///
    /// # Errors
    /// As [`App::read_entity`]; `INVALID` when a payload that must be folded is not JSON.
    pub async fn state(&self, principal: &Principal, request: StateRequest) -> Result<State, Error> {
        let moment = (request.as_of.as_ref(), &request.consistency, request.deadline);
        let past = self.entity_past(principal, &request.entity, moment).await?;
        let mut fold = match line(principal, &request) {
            Some(line) => {
                self.checkpoints.last(&line, past.head).unwrap_or_else(|| Fold::new(request.reducer))
            }
            None => Fold::new(request.reducer),
        };
        while !self.fold_on(principal, &request, past, &mut fold).await? {
            // What was folded has been erased. Each time round the entity has been truncated further.
            fold = Fold::new(request.reducer);
        }
        Ok(fold.state(Token::at(past.partition, past.bound)))
    }

    /// Folds the events that follow, to the end of the past. False when a truncation makes what was folded so far
    /// something else than the fold of what is left.
    async fn fold_on(
        &self,
        principal: &Principal,
        request: &StateRequest,
        past: EntityPast,
        fold: &mut Fold,
    ) -> Result<bool, Error> {
        let line = line(principal, request);
        let filter = Filter { occurred_until: request.occurred_until, ..Filter::default() };
        // The last event that was folded is read once more, so that at least one page tells of truncations.
        let from = fold.version.max(Version::ZERO.next());
        let mut reader = self.entity_reader(principal, &request.entity, (past, from), filter);
        loop {
            let page = reader.next().await?;
            if !fold.stands_after(reader.truncated_before()) {
                return Ok(false);
            }
            let Some(page) = page else { return Ok(true) };
            for event in &page {
                if event.version > fold.version {
                    fold.add(event)?;
                    self.checkpoints.offer(line.as_ref(), fold);
                }
            }
        }
    }
}

/// Whose checkpoints serve the fold; none when it leaves out some of the entity's events.
fn line(principal: &Principal, request: &StateRequest) -> Option<Line> {
    request.occurred_until.is_none().then(|| Line {
        tenant: principal.tenant().clone(),
        fork: ForkId::MAIN,
        entity: request.entity.clone(),
        reducer: request.reducer,
    })
}
