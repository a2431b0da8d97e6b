//! How many bytes values take, one by one, however the buffers behind them are shared.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;

/// What a value takes beside its own bytes.
pub(super) const VALUE_BYTES: usize = 16;

/// The elements of the list at a row.
pub(super) fn items(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(_, _) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// What one value takes.
pub(super) fn of_value(array: &dyn Array, row: usize) -> usize {
    if array.is_null(row) {
        return VALUE_BYTES;
    }
    VALUE_BYTES
        + match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_length(row) as usize,
            DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as usize,
            DataType::Utf8View => array.as_string_view().value(row).len(),
            DataType::Binary => array.as_binary::<i32>().value_length(row) as usize,
            DataType::LargeBinary => array.as_binary::<i64>().value_length(row) as usize,
            DataType::BinaryView => array.as_binary_view().value(row).len(),
            DataType::Struct(_) => array.as_struct().columns().iter().map(|field| of_value(field, row)).sum(),
            DataType::Map(_, _) => of_column(&array.as_map().value(row)),
            _ => items(array, row).map_or(0, |items| of_column(items.as_ref())),
        }
}

/// What all values of a column take.
pub(super) fn of_column(array: &dyn Array) -> usize {
    (0..array.len()).map(|row| of_value(array, row)).sum()
}
