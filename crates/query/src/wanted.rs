//! Which events a question can need, as far as its conditions say so plainly.
//!
//! A [`Wanted`] is a superset: every event that passes the conditions it was made of is in it, and some more may be.
//! So nothing is lost by reading only what is wanted, and the conditions themselves are checked again on what was
//! read. A condition that it cannot express wants everything.

mod running;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use chronos_domain::{EventId, PartitionId, place};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// What events must be like to be needed. A field that is `None` asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) event_ids: Option<BTreeSet<String>>,
    pub(crate) entities: Option<BTreeSet<String>>,
    pub(crate) types: Option<BTreeSet<String>>,
    pub(crate) partitions: Option<Span>,
    pub(crate) positions: Option<Span>,
    /// Microseconds since the epoch.
    pub(crate) recorded: Option<Span>,
}

/// Between which numbers all events of a stretch lie.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) partitions: RangeInclusive<i64>,
    pub(crate) positions: RangeInclusive<i64>,
    /// Microseconds since the epoch.
    pub(crate) recorded: RangeInclusive<i64>,
}

/// Whole numbers from one to another, both included; empty when the first is the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    const EMPTY: Span = Span { from: i64::MAX, to: i64::MIN };

    fn is_empty(self) -> bool {
        self.from > self.to
    }

    fn both(self, other: Span) -> Span {
        Span { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// The smallest span that holds both.
    fn either(self, other: Span) -> Span {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Span { from: self.from.min(other.from), to: self.to.max(other.to) },
        }
    }

    /// Whether it has a number in common with another range.
    pub(crate) fn meets(self, other: &RangeInclusive<i64>) -> bool {
        self.from <= *other.end() && self.to >= *other.start()
    }
}

impl Wanted {
    /// What passes all of `conditions`.
    pub(crate) fn all_of(conditions: &[Expr]) -> Wanted {
        conditions.iter().map(Wanted::of).fold(Wanted::default(), Wanted::both)
    }

    /// What passes `condition`.
    pub(crate) fn of(condition: &Expr) -> Wanted {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Wanted::of(left).both(Wanted::of(right))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Wanted::of(left).either(Wanted::of(right))
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => comparison(left, *op, right)
                .or_else(|| comparison(right, op.swap()?, left))
                .unwrap_or_default(),
            Expr::InList(InList { expr, list, negated: false }) => {
                let each = list.iter().map(|value| comparison(expr, Operator::Eq, value).unwrap_or_default());
                each.reduce(Wanted::either).unwrap_or_default()
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let from = comparison(expr, Operator::GtEq, low).unwrap_or_default();
                from.both(comparison(expr, Operator::LtEq, high).unwrap_or_default())
            }
            Expr::IsNull(column) => missing(column).unwrap_or_default(),
            _ => Wanted::default(),
        }
    }

    /// Whether an event from `extent` can be wanted.
    pub(crate) fn may_be_within(&self, extent: &Extent) -> bool {
        let meets =
            |span: Option<Span>, range: &RangeInclusive<i64>| span.is_none_or(|span| span.meets(range));
        meets(self.partitions, &extent.partitions)
            && meets(self.positions, &extent.positions)
            && meets(self.recorded, &extent.recorded)
    }

    /// Whether it rules anything out.
    pub(crate) fn is_narrow(&self) -> bool {
        *self != Wanted::default()
    }

    /// Whether an event of `partition` can be wanted.
    pub(crate) fn may_be_in(&self, tenant: &str, partition: PartitionId) -> bool {
        let number = i64::from(partition.get());
        let homes = |entities: &BTreeSet<String>| entities.iter().any(|id| place(tenant, id) == partition);
        self.partitions.is_none_or(|span| span.meets(&(number..=number)))
            && self.entities.as_ref().is_none_or(homes)
    }

    /// The wanted event ids, if they are what the question names. What is not an event id is nobody's.
    pub(crate) fn ids(&self) -> Option<Vec<EventId>> {
        let ids = self.event_ids.as_ref()?;
        // Stored ids are written in one way only, so another spelling equals none of them.
        let parsed =
            ids.iter().filter_map(|text| EventId::parse(text).ok().filter(|id| id.to_string() == *text));
        Some(parsed.collect())
    }

    fn both(self, other: Wanted) -> Wanted {
        Wanted {
            event_ids: both(self.event_ids, other.event_ids, |a, b| &a & &b),
            entities: both(self.entities, other.entities, |a, b| &a & &b),
            types: both(self.types, other.types, |a, b| &a & &b),
            partitions: both(self.partitions, other.partitions, Span::both),
            positions: both(self.positions, other.positions, Span::both),
            recorded: both(self.recorded, other.recorded, Span::both),
        }
    }

    fn either(self, other: Wanted) -> Wanted {
        Wanted {
            event_ids: either(self.event_ids, other.event_ids, |a, b| &a | &b),
            entities: either(self.entities, other.entities, |a, b| &a | &b),
            types: either(self.types, other.types, |a, b| &a | &b),
            partitions: either(self.partitions, other.partitions, Span::either),
            positions: either(self.positions, other.positions, Span::either),
            recorded: either(self.recorded, other.recorded, Span::either),
        }
    }
}

/// As it stands in a plan: `, entity_id in {a, b}`.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            [("event_id", &self.event_ids), ("entity_id", &self.entities), ("event_type", &self.types)];
        for (name, words) in words {
            match words {
                Some(words) if words.len() > SHOWN_MAX => write!(f, ", {name} in {} values", words.len())?,
                Some(words) => write!(f, ", {name} in {words:?}")?,
                None => {}
            }
        }
        let spans =
            [("partition", self.partitions), ("position", self.positions), ("recorded_at", self.recorded)];
        for (name, span) in spans {
            let Some(span) = span else { continue };
            write!(f, ", {name} in {}", span)?;
        }
        Ok(())
    }
}

/// So many values are written out in a plan.
const SHOWN_MAX: usize = 4;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |number: i64| match number {
            i64::MIN | i64::MAX => String::new(),
            number => number.to_string(),
        };
        match self.is_empty() {
            true => write!(f, "nothing"),
            false => write!(f, "{}..={}", end(self.from), end(self.to)),
        }
    }
}

fn both<T>(a: Option<T>, b: Option<T>, meet: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(meet(a, b)),
        (a, b) => a.or(b),
    }
}

fn either<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    Some(join(a?, b?))
}

/// What passes `column op literal`; `None` when it is not that, or not of a column that matters here.
fn comparison(column: &Expr, op: Operator, literal: &Expr) -> Option<Wanted> {
    let Expr::Literal(value, _) = literal else { return None };
    let (name, cast) = column_name(column)?;
    let mut wanted = Wanted::default();
    match name {
        "event_id" => wanted.event_ids = Some(words(op, value)?),
        "entity_id" => wanted.entities = Some(words(op, value)?),
        "event_type" => wanted.types = Some(words(op, value)?),
        "partition" if cast.is_none_or(DataType::is_integer) => wanted.partitions = Some(numbers(op, value)?),
        "position" if cast.is_none_or(DataType::is_integer) => wanted.positions = Some(numbers(op, value)?),
        "recorded_at" if cast.is_none_or(keeps_moments) => wanted.recorded = Some(moments(op, value)?),
        _ => return None,
    }
    Some(wanted)
}

/// What passes `column IS NULL`: nothing, of a column that every event has.
fn missing(column: &Expr) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    match column_name(column)?.0 {
        "partition" => wanted.partitions = Some(Span::EMPTY),
        "position" => wanted.positions = Some(Span::EMPTY),
        "recorded_at" => wanted.recorded = Some(Span::EMPTY),
        _ => return None,
    }
    Some(wanted)
}

/// The column behind an expression, and the type it is compared as, if that is another than its own.
fn column_name(expr: &Expr) -> Option<(&str, Option<&DataType>)> {
    match expr {
        Expr::Column(column) => Some((column.name.as_str(), None)),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => Some((column.name.as_str(), Some(cast.field.data_type()))),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a moment compared as this type is still the moment, and not the second or the day it lies in.
fn keeps_moments(compared_as: &DataType) -> bool {
    matches!(compared_as, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _))
}

/// Texts that pass; only equality narrows.
fn words(op: Operator, value: &ScalarValue) -> Option<BTreeSet<String>> {
    match (op, value) {
        (
            Operator::Eq,
            ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text),
        ) => Some(text.iter().cloned().collect()),
        _ => None,
    }
}

fn numbers(op: Operator, value: &ScalarValue) -> Option<Span> {
    if value.is_null() {
        return Some(Span::EMPTY);
    }
    let ScalarValue::Int64(Some(number)) = value.cast_to(&DataType::Int64).ok()? else { return None };
    // A number with a fraction would be cut by the cast; such a comparison is left to be checked on the rows.
    value.data_type().is_integer().then(|| span(op, number, number)).flatten()
}

/// Moments that pass, compared in whatever unit: a finer one is widened to whole microseconds.
fn moments(op: Operator, value: &ScalarValue) -> Option<Span> {
    let (number, unit) = match value {
        ScalarValue::TimestampSecond(number, _) => (number, TimeUnit::Second),
        ScalarValue::TimestampMillisecond(number, _) => (number, TimeUnit::Millisecond),
        ScalarValue::TimestampMicrosecond(number, _) => (number, TimeUnit::Microsecond),
        ScalarValue::TimestampNanosecond(number, _) => (number, TimeUnit::Nanosecond),
        _ => return None,
    };
    let Some(number) = *number else { return Some(Span::EMPTY) };
    let (low, high) = match unit {
        TimeUnit::Second => (number.checked_mul(1_000_000)?, number.checked_mul(1_000_000)?),
        TimeUnit::Millisecond => (number.checked_mul(1000)?, number.checked_mul(1000)?),
        TimeUnit::Microsecond => (number, number),
        TimeUnit::Nanosecond => (number.div_euclid(1000), number.div_euclid(1000) + 1),
    };
    span(op, low, high)
}

/// Numbers that pass a comparison with one that lies between `low` and `high`.
fn span(op: Operator, low: i64, high: i64) -> Option<Span> {
    let exact = low == high;
    match op {
        Operator::Eq => Some(Span { from: low, to: high }),
        Operator::Lt if exact => {
            Some(low.checked_sub(1).map_or(Span::EMPTY, |to| Span { from: i64::MIN, to }))
        }
        Operator::Gt if exact => {
            Some(high.checked_add(1).map_or(Span::EMPTY, |from| Span { from, to: i64::MAX }))
        }
        Operator::Lt | Operator::LtEq => Some(Span { from: i64::MIN, to: high }),
        Operator::Gt | Operator::GtEq => Some(Span { from: low, to: i64::MAX }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
