//! Standard output: tables for people, one JSON object a line for machines.

pub(crate) mod events;

use std::io::{self, BufWriter, Stdout, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::table::Table;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// One object a line.
    Json,
}

/// Buffered standard output. [`Out::finish`] it, or the end may be missing.
pub(crate) struct Out {
    pub(crate) format: Format,
    writer: BufWriter<Stdout>,
}

impl Out {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, writer: BufWriter::with_capacity(1 << 16, io::stdout()) }
    }

    /// One line of text.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Outcome {
        writeln!(self.writer, "{}", line.as_ref()).map_err(|e| Failure::output(&e))
    }

    /// One object, on a line of its own.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome {
        let written = serde_json::to_writer(&mut self.writer, object).map_err(io::Error::from);
        written.and_then(|()| self.writer.write_all(b"\n")).map_err(|e| Failure::output(&e))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.writer.write_all(bytes).map_err(|e| Failure::output(&e))
    }

    pub(crate) fn table(&mut self, table: &Table) -> Outcome {
        self.bytes(table.render().as_bytes())
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.writer.flush().map_err(|e| Failure::output(&e))
    }

    /// Hands everything to the reader.
    pub(crate) fn finish(mut self) -> Outcome {
        self.flush()
    }
}
