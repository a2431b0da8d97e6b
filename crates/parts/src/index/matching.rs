//! Which rows match: by lists of rows where types or tags are asked for, row by row where they are not.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use chronos_block::{Direction, Filter};
use chronos_domain::{QueryItem, Space, Timestamp};

use super::Row;
use super::lists::List;
use super::pages::Section;
use super::reader::{Index, SpaceNames};
use super::rows::{NumberedRow, RowDirectory, RowPage};
use crate::fault::Fault;

/// Names with a common prefix whose lists are merged; where there are more of them, rows are looked at instead.
const PREFIX_LISTS_MAX: u32 = 64;

impl Index {
    /// The first row of the space from `from` on that carries any of the item's types and all of its tags.
    pub(crate) fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        from: Row,
    ) -> Result<Option<Row>, Fault> {
        let Some(names) = self.space(space) else { return Ok(None) };
        let types = item.types.iter().map(|event_type| event_type.as_str());
        let tags = item.tags.iter().map(|tag| tag.as_str());
        let Some(mut needed) = self.needed(&names, types, tags)? else { return Ok(None) };
        self.need_space(&names, &mut needed)?;
        Walk { needed, rows: from.0..self.rows(), direction: Direction::Forward }.next()
    }

    /// The rows of the space within `rows` that match the filter: all that do and no other, in the direction, until
    /// there are `count`. The work is bounded by the number of rows in the range.
    pub(crate) fn matching(
        &self,
        space: Space<'_>,
        filter: &Filter,
        rows: RangeInclusive<Row>,
        direction: Direction,
        count: usize,
    ) -> Result<Vec<Row>, Fault> {
        let Some(names) = self.space(space) else { return Ok(Vec::new()) };
        let types = filter.types.iter().map(String::as_str);
        let tags = filter.tags.iter().map(String::as_str);
        let Some(mut needed) = self.needed(&names, types, tags)? else { return Ok(Vec::new()) };
        let rest = self.rest(&names, filter, &mut needed)?;
        self.need_space(&names, &mut needed)?;
        let mut walk = Walk { needed, rows: self.recorded_within(filter, rows)?, direction };
        let mut pages = HeldPage { index: self, held: None };
        let mut found = Vec::new();
        while found.len() < count {
            let Some(row) = walk.next()? else { break };
            if rest.asks_nothing() || rest.matches(&pages.row(row)?) {
                found.push(row);
            }
        }
        Ok(found)
    }

    /// The lists in all of which a row has to be; `None` when a name is asked for that no row carries.
    fn needed<'n>(
        &self,
        names: &SpaceNames,
        types: impl ExactSizeIterator<Item = &'n str>,
        tags: impl Iterator<Item = &'n str>,
    ) -> Result<Option<Vec<AnyOf<'_>>>, Fault> {
        let mut needed = Vec::new();
        for tag in tags {
            let Some(name) = self.tags().find(names.number, names.tags.clone(), tag)? else {
                return Ok(None);
            };
            needed.push(AnyOf(vec![self.lists(Section::TagRows).list(name.list())?]));
        }
        if types.len() > 0 {
            let mut any = Vec::new();
            for event_type in types {
                if let Some(name) = self.types().find(names.number, names.types.clone(), event_type)? {
                    any.push(self.lists(Section::TypeRows).list(name.list())?);
                }
            }
            if any.is_empty() {
                return Ok(None);
            }
            needed.push(AnyOf(any));
        }
        Ok(Some(needed))
    }

    /// Rows of other spaces are kept out by what is needed; where nothing is, by the list of the space's own rows.
    fn need_space<'a>(&'a self, names: &SpaceNames, needed: &mut Vec<AnyOf<'a>>) -> Result<(), Fault> {
        if needed.is_empty() && self.tail.spaces.len() > 1 {
            let events =
                |spaces: &[super::tail::SpaceEntry]| spaces.iter().map(|space| u64::from(space.events)).sum();
            let (before, here) = self.tail.spaces[..=names.number as usize].split_at(names.number as usize);
            let (start, events): (u64, u64) = (events(before), events(here));
            needed.push(AnyOf(vec![self.lists(Section::SpaceRows).list(start..start + events)?]));
        }
        Ok(())
    }

    /// What else the filter asks. Prefixes that few names have become lists.
    fn rest<'a>(
        &'a self,
        names: &SpaceNames,
        filter: &Filter,
        needed: &mut Vec<AnyOf<'a>>,
    ) -> Result<Rest, Fault> {
        let mut rest = Rest { types: None, entities: None, occurred_until: filter.occurred_until };
        if let Some(prefix) = &filter.type_prefix {
            let types = self.types().with_prefix(names.types.clone(), prefix)?;
            if types.len() as u32 > PREFIX_LISTS_MAX {
                rest.types = Some(types);
            } else {
                let lists = types.map(|t| self.lists(Section::TypeRows).list(self.types().get(t)?.list()));
                needed.push(AnyOf(lists.collect::<Result<_, Fault>>()?));
            }
        }
        if let Some(prefix) = &filter.entity_prefix {
            let entities = self.entities().with_prefix(names.entities.clone(), prefix)?;
            if entities.len() as u32 > PREFIX_LISTS_MAX {
                rest.entities = Some(entities);
            } else {
                let lists =
                    entities.map(|e| self.lists(Section::EntityRows).list(self.entities().get(e)?.list()));
                needed.push(AnyOf(lists.collect::<Result<_, Fault>>()?));
            }
        }
        Ok(rest)
    }

    /// Those of `rows` that were recorded when the filter wants: moments never go backwards.
    fn recorded_within(&self, filter: &Filter, rows: RangeInclusive<Row>) -> Result<Range<u32>, Fault> {
        let mut within = rows.start().0..rows.end().0.saturating_add(1).min(self.rows());
        if let Some(until) = filter.recorded_until {
            within.end = within.end.min(self.rows_recorded_until(until)?);
        }
        if let Some(before) = filter.recorded_from.and_then(|from| from.get().checked_sub(1)) {
            within.start = within.start.max(self.rows_recorded_until(Timestamp::new(before))?);
        }
        Ok(within)
    }
}

/// What of a filter is compared row by row.
struct Rest {
    types: Option<Range<u32>>,
    entities: Option<Range<u32>>,
    occurred_until: Option<Timestamp>,
}

impl Rest {
    fn asks_nothing(&self) -> bool {
        self.types.is_none() && self.entities.is_none() && self.occurred_until.is_none()
    }

    fn matches(&self, row: &NumberedRow<'_>) -> bool {
        let occurred_at = row.occurred_at.unwrap_or(row.recorded_at);
        self.types.as_ref().is_none_or(|types| types.contains(&row.event_type))
            && self.entities.as_ref().is_none_or(|entities| entities.contains(&row.entity))
            && self.occurred_until.is_none_or(|until| occurred_at <= until.get())
    }
}

/// Rows one after the other mostly lie in one page.
struct HeldPage<'a> {
    index: &'a Index,
    held: Option<(u32, Arc<RowPage>)>,
}

impl HeldPage<'_> {
    fn row(&mut self, row: Row) -> Result<NumberedRow<'_>, Fault> {
        let (number, slot) = RowDirectory::page_of(row);
        if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
            self.held = Some((number, self.index.row_page(row)?));
        }
        let (_, page) = self.held.as_ref().expect("the page was put here just now");
        Ok(page.get(slot))
    }
}

/// The union of some lists.
struct AnyOf<'a>(Vec<List<'a>>);

impl AnyOf<'_> {
    /// The row of any list that is nearest to `row` in the direction, `row` itself included.
    fn seek(&mut self, row: Row, direction: Direction) -> Result<Option<Row>, Fault> {
        let mut nearest = None;
        for list in &mut self.0 {
            let found = list.seek(row, direction)?;
            nearest = match (nearest, found, direction) {
                (None, found, _) => found,
                (nearest, None, _) => nearest,
                (Some(a), Some(b), Direction::Forward) => Some(b.min(a)),
                (Some(a), Some(b), Direction::Backward) => Some(b.max(a)),
            };
        }
        Ok(nearest)
    }
}

/// Goes through the rows that are in all lists; through all rows if there is no list.
struct Walk<'a> {
    needed: Vec<AnyOf<'a>>,
    /// What is still to be looked at.
    rows: Range<u32>,
    direction: Direction,
}

impl Walk<'_> {
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let start = match self.direction {
            Direction::Forward => self.rows.start,
            Direction::Backward => self.rows.end - 1,
        };
        let met = self.meet(Row(start))?.filter(|row| self.rows.contains(&row.0));
        match (met, self.direction) {
            (None, _) => self.rows.end = self.rows.start,
            (Some(row), Direction::Forward) => self.rows.start = row.0 + 1,
            (Some(row), Direction::Backward) => self.rows.end = row.0,
        }
        Ok(met)
    }

    /// The nearest row from `row` on that is in all lists: each moves the candidate on, until all of them leave it
    /// where it is.
    fn meet(&mut self, row: Row) -> Result<Option<Row>, Fault> {
        let mut candidate = row;
        let mut agreed = 0;
        while agreed < self.needed.len() {
            agreed = 0;
            for list in &mut self.needed {
                let Some(found) = list.seek(candidate, self.direction)? else { return Ok(None) };
                agreed += usize::from(found == candidate);
                candidate = found;
            }
        }
        Ok(Some(candidate))
    }
}
