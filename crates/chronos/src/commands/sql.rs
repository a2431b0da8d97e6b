//! `chronos sql`

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::json::LineDelimitedWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chronos_client::{Answer, Moment, Query, QueryStats};
use clap::{Args, ValueEnum};

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::{self, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Table events: partition, position, version, event_id, entity_id, event_type, content_type, payload (JSON text), \
payload_bytes, metadata (JSON text), tags, occurred_at, recorded_at, erased
Views: events_per_type_and_hour, entity_counts, recent_changes
JSON: payload ->> 'status', payload -> 'lines' -> 0 ->> 'sku', json_get_int(payload, 'lines', 0, 'qty'), \
json_get_str, json_get_float, json_get_bool, json_get_json, json_as_text, json_contains

Written as for PostgreSQL; nothing can be changed by it. EXPLAIN runs the query and shows its plan, and what was read \
against what was returned.

Examples:
  chronos sql \"SELECT event_type, count(*) AS events FROM events GROUP BY event_type ORDER BY events DESC\"
  chronos sql \"SELECT version, payload ->> 'status' AS status FROM events WHERE entity_id = 'order-7'\"
  chronos sql \"SELECT * FROM recent_changes LIMIT 20\" --format json
  chronos sql \"SELECT * FROM entity_counts ORDER BY events DESC LIMIT 10\" --as-of 2024-05-01T12:00:00Z
  chronos sql \"EXPLAIN SELECT * FROM events WHERE entity_id = 'order-7'\"
  chronos sql \"DESCRIBE events\"";

/// Ask in SQL over all events, now or as of any moment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sql {
    /// The question
    #[arg(value_name = "QUERY")]
    sql: String,
    /// Ask about what the store knew then: a time or a token
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of)]
    as_of: Option<Moment>,
    /// How rows are printed; as --output says when left out
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Rows of the answer; more are an error [default: 100000]
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    /// How long answering may take, such as 5s or 500ms; --timeout bounds it, too [default: as --timeout says, and what the
    /// server allows]
    #[arg(long, value_name = "TIME", value_parser = moment::parse_duration)]
    max_time: Option<Duration>,
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns; long values are shortened.
    Table,
    /// One object a line.
    Json,
    /// RFC 4180, with a heading; NULL is an empty field.
    Csv,
}

impl Sql {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let format = self.format.unwrap_or(match context.output {
            output::Format::Table => Format::Table,
            output::Format::Json => Format::Json,
        });
        let mut answer = Connection::open(context).await?.query(self.query(context)).await?;
        let mut printer = Printer::new(format, Out::new(context.output));
        let mut decoder = StreamDecoder::new();
        while let Some(bytes) = answer.next().await.map_err(|error| Failure::from(&error))? {
            let mut bytes = Buffer::from(bytes);
            while let Some(batch) = decoder.decode(&mut bytes).map_err(|error| unreadable(&error))? {
                printer.rows(&batch)?;
            }
        }
        printer.end(decoder.schema())?;
        if format == Format::Table {
            tell(&answer);
        }
        Ok(())
    }

    fn query(self, context: &Context) -> Query {
        let mut query = Query::sql(self.sql);
        if let Some(moment) = self.as_of {
            query = query.as_of(moment);
        }
        if let Some(rows) = self.max_rows {
            query = query.rows(rows);
        }
        // Who says nothing about requests at large means what is said about the question.
        let most = context.asked_timeout().unwrap_or(Duration::MAX);
        match self.max_time {
            Some(time) => query.time(time.min(most)),
            None => query,
        }
    }
}

/// Rows on their way to standard output.
struct Printer {
    out: Out,
    shape: Shape,
}

enum Shape {
    /// As wide as the widest value, so all rows are needed before the first is printed.
    Table(Vec<Vec<String>>),
    Json,
    /// Whether the heading has been printed.
    Csv(bool),
}

/// The widest value of a table, but in its last column; what is longer is for the other formats.
const WIDTH_MAX: usize = 100;
/// The widest value of a table's last column.
const LAST_WIDTH_MAX: usize = 400;

impl Printer {
    fn new(format: Format, out: Out) -> Self {
        let shape = match format {
            Format::Table => Shape::Table(Vec::new()),
            Format::Json => Shape::Json,
            Format::Csv => Shape::Csv(false),
        };
        Self { out, shape }
    }

    fn rows(&mut self, batch: &RecordBatch) -> Outcome {
        match &mut self.shape {
            Shape::Table(rows) => {
                rows.extend(values(batch, "NULL")?.iter().map(|row| short_row(row)));
                Ok(())
            }
            Shape::Json => self.out.bytes(&objects(batch).map_err(|error| unreadable(&error))?),
            Shape::Csv(begun) => {
                if !std::mem::replace(begun, true) {
                    self.out.line(csv(&names(&batch.schema())))?;
                }
                values(batch, "")?.iter().try_for_each(|row| self.out.line(csv(row)))
            }
        }
    }

    /// Prints what is left; `schema` is known even where there was no row.
    fn end(mut self, schema: Option<SchemaRef>) -> Outcome {
        match (&self.shape, schema) {
            (Shape::Table(rows), Some(schema)) => {
                let names = names(&schema);
                let aligned = names.iter().zip(schema.fields());
                let columns: Vec<(&str, Align)> =
                    aligned.map(|(name, field)| (name.as_str(), align(field.data_type()))).collect();
                let mut table = Table::new(&columns);
                rows.iter().for_each(|row| table.row(row.clone()));
                self.out.table(&table)?;
            }
            (Shape::Csv(false), Some(schema)) => self.out.line(csv(&names(&schema)))?,
            _ => {}
        }
        self.out.finish()
    }
}

fn names(schema: &SchemaRef) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

/// Every value of a batch as text.
fn values(batch: &RecordBatch, null: &str) -> Outcome<Vec<Vec<String>>> {
    let options = FormatOptions::new().with_null(null);
    let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
    let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The rows as objects, one a line.
fn objects(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn csv(values: &[String]) -> String {
    let quoted = values.iter().map(|value| match value.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.clone(),
    });
    quoted.collect::<Vec<_>>().join(",")
}

/// The values of a row, as far as a table has room for them.
fn short_row(row: &[String]) -> Vec<String> {
    let last = row.len().saturating_sub(1);
    let width = |column| if column == last { LAST_WIDTH_MAX } else { WIDTH_MAX };
    row.iter().enumerate().map(|(column, value)| short(value, width(column))).collect()
}

/// The value on one line of at most so many characters.
fn short(value: &str, width: usize) -> String {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(width + 1).collect();
    if line.chars().count() <= width {
        return line;
    }
    line.chars().take(width - 1).chain(['…']).collect()
}

fn align(values: &DataType) -> Align {
    if values.is_numeric() { Align::Right } else { Align::Left }
}

/// What answering has cost, beside the data.
fn tell(answer: &Answer) {
    let Some(stats) = answer.stats() else { return };
    let QueryStats { files, files_read, .. } = stats;
    let (returned, took) = (rows(stats.rows_returned), stats.time.as_millis());
    let read = rows(stats.file_rows_read + stats.tail_rows_read + stats.id_rows_read);
    eprintln!("{returned} in {took} ms; read {read} from {files_read} of {files} files and the tail");
}

fn rows(number: u64) -> String {
    if number == 1 { "1 row".to_owned() } else { format!("{} rows", grouped(number)) }
}

fn unreadable(error: &ArrowError) -> Failure {
    Failure::failed(format!("the server's answer cannot be read: {error}; see that it has the same release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_would_break_a_line() {
        let values = ["plain", "a,b", "say \"hi\"", "two\nlines", ""].map(str::to_owned);
        assert_eq!(csv(&values), "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",");
    }

    #[test]
    fn a_table_shortens_long_values_and_keeps_them_on_one_line() {
        assert_eq!(short("a\nb\tc", 5), "a b c");
        assert_eq!(short("ééééé", 4), "ééé…");
        assert_eq!(short("éééé", 4), "éééé");
        let long = "x".repeat(500);
        let lengths: Vec<_> = short_row(&[long.clone(), long]).iter().map(|v| v.chars().count()).collect();
        assert_eq!(lengths, [WIDTH_MAX, LAST_WIDTH_MAX]);
    }
}
