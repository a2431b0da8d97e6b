//! The Parquet file of a part, as it is written.

use std::io;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;

use super::settings::{self, Plan};
use crate::checked::{FileWriter, Identity, Summed, Sums};
use crate::schema::{parquet_schema, schema};

/// Writes row groups, each by a plan of its own, into a new file.
pub(crate) struct ParquetWriter {
    file: SerializedFileWriter<Summed<FileWriter>>,
}

impl ParquetWriter {
    pub(crate) fn new(out: FileWriter, identity: Identity) -> io::Result<ParquetWriter> {
        let root = parquet_schema().root_schema_ptr();
        let file = SerializedFileWriter::new(Summed::new(out, identity), root, Arc::new(settings::file()));
        Ok(ParquetWriter { file: file.map_err(into_io)? })
    }

    /// Writes a row group. The rows of one page are handed over at once, so that every column's page ends after them.
    pub(crate) fn write(&mut self, batch: &RecordBatch, plan: &Plan) -> io::Result<()> {
        self.write_columns(batch, plan).map_err(into_io)
    }

    fn write_columns(&mut self, batch: &RecordBatch, plan: &Plan) -> Result<(), ParquetError> {
        let writers = factory(plan)?.create_column_writers(0)?;
        let mut group = self.file.next_row_group()?;
        for ((field, column), mut writer) in schema().fields().iter().zip(batch.columns()).zip(writers) {
            for page in pages(column, plan.page_rows()) {
                for leaf in compute_leaves(field, &page)? {
                    writer.write(&leaf)?;
                }
            }
            writer.close()?.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the footer. The file is complete, and durable after [`FileWriter::sync`].
    pub(crate) fn finish(self) -> io::Result<(FileWriter, Sums)> {
        Ok(self.file.into_inner().map_err(into_io)?.finish())
    }
}

fn pages(column: &ArrayRef, rows: usize) -> impl Iterator<Item = ArrayRef> {
    let all = column.len();
    (0..all).step_by(rows).map(move |at| column.slice(at, rows.min(all - at)))
}

/// Makes column writers with the plan's settings: those of a file are for all its row groups, so they are borrowed from
/// a file that nobody keeps.
fn factory(plan: &Plan) -> Result<ArrowRowGroupWriterFactory, ParquetError> {
    let root = parquet_schema().root_schema_ptr();
    let nowhere = SerializedFileWriter::new(io::sink(), root, Arc::new(plan.properties()))?;
    Ok(ArrowRowGroupWriterFactory::new(&nowhere, schema()))
}

/// What the disk said, or else what the encoder could not do.
fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        other => io::Error::other(other),
    }
}
