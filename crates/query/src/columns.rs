//! The columns of the table `events`, and how each comes from what is stored.
//!
//! Stored rows arrive with the columns of a part. Most are handed on as they are; an event id becomes text, and a
//! payload becomes text where it is JSON, so that it can be looked into.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
    StringBuilder,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chronos_domain::{EventId, is_json};

/// The columns, in the order of `SELECT *`.
pub(crate) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let tag = Field::new_list_field(DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new("partition", DataType::Int32, false),
            Field::new("position", DataType::Int64, false),
            Field::new("version", DataType::Int64, false),
            Field::new("event_id", DataType::Utf8, false),
            Field::new("entity_id", DataType::Utf8, false),
            Field::new("event_type", DataType::Utf8, false),
            Field::new("content_type", DataType::Utf8, false),
            Field::new("payload", DataType::Utf8, true),
            Field::new("payload_bytes", DataType::Binary, true),
            Field::new("metadata", DataType::Utf8, true),
            Field::new("tags", DataType::List(Arc::new(tag)), true),
            Field::new("occurred_at", time(), true),
            Field::new("recorded_at", time(), false),
            Field::new("erased", DataType::Boolean, false),
        ]))
    });
    SCHEMA.clone()
}

/// The stored columns that `wanted` ones are made of, each once, and at least one, so that rows can be counted.
pub(crate) fn stored(wanted: &Schema) -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in wanted.fields() {
        let sources: &[&'static str] = match field.name().as_str() {
            "payload" => &["payload", "content_type", "erased"],
            "payload_bytes" => &["payload", "erased"],
            other => &[same(other)],
        };
        for source in sources {
            if !names.contains(source) {
                names.push(source);
            }
        }
    }
    if names.is_empty() {
        names.push("position");
    }
    names
}

/// The stored column of the same name.
fn same(name: &str) -> &'static str {
    const SAME: [&str; 12] = [
        "partition",
        "position",
        "version",
        "event_id",
        "entity_id",
        "event_type",
        "content_type",
        "metadata",
        "tags",
        "occurred_at",
        "recorded_at",
        "erased",
    ];
    SAME.into_iter().find(|same| *same == name).expect("every other column is stored under its own name")
}

/// Stored rows with the columns of `wanted`, in its order.
pub(crate) fn shape(batch: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = wanted.fields().iter().map(|field| column(batch, field)).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(wanted.clone(), columns, &options)
}

/// The schema with a name of its own for every column, so that rows can be objects: of two columns `version`, the
/// second is `version_2`.
pub(crate) fn told_apart(schema: &SchemaRef) -> SchemaRef {
    let mut taken: BTreeSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if taken.len() == schema.fields().len() {
        return schema.clone();
    }
    let mut seen = BTreeSet::new();
    let mut own = |field: &FieldRef| {
        if seen.insert(field.name().clone()) {
            return field.as_ref().clone();
        }
        let names = (2..).map(|number| format!("{}_{number}", field.name()));
        let free = names.into_iter().find(|name| !taken.contains(name)).expect("numbers do not end");
        taken.insert(free.clone());
        field.as_ref().clone().with_name(free)
    };
    Arc::new(Schema::new(schema.fields().iter().map(&mut own).collect::<Vec<_>>()))
}

/// The same rows under the names of `schema`.
pub(crate) fn named(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
}

fn column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef, ArrowError> {
    match field.name().as_str() {
        "event_id" => Ok(Arc::new(uuid_text(stored_column(batch, "event_id")?)?)),
        "payload" => json_text(batch),
        "payload_bytes" => nullif(&bytes(batch)?, erased(batch)?.as_boolean()),
        other => as_type(stored_column(batch, other)?, field.data_type()),
    }
}

fn stored_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| ArrowError::SchemaError(format!("stored rows come without the column {name}")))
}

fn as_type(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted { Ok(array.clone()) } else { cast(array, wanted) }
}

fn erased(batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    as_type(stored_column(batch, "erased")?, &DataType::Boolean)
}

fn bytes(batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    as_type(stored_column(batch, "payload")?, &DataType::Binary)
}

fn uuid_text(ids: &ArrayRef) -> Result<StringArray, ArrowError> {
    let ids = ids
        .as_fixed_size_binary_opt()
        .ok_or_else(|| ArrowError::SchemaError("stored event ids are not 16 bytes each".to_owned()))?;
    let mut text = StringBuilder::with_capacity(ids.len(), ids.len() * 36);
    for id in ids {
        let id = id.and_then(|id| id.try_into().ok()).map(EventId::from_bytes).unwrap_or(EventId::NIL);
        write!(text, "{id}").expect("a builder takes every text");
        text.append_value("");
    }
    Ok(text.finish())
}

/// Payloads as text; `NULL` where they are not JSON text, or erased.
fn json_text(batch: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let bytes = bytes(batch)?;
    let erased = erased(batch)?;
    let forms = as_type(stored_column(batch, "content_type")?, &DataType::Utf8)?;
    let text = text_rows(forms.as_string(), erased.as_boolean());
    let bytes = bytes.as_binary::<i32>();
    let nulls = NullBuffer::union(bytes.nulls(), Some(&text));
    // Almost always everything is UTF-8, and then not a byte is copied.
    let whole = StringArray::try_new(bytes.offsets().clone(), bytes.values().clone(), nulls.clone());
    Ok(Arc::new(whole.unwrap_or_else(|_| row_by_row(bytes, nulls.as_ref()))))
}

/// Which rows hold JSON. Neighbours mostly have the same content type, so it is judged once per change.
fn text_rows(forms: &StringArray, erased: &BooleanArray) -> NullBuffer {
    let mut last = ("", false);
    let rows = forms.iter().zip(erased).map(|(form, erased)| {
        let form = form.unwrap_or_default();
        if form != last.0 {
            last = (form, is_json(form));
        }
        last.1 && erased != Some(true)
    });
    NullBuffer::from_iter(rows)
}

fn row_by_row(bytes: &BinaryArray, nulls: Option<&NullBuffer>) -> StringArray {
    let wanted = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    let rows = (0..bytes.len()).map(|row| wanted(row).then(|| bytes.value(row)));
    rows.map(|row| row.and_then(|bytes| std::str::from_utf8(bytes).ok())).collect()
}
