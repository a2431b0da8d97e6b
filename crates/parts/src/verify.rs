//! Whether a part is what its manifest says it is.
//!
//! Every byte of both files passes through SHA-256, every row is decoded, and everything that can be computed from the
//! rows is computed anew and compared: the chain and where it was written down, the counts, the index.

use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use chronos_domain::Position;
use chronos_env::Disk;

use crate::checked::{FileKind, Identity, Summer, Sums, open_exact, read_whole};
use crate::columns::Columns;
use crate::fault::Fault;
use crate::index::{Built, IndexBuilder};
use crate::meta::FileMeta;
use crate::part::{Part, READ_ROWS};
use crate::schema::Column;
use crate::write::{CHAIN_ROWS, Summary, index_row, leaf_of_row, weigh};

/// What a complete pass over a part has seen. Nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were decoded and checked.
    pub rows: u64,
    /// Bytes of both files.
    pub bytes: u64,
}

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;

impl Part {
    /// Reads all of both files and checks everything that is known about them. `pace` is told the bytes of each step
    /// after it, and may wait.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with the file and what is wrong; [`Fault::Io`] when the system cannot read.
    pub fn verify(&self, pace: &mut dyn FnMut(u64)) -> Result<Verified, Fault> {
        let parquet = self.verify_files(pace)?;
        let index = IndexBuilder::new(self.partition, self.meta.first);
        let index = self.verify_rows(Some(index))?.expect("the builder is given back");
        let page_rows = self.index.page_rows();
        let (_, built) = index.finish(&parquet, page_rows, io::sink())?;
        if built.file != self.meta.index || built.tail != self.meta.index_tail {
            let what = "it is not the index that the rows of its part have";
            return Err(Fault::corrupt(&self.files.index, None, what));
        }
        Ok(Verified { rows: self.meta.rows(), bytes: self.meta.bytes() })
    }

    /// The same of a part that was just written, but does not build the index anew: the rows that are read back have
    /// the chain of the rows it was built from, and its file has the hash of what was built.
    pub(crate) fn verify_written(&self) -> Result<(), Fault> {
        self.verify_files(&mut |_| ())?;
        self.verify_rows(None)?;
        Ok(())
    }

    /// Both files are, as a whole, those that the manifest names.
    fn verify_files(&self, pace: &mut dyn FnMut(u64)) -> Result<Sums, Fault> {
        let mut sums = |path: &Path, kind, meta: FileMeta| {
            let identity = Identity::new(self.partition, self.meta.first, kind);
            sum(self.disk.as_ref(), path, identity, meta, pace)
        };
        let parquet = sums(&self.files.parquet, FileKind::Parquet, self.meta.parquet)?;
        sums(&self.files.index, FileKind::Index, self.meta.index)?;
        if parquet.blocks[..] != self.index.parquet_sums()[..] {
            return Err(Fault::corrupt(
                &self.files.index,
                None,
                "its sums of the Parquet file are not right",
            ));
        }
        Ok(parquet)
    }

    /// The rows are what the manifest says of them. Tells them to `index`, if there is one.
    fn verify_rows(&self, index: Option<IndexBuilder>) -> Result<Option<IndexBuilder>, Fault> {
        let mut check =
            Check { part: self, rows: Summary::new(self.meta.first, self.meta.chain_before), index };
        for batch in self.parquet.batches(&Column::ALL, None, READ_ROWS)? {
            check.batch(&batch?)?;
        }
        check.finish()
    }
}

/// Everything that is computed anew from the rows.
struct Check<'p> {
    part: &'p Part,
    rows: Summary,
    index: Option<IndexBuilder>,
}

impl Check<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let columns = Columns::of(batch);
        let mut tags = Vec::new();
        for row in 0..columns.rows() {
            self.numbers(&columns, row)?;
            let fields = columns.fields(row, self.part.partition, &mut tags);
            let (erased, leaf) = (columns.is_erased(row), leaf_of_row(&columns, row, &fields));
            let raw = weigh(&fields, erased).raw;
            self.rows.add(&fields, leaf, raw, erased);
            if let Some(index) = &mut self.index {
                index.push(&index_row(&fields, leaf, raw, erased));
            }
            self.chain(&columns, row, fields.position)?;
        }
        Ok(())
    }

    /// What the code behind takes for granted of rows that were verified.
    fn numbers(&self, columns: &Columns<'_>, row: usize) -> Result<(), Fault> {
        let (position, due) = (columns.position(row), self.rows.next());
        if position != due {
            return Err(self.corrupt(format!("position {position} follows where {due} is due")));
        }
        if columns.partition(row) != self.part.partition.get() {
            let of = columns.partition(row);
            return Err(self.corrupt(format!("position {position} is of partition {of}")));
        }
        if columns.is_erased(row) && columns.remains(row).is_none() {
            return Err(self.corrupt(format!("position {position} is erased and has lost its hashes")));
        }
        Ok(())
    }

    /// The chain stands where it should and is right.
    fn chain(&self, columns: &Columns<'_>, row: usize, position: Position) -> Result<(), Fault> {
        let due = position.get().is_multiple_of(CHAIN_ROWS) || position == self.part.meta.last;
        if columns.chain(row) == due.then(|| self.rows.chain()) {
            return Ok(());
        }
        Err(self.corrupt(format!("the chain at position {position} is not that of the events before")))
    }

    fn finish(self) -> Result<Option<IndexBuilder>, Fault> {
        let meta = &self.part.meta;
        if self.rows.next() != meta.last.next() {
            return Err(self.corrupt(format!("it ends before position {}", self.rows.next())));
        }
        let index = Built { file: meta.index, tail: meta.index_tail };
        let found = self.rows.meta(meta.cut, meta.level, meta.parquet, &index);
        if found != *meta {
            let what = format!("the manifest says {meta:?} where the rows say {found:?}");
            return Err(self.corrupt(what));
        }
        Ok(self.index)
    }

    fn corrupt(&self, what: String) -> Fault {
        Fault::corrupt(&self.part.files.parquet, None, what)
    }
}

/// Reads a whole file and sums it up; refuses one that is not the file of the manifest.
fn sum(
    disk: &dyn Disk,
    path: &Path,
    identity: Identity,
    meta: FileMeta,
    pace: &mut dyn FnMut(u64),
) -> Result<Sums, Fault> {
    let file = open_exact(disk, path, meta.bytes)?;
    let mut summer = Summer::new(identity);
    let mut buffer = vec![0; READ_BYTES];
    while summer.bytes() < meta.bytes {
        let left = meta.bytes - summer.bytes();
        let piece = &mut buffer[..READ_BYTES.min(left as usize)];
        read_whole(file.as_ref(), path, piece, summer.bytes())?;
        summer.update(piece);
        pace(piece.len() as u64);
    }
    let sums = summer.finish();
    if sums.sha256 != meta.sha256 {
        let what = format!("its SHA-256 is {} where {} was written", sums.sha256, meta.sha256);
        return Err(Fault::corrupt(path, None, what));
    }
    Ok(sums)
}
