//! Which rows a scan reads.

use std::ops::RangeInclusive;

use chronos_block::{Direction, Filter};
use chronos_domain::{Space, Version};
use parquet::arrow::arrow_reader::RowSelection;

use super::Part;
use crate::fault::Fault;
use crate::index::Row;
use crate::read::Scan;

/// The rows of a part that a scan selects.
pub(crate) enum Selected {
    Nothing,
    All,
    Some(RowSelection),
}

impl Part {
    /// Asks the index, so that pages without a selected row are never fetched.
    pub(super) fn selected(&self, scan: &Scan) -> Result<Selected, Fault> {
        let Some(bounds) = self.bounds(scan)? else { return Ok(Selected::Nothing) };
        let all = *bounds.start() == Row(0) && *bounds.end() == Row(self.index.rows() - 1);
        Ok(match self.chosen(scan, &bounds)? {
            None if all => Selected::All,
            None => self.select([bounds]),
            Some(rows) if rows.is_empty() => Selected::Nothing,
            Some(rows) => self.select(rows.into_iter().map(|row| row..=row)),
        })
    }

    /// The rows within the scan's positions and moments. Recording moments never decrease, so those are one range.
    fn bounds(&self, scan: &Scan) -> Result<Option<RangeInclusive<Row>>, Fault> {
        let Some(within) = self.rows_within(&scan.positions) else { return Ok(None) };
        let (mut first, mut last) = within.into_inner();
        if let (Some(from), _) = scan.recorded
            && from > self.meta.recorded.0
        {
            // `from` is above a moment, so there is one before it.
            let before = chronos_domain::Timestamp::new(from.get() - 1);
            if let Some(earlier) = self.index.bound_at(before)? {
                first = first.max(Row(earlier.0 + 1));
            }
        }
        if let (_, Some(until)) = scan.recorded
            && until < self.meta.recorded.1
        {
            match self.index.bound_at(until)? {
                Some(latest) => last = last.min(latest),
                None => return Ok(None),
            }
        }
        Ok((first <= last).then_some(first..=last))
    }

    /// The rows of the wanted entities and types, ascending; `None` when all are wanted.
    fn chosen(&self, scan: &Scan, bounds: &RangeInclusive<Row>) -> Result<Option<Vec<Row>>, Fault> {
        let Some((tenant, fork)) = &scan.space else { return Ok(None) };
        let space = Space { tenant: tenant.as_str(), fork: *fork };
        let of_entities = match &scan.entities {
            Some(entities) => Some(self.rows_of_entities(space, entities, bounds)?),
            None => None,
        };
        let of_types = match &scan.types {
            Some(types) => Some(self.rows_of_types(space, types, bounds)?),
            None => None,
        };
        Ok(match (of_entities, of_types) {
            (Some(mut rows), Some(types)) => {
                rows.retain(|row| types.binary_search(row).is_ok());
                Some(rows)
            }
            (rows, types) => rows.or(types),
        })
    }

    fn rows_of_entities(
        &self,
        space: Space<'_>,
        entities: &[String],
        bounds: &RangeInclusive<Row>,
    ) -> Result<Vec<Row>, Fault> {
        let mut rows = Vec::new();
        for name in entities {
            if let Some(entity) = self.index.entity(space, name)? {
                rows.extend(self.index.rows_of(&entity, Version::ZERO..=Version::MAX)?);
            }
        }
        rows.retain(|row| bounds.contains(row));
        rows.sort_unstable();
        rows.dedup();
        Ok(rows)
    }

    fn rows_of_types(
        &self,
        space: Space<'_>,
        types: &[String],
        bounds: &RangeInclusive<Row>,
    ) -> Result<Vec<Row>, Fault> {
        if types.is_empty() {
            return Ok(Vec::new()); // to a filter, no types would mean all of them
        }
        let filter = Filter { types: types.to_vec(), ..Filter::default() };
        self.index.matching(space, &filter, bounds.clone(), Direction::Forward, usize::MAX)
    }

    /// Exactly these rows; the ranges ascend.
    pub(super) fn select(&self, rows: impl IntoIterator<Item = RangeInclusive<Row>>) -> Selected {
        let ranges = rows.into_iter().map(|rows| rows.start().0 as usize..rows.end().0 as usize + 1);
        Selected::Some(RowSelection::from_consecutive_ranges(ranges, self.index.rows() as usize))
    }
}
