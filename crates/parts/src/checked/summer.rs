//! The writer's side: sums and a content hash of everything that passes.

use std::io;
use std::sync::Arc;

use chronos_domain::xxh64::Xxh64;
use chronos_env::File;
use chronos_proof::Hash;
use sha2::{Digest as _, Sha256};

use super::{BLOCK_BYTES, Identity};

/// What a [`Summer`] has taken down of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Its length.
    pub(crate) bytes: u64,
    /// SHA-256 of all of it.
    pub(crate) sha256: Hash,
    /// One sum a block.
    pub(crate) blocks: Vec<u64>,
}

/// Takes down the sums of bytes as they are written.
pub(crate) struct Summer {
    identity: Identity,
    bytes: u64,
    sha256: Sha256,
    blocks: Vec<u64>,
    /// The sum of the block that is not yet full.
    open: Xxh64,
}

impl Summer {
    pub(crate) fn new(identity: Identity) -> Summer {
        Summer {
            identity,
            bytes: 0,
            sha256: Sha256::new(),
            blocks: Vec::new(),
            open: Xxh64::new(identity.seed(0)),
        }
    }

    /// Adds the bytes that follow.
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.sha256.update(bytes);
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.bytes % BLOCK_BYTES;
            let (now, rest) = bytes.split_at(bytes.len().min(room as usize));
            self.open.update(now);
            self.bytes += now.len() as u64;
            if self.bytes.is_multiple_of(BLOCK_BYTES) {
                self.close_block();
            }
            bytes = rest;
        }
    }

    /// The bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sums of the blocks so far, the last one as if the file ended here.
    pub(crate) fn blocks(&self) -> Vec<u64> {
        let mut blocks = self.blocks.clone();
        if !self.bytes.is_multiple_of(BLOCK_BYTES) {
            blocks.push(self.open.finish());
        }
        blocks
    }

    /// The file ends here.
    pub(crate) fn finish(self) -> Sums {
        let blocks = self.blocks();
        Sums { bytes: self.bytes, sha256: Hash(self.sha256.finalize().into()), blocks }
    }

    fn close_block(&mut self) {
        self.blocks.push(self.open.finish());
        self.open = Xxh64::new(self.identity.seed(self.blocks.len() as u64));
    }
}

/// A writer that sums what passes through it. A write counts when the writer below took it.
pub(crate) struct Summed<W> {
    inner: W,
    summer: Summer,
}

impl<W: io::Write> Summed<W> {
    pub(crate) fn new(inner: W, identity: Identity) -> Summed<W> {
        Summed { inner, summer: Summer::new(identity) }
    }

    pub(crate) fn summer(&self) -> &Summer {
        &self.summer
    }

    /// The writer below, and the sums of all that passed.
    pub(crate) fn finish(self) -> (W, Sums) {
        (self.inner, self.summer.finish())
    }
}

impl<W: io::Write> io::Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.summer.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Bytes gathered before they are handed to the disk.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes a new file from front to back through a buffer. What is not flushed when it is dropped is not written.
pub(crate) struct FileWriter {
    file: Arc<dyn File>,
    /// Where the buffer belongs.
    at: u64,
    buffer: Vec<u8>,
}

impl FileWriter {
    /// Begins at byte 0 of `file`, which is empty.
    pub(crate) fn new(file: Arc<dyn File>) -> FileWriter {
        FileWriter { file, at: 0, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    /// Writes what is buffered, and makes content and length durable. The file's name is the caller's to sync.
    ///
    /// # Errors
    /// What the disk says; the file must then be given up.
    pub(crate) fn sync(mut self) -> io::Result<()> {
        self.write_buffer()?;
        self.file.sync_data()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl io::Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES && !self.buffer.is_empty() {
            self.write_buffer()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()
    }
}
