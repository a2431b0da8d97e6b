//! Where the Parquet reader gets its bytes from.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::checked::CheckedFile;
use crate::fault::Fault;

/// The checked file as Parquet's reader wants it, for one read of it. Remembers why a read failed: the reader's own
/// errors are sentences.
#[derive(Clone)]
pub(crate) struct Source {
    file: Arc<CheckedFile>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    fetched: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

impl Source {
    pub(crate) fn new(file: Arc<CheckedFile>) -> Source {
        Source { file, seen: Arc::default() }
    }

    /// How many ranges were handed out. With an offset index at hand the reader asks for every page it decodes, and
    /// for nothing else.
    pub(crate) fn fetched(&self) -> u64 {
        self.seen.fetched.load(Ordering::Relaxed)
    }

    /// Why the read failed: what the file said, or else that checked bytes make no sense to the reader.
    pub(crate) fn fault(&self, error: impl std::fmt::Display) -> Fault {
        let fault = self.seen.fault.lock().take();
        fault.unwrap_or_else(|| unreadable(self.file.path(), error))
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.file.read(start..start.saturating_add(length as u64)).map_err(|fault| {
            let error = ParquetError::General(fault.to_string());
            *self.seen.fault.lock() = Some(fault);
            error
        })
    }
}

/// Bytes with the right checksums that are no part: written by something else than this format.
pub(crate) fn unreadable(path: &Path, error: impl std::fmt::Display) -> Fault {
    Fault::corrupt(path, None, format!("its checksums are right, but it does not read as a part: {error}"))
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Source {
    type T = Sequence;

    fn get_read(&self, start: u64) -> Result<Sequence, ParquetError> {
        Ok(Sequence { source: self.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.seen.fetched.fetch_add(1, Ordering::Relaxed);
        self.read(start, length)
    }
}

/// The bytes from some place on, for the footer.
pub(crate) struct Sequence {
    source: Source,
    at: u64,
}

impl Read for Sequence {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let bytes = self.source.read(self.at, buf.len().min(left)).map_err(io::Error::other)?;
        buf[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
