//! Reads of one entity, one partition, one event; all of them in pages.

use std::time::Duration;

use chronos_block::{Direction, Filter, Range, Recorded};
use chronos_domain::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use chronos_domain::{
    EntityId, EventId, ForkId, Marks, PartitionId, Position, TenantId, Token, Version, place,
};
use futures::future::{join_all, try_join_all};

use crate::App;
use crate::as_of::{AsOf, Consistency};
use crate::authority::{Action, Principal, authorize};
use crate::error::Error;
use crate::port::Node;

/// How events are read, whichever they are.
#[derive(Clone, Debug)]
pub struct View {
    /// Which way.
    pub direction: Direction,
    /// At most so many events.
    pub limit: Option<u64>,
    /// The moment whose past is read.
    pub as_of: Option<AsOf>,
    /// Further restrictions.
    pub filter: Filter,
    /// How fresh.
    pub consistency: Consistency,
    /// On the node's clock.
    pub deadline: Duration,
}

/// Which events of one entity.
#[derive(Clone, Debug)]
pub struct EntityRequest {
    /// Whose events.
    pub entity: EntityId,
    /// First version to return; the oldest (or, backward, the newest) when absent.
    pub from: Option<Version>,
    /// Last version to return, in the direction of the read; to its end when absent.
    pub to: Option<Version>,
    /// How.
    pub view: View,
}

/// Which events of one partition.
#[derive(Clone, Debug)]
pub struct PartitionRequest {
    /// Whose events.
    pub partition: PartitionId,
    /// First position to return; the oldest (or, backward, the newest) when absent.
    pub from: Option<Position>,
    /// How.
    pub view: View,
}

/// Which events of all partitions, in the order of (`recorded_at`, partition, position).
#[derive(Clone, Debug)]
pub struct AllRequest {
    /// Go on after (or, backward, before) these positions.
    pub from: Option<Token>,
    /// How.
    pub view: View,
}

/// Each partition's marks, or why it is not served here.
pub type Watermarks = Vec<(PartitionId, Result<Marks, Error>)>;

/// The past of one entity, fixed before its first event is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityPast {
    pub(crate) partition: PartitionId,
    /// Nothing beyond this position belongs to it.
    pub(crate) bound: Position,
    /// The entity's version in it; 0 when it had no event yet.
    pub(crate) head: Version,
}

/// A read that was opened: its past is fixed, its pages are fetched as they are asked for.
pub struct Reader<N> {
    node: N,
    tenant: TenantId,
    partition: PartitionId,
    scope: Scope,
    filter: Filter,
    range: Range,
    left: u64,
    done: bool,
    truncated_before: Version,
}

enum Scope {
    /// The entity's versions from `first` to `last` that belong to the read, whichever way it goes.
    Entity {
        entity: EntityId,
        first: Version,
        last: Version,
    },
    Partition,
}

impl<N: Node> Reader<N> {
    /// The next events, `None` at the end. Never an empty page.
    ///
    /// # Errors
    /// When a stored event cannot be read back unharmed: the read ends there, nothing is left out silently.
    pub async fn next(&mut self) -> Result<Option<Vec<Recorded>>, Error> {
        while !self.done && self.left > 0 {
            let mut events = self.page().await?;
            events.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= events.len() as u64;
            if !events.is_empty() {
                return Ok(Some(events));
            }
        }
        Ok(None)
    }

    async fn page(&mut self) -> Result<Vec<Recorded>, Error> {
        let space = (&self.tenant, ForkId::MAIN);
        let range = self.next_range();
        let page = match &self.scope {
            Scope::Entity { entity, first, last } => {
                let versions = *first..=*last;
                let mut page = self.node.entity(self.partition, space, entity.as_str(), range).await?;
                page.next = page.next.filter(|next| versions.contains(&Version::new(*next)));
                // A mark only rises, but a page that was asked for later may have been made earlier.
                self.truncated_before = self.truncated_before.max(page.truncated_before);
                page.events.retain(|event| versions.contains(&event.version) && self.filter.matches(event));
                page
            }
            Scope::Partition => self.node.scan(self.partition, space, range, &self.filter).await?,
        };
        match page.next {
            Some(next) => self.range.from = next,
            None => self.done = true,
        }
        Ok(page.events)
    }

    /// What to fetch next: no more than is still wanted, so that a short read neither costs nor risks a long one.
    fn next_range(&self) -> Range {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let events_max = match &self.scope {
            // The filter is applied here, so how many must be looked at is not known.
            Scope::Entity { .. } if self.filter != Filter::default() => self.range.events_max,
            Scope::Entity { first, last, .. } => {
                let wanted = match self.range.direction {
                    Direction::Forward => last.get() + 1 - self.range.from,
                    Direction::Backward => self.range.from + 1 - first.get(),
                };
                usize::try_from(wanted).unwrap_or(usize::MAX).min(left)
            }
            Scope::Partition => left,
        };
        Range { events_max: self.range.events_max.min(events_max), ..self.range }
    }

    /// The position up to which this read sees its partition.
    #[must_use]
    pub const fn bound(&self) -> Position {
        self.range.bound
    }

    /// Of an entity's read: the version before which its events have been erased, as far as pages have said so.
    #[must_use]
    pub const fn truncated_before(&self) -> Version {
        self.truncated_before
    }

    /// The read's past as a token.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::at(self.partition, self.range.bound)
    }
}

impl<N: Node> App<N> {
    /// Opens a read of one entity.
    ///
    /// # Errors
    /// `NOT_FOUND` when the entity has no event at all; see [`AsOf`] and [`Consistency`] for the others.
    pub async fn read_entity(
        &self,
        principal: &Principal,
        request: EntityRequest,
    ) -> Result<Reader<N>, Error> {
        let view = request.view;
        let moment = (view.as_of.as_ref(), &view.consistency, view.deadline);
        let past = self.entity_past(principal, &request.entity, moment).await?;
        let head = past.head;
        let one = Version::ZERO.next();
        let (from, first, last) = match view.direction {
            Direction::Forward => {
                let from = request.from.map_or(one, |from| from.max(one));
                (from, from, request.to.map_or(head, |to| to.min(head)))
            }
            Direction::Backward => {
                let from = request.from.map_or(head, |from| from.min(head));
                (from, request.to.map_or(one, |to| to.max(one)), from)
            }
        };
        Ok(Reader {
            node: self.node().clone(),
            tenant: principal.tenant().clone(),
            partition: past.partition,
            scope: Scope::Entity { entity: request.entity, first, last },
            filter: view.filter,
            range: page_range(from.get(), past.bound, view.direction),
            left: view.limit.unwrap_or(u64::MAX),
            done: first > last,
            truncated_before: Version::ZERO,
        })
    }

    /// Fixes the past of one entity that a read is about.
    ///
    /// # Errors
    /// As [`read_entity`](Self::read_entity).
    pub(crate) async fn entity_past(
        &self,
        principal: &Principal,
        entity: &EntityId,
        (as_of, consistency, deadline): (Option<&AsOf>, &Consistency, Duration),
    ) -> Result<EntityPast, Error> {
        authorize(principal, Action::Read)?;
        let partition = place(principal.tenant().as_str(), entity.as_str());
        self.catch_up(partition, consistency, deadline).await?;
        self.known(principal, partition, entity).await?;
        let (bound, head) = self.entity_bound((principal, partition, entity), as_of, deadline).await?;
        Ok(EntityPast { partition, bound, head })
    }

    /// Reads on in a past that was fixed before, from a version on.
    pub(crate) fn entity_reader(
        &self,
        principal: &Principal,
        entity: &EntityId,
        (past, from): (EntityPast, Version),
        filter: Filter,
    ) -> Reader<N> {
        let scope = Scope::Entity { entity: entity.clone(), first: from, last: past.head };
        Reader {
            node: self.node().clone(),
            tenant: principal.tenant().clone(),
            partition: past.partition,
            scope,
            filter,
            range: page_range(from.get(), past.bound, Direction::Forward),
            left: u64::MAX,
            done: from > past.head,
            truncated_before: Version::ZERO,
        }
    }

    /// Opens a read of one partition.
    ///
    /// # Errors
    /// When this node does not serve the partition; see [`AsOf`] and [`Consistency`] for the others.
    pub async fn read_partition(
        &self,
        principal: &Principal,
        request: PartitionRequest,
    ) -> Result<Reader<N>, Error> {
        authorize(principal, Action::Read)?;
        let view = request.view;
        self.catch_up(request.partition, &view.consistency, view.deadline).await?;
        let bound = self.bound(request.partition, view.as_of.as_ref(), view.deadline).await?;
        let from = match view.direction {
            Direction::Forward => request.from.map_or(1, Position::get).max(1),
            Direction::Backward => request.from.map_or(u64::MAX, Position::get).min(bound.get()),
        };
        Ok(self.partition_reader(
            principal,
            request.partition,
            page_range(from, bound, view.direction),
            (view.filter, view.limit),
        ))
    }

    pub(crate) fn partition_reader(
        &self,
        principal: &Principal,
        partition: PartitionId,
        range: Range,
        (filter, limit): (Filter, Option<u64>),
    ) -> Reader<N> {
        Reader {
            node: self.node().clone(),
            tenant: principal.tenant().clone(),
            partition,
            scope: Scope::Partition,
            filter,
            done: range.from == 0 || range.bound == Position::ZERO,
            range,
            left: limit.unwrap_or(u64::MAX),
            truncated_before: Version::ZERO,
        }
    }

    /// The event of that id, wherever it lives: any that was acknowledged before the call.
    ///
    /// # Errors
    /// `NOT_FOUND` only when every partition said so, as fresh as its leader; the first refusal when one could not be
    /// asked.
    pub async fn event(
        &self,
        principal: &Principal,
        id: EventId,
        deadline: Duration,
    ) -> Result<Recorded, Error> {
        authorize(principal, Action::Read)?;
        // What is there stays there, so only what is not found needs more than a look.
        if let Some(event) = self.look_for(principal, id).await? {
            return Ok(event);
        }
        try_join_all(PartitionId::all().map(|partition| self.node().linearize(partition, deadline))).await?;
        let found = self.look_for(principal, id).await?;
        found.ok_or_else(|| Error::not_found(format!("no event has the id {id}")).with("event_id", id))
    }

    async fn look_for(&self, principal: &Principal, id: EventId) -> Result<Option<Recorded>, Error> {
        let space = (principal.tenant(), ForkId::MAIN);
        let mut refusal = None;
        for partition in PartitionId::all() {
            match self.node().event(partition, space, id).await {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        refusal.map_or(Ok(None), Err)
    }

    /// Every partition's marks, or why it is not served here.
    ///
    /// # Errors
    /// When the principal may not observe.
    pub async fn watermarks(&self, principal: &Principal) -> Result<Watermarks, Error> {
        authorize(principal, Action::Observe)?;
        let each = PartitionId::all()
            .map(|partition| async move { (partition, self.node().marks(partition).await) });
        Ok(join_all(each).await)
    }

    /// Refuses an entity that never had an event.
    async fn known(
        &self,
        principal: &Principal,
        partition: PartitionId,
        entity: &EntityId,
    ) -> Result<(), Error> {
        let space = (principal.tenant(), ForkId::MAIN);
        let everything = Position::new(u64::MAX);
        match self.node().version(partition, space, entity.as_str(), everything).await? {
            Version::ZERO => Err(Error::not_found(format!("entity {entity} has no event"))
                .with("entity_id", entity)
                .with("partition", partition)),
            _ => Ok(()),
        }
    }
}

pub(crate) const fn page_range(from: u64, bound: Position, direction: Direction) -> Range {
    Range { from, bound, direction, events_max: PAGE_EVENTS_MAX, bytes_max: PAGE_BYTES_MAX }
}
