//! From rows to a verified part.
//!
//! Both files are written under temporary names, synced, opened again as a reader would and verified in full. Only then
//! do they get their names, and a manifest may name them. Until that manifest is in place they are leftovers that the
//! next start removes, so a crash anywhere here costs the work and nothing else.
//!
#![doc = include_str!("../FORMAT.md")]

mod group;
mod parquet;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use chronos_domain::{PartitionId, Position, Space, Timestamp};
use chronos_env::{CrashPoints, Disk, Env, OpenMode};
use chronos_proof::{Fields, Hash, chain_next, leaf};

use crate::cache::Cache;
use crate::checked::{FileKind, FileWriter, Identity};
use crate::columns::Columns;
use crate::fault::Fault;
use crate::index::{Built, IndexBuilder, IndexRow};
use crate::meta::{FileMeta, PartMeta};
use crate::part::{Files, Part};
use group::{Group, Weight};
use parquet::ParquetWriter;
pub(crate) use settings::{BOUNDS, Bounds};

/// Rows between two rows whose chain is written down.
pub(crate) const CHAIN_ROWS: u64 = 64;

/// Which part is written, and how. With the rows, it decides every byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The partition it is of.
    pub partition: PartitionId,
    /// The position of its first event.
    pub first: Position,
    /// Number of the cut that writes it.
    pub cut: u64,
    /// How many merges lie behind it.
    pub level: u8,
    /// Level of zstd, within 1..=22.
    pub zstd: i32,
    /// The partition's chain up to the position before `first`.
    pub chain_before: Hash,
}

/// Writes one part from front to back. A writer that is dropped leaves its temporary files to the next start.
pub struct Writer {
    disk: Arc<dyn Disk>,
    crash: CrashPoints,
    dir: PathBuf,
    spec: Spec,
    parquet: ParquetWriter,
    index: IndexBuilder,
    group: Group,
    page_rows: usize,
    so_far: Summary,
}

/// What is known of the rows that went in.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    first: Position,
    next: Position,
    raw_bytes: u64,
    erased: u64,
    recorded: Option<(Timestamp, Timestamp)>,
    chain_before: Hash,
    chain: Hash,
}

impl Writer {
    /// Begins a part in `dir`. The same spec and rows give the same bytes.
    ///
    /// # Errors
    /// [`Fault::Io`] when the temporary files cannot be made; those of an earlier attempt are replaced.
    pub fn create(env: &Env, dir: &Path, spec: Spec) -> Result<Writer, Fault> {
        Writer::create_within(env, dir, spec, BOUNDS)
    }

    pub(crate) fn create_within(env: &Env, dir: &Path, spec: Spec, bounds: Bounds) -> Result<Writer, Fault> {
        let temporary = Temporary::of(dir, &spec);
        let out = FileWriter::new(temporary.create(env.disk.as_ref(), &temporary.parquet)?);
        let identity = Identity::new(spec.partition, spec.first, FileKind::Parquet);
        Ok(Writer {
            disk: Arc::clone(&env.disk),
            crash: env.crash.clone(),
            dir: dir.to_owned(),
            parquet: ParquetWriter::new(out, identity)?,
            index: IndexBuilder::new(spec.partition, spec.first),
            group: Group::new(bounds),
            page_rows: 0,
            so_far: Summary::new(spec.first, spec.chain_before),
            spec,
        })
    }

    /// Adds rows of [`schema`](crate::schema) at the positions that follow. Their `chain_hash` is ignored, and computed
    /// here; an erased row brings its `leaf_hash` and `content_hash`. How rows are cut into batches leaves no trace.
    ///
    /// # Errors
    /// [`Fault::Io`] when the disk refuses; the writer is then good for [`Writer::abandon`] only.
    ///
    /// # Panics
    /// When a row is not of the next position, is of another partition, or is erased and lacks a hash.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let columns = Columns::of(batch);
        let mut tags = Vec::new();
        let mut start = 0;
        for row in 0..columns.rows() {
            let fields = columns.fields(row, self.spec.partition, &mut tags);
            let weight = weigh(&fields, columns.is_erased(row));
            if !self.group.has_room(weight) {
                self.group.hold(batch.slice(start, row - start));
                self.write_group(None)?;
                start = row;
            }
            self.add(&columns, row, &fields, weight);
        }
        self.group.hold(batch.slice(start, columns.rows() - start));
        Ok(())
    }

    fn add(&mut self, columns: &Columns<'_>, row: usize, fields: &Fields<'_>, weight: Weight) {
        let (of, here) = (columns.partition(row), self.spec.partition);
        assert!(of == here.get(), "position {} is of partition {of}, not of {here}", fields.position);
        let (leaf, erased) = (leaf_of_row(columns, row, fields), columns.is_erased(row));
        self.so_far.add(fields, leaf, weight.raw, erased);
        self.index.push(&index_row(fields, leaf, weight.raw, erased));
        let chain = fields.position.get().is_multiple_of(CHAIN_ROWS).then_some(self.so_far.chain);
        self.group.count(fields.entity_id, weight, chain);
    }

    fn write_group(&mut self, last: Option<Hash>) -> Result<(), Fault> {
        let (batch, plan) = self.group.take(self.spec.zstd, last);
        self.page_rows = self.page_rows.max(plan.page_rows());
        Ok(self.parquet.write(&batch, &plan)?)
    }

    /// Completes the part. On return both files are durable under their names, and have been read back and verified.
    ///
    /// # Errors
    /// [`Fault::Io`] when the disk refuses, [`Fault::Corrupt`] when what was read back is not what was written. The
    /// part must then be written anew; what is left of it is removed by the next start.
    ///
    /// # Panics
    /// When no row was pushed.
    pub fn finish(mut self) -> Result<PartMeta, Fault> {
        assert!(self.so_far.next > self.so_far.first, "a part has a row");
        self.write_group(Some(self.so_far.chain))?;
        let temporary = Temporary::of(&self.dir, &self.spec);
        let (out, sums) = self.parquet.finish()?;
        self.crash.hit("parts.write.parquet");
        let index = FileWriter::new(temporary.create(self.disk.as_ref(), &temporary.index)?);
        let (index, built) = self.index.finish(&sums, self.page_rows as u32, index)?;
        out.sync()?;
        index.sync()?;
        self.crash.hit("parts.write.synced");
        let parquet = FileMeta { bytes: sums.bytes, sha256: sums.sha256 };
        let meta = self.so_far.meta(self.spec.cut, self.spec.level, parquet, &built);
        temporary.verify(&self.disk, &meta, self.spec.partition)?;
        self.crash.hit("parts.write.verified");
        self.disk.rename(&temporary.parquet, &self.dir.join(meta.parquet_name()))?;
        self.disk.rename(&temporary.index, &self.dir.join(meta.index_name()))?;
        self.crash.hit("parts.write.renamed");
        self.disk.sync_dir(&self.dir)?;
        Ok(meta)
    }

    /// Gives the part up and removes its files, as far as the disk lets it; the next start removes the rest.
    pub fn abandon(self) {
        let temporary = Temporary::of(&self.dir, &self.spec);
        drop(self.parquet);
        for path in [&temporary.parquet, &temporary.index] {
            // Nothing names these files; whether they are removed now or at the next start makes no difference.
            let _ = self.disk.remove(path);
        }
    }
}

impl Summary {
    pub(crate) fn new(first: Position, chain_before: Hash) -> Summary {
        Summary {
            first,
            next: first,
            raw_bytes: 0,
            erased: 0,
            recorded: None,
            chain_before,
            chain: chain_before,
        }
    }

    /// The chain up to the last row.
    pub(crate) fn chain(&self) -> Hash {
        self.chain
    }

    /// The position that comes next.
    pub(crate) fn next(&self) -> Position {
        self.next
    }

    /// Adds the row of the next position.
    ///
    /// # Panics
    /// When it has another one.
    pub(crate) fn add(&mut self, fields: &Fields<'_>, leaf: Hash, raw_bytes: u64, erased: bool) {
        assert!(
            fields.position == self.next,
            "position {} follows where {} is due",
            fields.position,
            self.next
        );
        self.next = self.next.next();
        self.raw_bytes += raw_bytes;
        self.erased += u64::from(erased);
        self.chain = chain_next(self.chain, leaf);
        let (first, _) = self.recorded.unwrap_or((fields.recorded_at, fields.recorded_at));
        self.recorded = Some((first, fields.recorded_at));
    }

    /// What a manifest says of a part with these rows and files.
    ///
    /// # Panics
    /// When no row was added.
    pub(crate) fn meta(&self, cut: u64, level: u8, parquet: FileMeta, index: &Built) -> PartMeta {
        PartMeta {
            first: self.first,
            last: self.next.previous().expect("a part has a row"),
            cut,
            level,
            raw_bytes: self.raw_bytes,
            erased: self.erased,
            parquet,
            index: index.file,
            recorded: self.recorded.expect("a part has a row"),
            chain_before: self.chain_before,
            chain_after: self.chain,
            index_tail: index.tail,
        }
    }
}

/// The leaf hash of a row: computed, or kept when the content is gone.
///
/// # Panics
/// When the row is erased and lacks a hash.
pub(crate) fn leaf_of_row(columns: &Columns<'_>, row: usize, fields: &Fields<'_>) -> Hash {
    if !columns.is_erased(row) {
        return leaf(fields);
    }
    let remains = columns.remains(row);
    remains.unwrap_or_else(|| panic!("position {} is erased and lacks its hashes", fields.position)).leaf
}

/// What the index is told of a row.
pub(crate) fn index_row<'a>(fields: &Fields<'a>, leaf: Hash, raw_bytes: u64, erased: bool) -> IndexRow<'a> {
    IndexRow {
        space: Space { tenant: fields.tenant, fork: fields.fork },
        entity: fields.entity_id,
        version: fields.version,
        event_id: fields.event_id,
        event_type: fields.event_type,
        content_type: fields.content_type,
        tags: fields.tags,
        occurred_at: fields.occurred_at,
        recorded_at: fields.recorded_at,
        erased,
        leaf,
        raw_bytes,
    }
}

/// Raw bytes of an event: those that count against the bound of a request. An erased one has none.
pub(crate) fn weigh(fields: &Fields<'_>, erased: bool) -> Weight {
    if erased {
        return Weight { raw: 0, content: 0 };
    }
    let content = (fields.payload.len() + fields.metadata.len()) as u64;
    let tags: usize = fields.tags.iter().map(|tag| tag.len()).sum();
    Weight { raw: content + (fields.entity_id.len() + fields.event_type.len() + tags) as u64, content }
}

/// The names of a part's files while they are not a part yet.
struct Temporary {
    parquet: PathBuf,
    index: PathBuf,
}

impl Temporary {
    fn of(dir: &Path, spec: &Spec) -> Temporary {
        let stem = format!("{:012}-{:06}", spec.first.get(), spec.cut);
        let name = |kind: &str| dir.join(format!("{stem}.{kind}.tmp"));
        Temporary { parquet: name("parquet"), index: name("index") }
    }

    fn create(&self, disk: &dyn Disk, path: &Path) -> Result<Arc<dyn chronos_env::File>, Fault> {
        if disk.exists(path)? {
            disk.remove(path)?;
        }
        Ok(disk.open(path, OpenMode::CreateNew)?)
    }

    /// Opens the files as a reader does, past every cache, and verifies all of them.
    fn verify(&self, disk: &Arc<dyn Disk>, meta: &PartMeta, partition: PartitionId) -> Result<(), Fault> {
        let files = Files { parquet: self.parquet.clone(), index: self.index.clone() };
        let part = Part::open_files(Arc::clone(disk), files, meta.clone(), partition, &Cache::new(0))?;
        part.verify_written()
    }
}
