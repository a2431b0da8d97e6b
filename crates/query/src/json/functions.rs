//! The functions themselves, each over a whole column at once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::path::{Step, find};

/// What a function makes of the value that it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// A string's characters; of other kinds nothing.
    Str,
    /// A whole number that fits 64 bits.
    Int,
    /// Any number.
    Float,
    /// `true` or `false`.
    Bool,
    /// The value as JSON text.
    Json,
    /// A string's characters, and any other value but `null` as JSON text.
    Text,
    /// Whether there is a value.
    Contains,
}

impl Reading {
    const ALL: [Reading; 7] = [
        Reading::Str,
        Reading::Int,
        Reading::Float,
        Reading::Bool,
        Reading::Json,
        Reading::Text,
        Reading::Contains,
    ];

    const fn name(self) -> &'static str {
        match self {
            Reading::Str => "json_get_str",
            Reading::Int => "json_get_int",
            Reading::Float => "json_get_float",
            Reading::Bool => "json_get_bool",
            Reading::Json => "json_get_json",
            Reading::Text => "json_as_text",
            Reading::Contains => "json_contains",
        }
    }

    const fn gives(self) -> DataType {
        match self {
            Reading::Str | Reading::Json | Reading::Text => DataType::Utf8,
            Reading::Int => DataType::Int64,
            Reading::Float => DataType::Float64,
            Reading::Bool | Reading::Contains => DataType::Boolean,
        }
    }
}

/// One function of the family.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Get {
    reading: Reading,
    signature: Signature,
}

/// All functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    Reading::ALL.into_iter().map(function).collect()
}

pub(super) fn function(reading: Reading) -> Arc<ScalarUDF> {
    let signature = Signature::variadic_any(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Get { reading, signature }))
}

impl Get {
    pub(super) const fn reading(&self) -> Reading {
        self.reading
    }
}

impl ScalarUDFImpl for Get {
    fn name(&self) -> &str {
        self.reading.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let name = self.name();
        match arguments.split_first() {
            None => plan_err!("{name} needs JSON text and then the steps of a path"),
            Some((text, _)) if !is_text(text) => {
                plan_err!("{name} looks into JSON text, and its first argument is {text}")
            }
            Some((_, path)) => match path.iter().find(|step| !is_text(step) && !step.is_integer()) {
                Some(step) => plan_err!("{name} goes by names and whole numbers, and one step is {step}"),
                None => Ok(self.reading.gives()),
            },
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let scalar = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let mut arguments = arguments.args.into_iter();
        let Some(text) = arguments.next() else { return exec_err!("{} without arguments", self.name()) };
        let path = arguments.map(PathStep::of).collect::<Result<Vec<_>>>()?;
        let text = cast(&text.into_array(if scalar { 1 } else { rows })?, &DataType::Utf8)?;
        let found = read(self.reading, text.as_string(), &path);
        match scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)),
            false => Ok(ColumnarValue::Array(found)),
        }
    }
}

fn is_text(data: &DataType) -> bool {
    matches!(data, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

/// One step of the paths of all rows: mostly the same for each.
enum PathStep {
    Names(StringArray, Same),
    Numbers(Int64Array, Same),
}

/// Whether a step is the same in every row, and then stands in row 0.
#[derive(Clone, Copy)]
enum Same {
    InEveryRow,
    No,
}

impl Same {
    const fn row(self, row: usize) -> usize {
        match self {
            Same::InEveryRow => 0,
            Same::No => row,
        }
    }
}

impl PathStep {
    fn of(argument: ColumnarValue) -> Result<PathStep> {
        let (array, same) = match argument {
            ColumnarValue::Scalar(value) => (value.to_array()?, Same::InEveryRow),
            ColumnarValue::Array(array) => (array, Same::No),
        };
        Ok(match array.data_type().is_integer() {
            true => {
                PathStep::Numbers(cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), same)
            }
            false => PathStep::Names(cast(&array, &DataType::Utf8)?.as_string().clone(), same),
        })
    }

    /// The step of one row; `None` where it is `NULL`, or a number that no item has.
    fn at(&self, row: usize) -> Option<Step<'_>> {
        match self {
            PathStep::Names(names, same) => {
                let row = same.row(row);
                names.is_valid(row).then(|| Step::Member(names.value(row)))
            }
            PathStep::Numbers(numbers, same) => {
                let row = same.row(row);
                numbers
                    .is_valid(row)
                    .then(|| u64::try_from(numbers.value(row)).ok().map(Step::Item))
                    .flatten()
            }
        }
    }
}

fn read(reading: Reading, texts: &StringArray, path: &[PathStep]) -> ArrayRef {
    let mut steps = Vec::with_capacity(path.len());
    let mut found = |row: usize| {
        steps.clear();
        for step in path {
            steps.push(step.at(row)?);
        }
        texts.is_valid(row).then(|| texts.value(row)).and_then(|text| find(text, &steps))
    };
    let rows = 0..texts.len();
    match reading {
        Reading::Str => Arc::new(rows.map(|row| found(row).and_then(string)).collect::<StringArray>()),
        Reading::Int => Arc::new(rows.map(|row| found(row)?.parse().ok()).collect::<Int64Array>()),
        Reading::Float => Arc::new(rows.map(|row| number(found(row)?)).collect::<Float64Array>()),
        Reading::Bool => Arc::new(rows.map(|row| found(row)?.parse().ok()).collect::<BooleanArray>()),
        Reading::Json => Arc::new(rows.map(found).collect::<StringArray>()),
        Reading::Text => Arc::new(rows.map(|row| found(row).and_then(text)).collect::<StringArray>()),
        Reading::Contains => {
            let held = |row| texts.is_valid(row).then(|| found(row).is_some());
            Arc::new(rows.map(held).collect::<BooleanArray>())
        }
    }
}

fn string(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten()
}

/// A JSON number; Rust reads words such as `inf` too, which JSON has not.
fn number(json: &str) -> Option<f64> {
    let digits = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    digits.then(|| json.parse().ok()).flatten()
}

fn text(json: &str) -> Option<String> {
    match json {
        "null" => None,
        json => string(json).or_else(|| Some(json.to_owned())),
    }
}
