//! A history over several files.

use std::io::{self, Write};

/// Lines in one file.
pub const LINES_PER_FILE: u64 = 1_000_000;

/// Writes lines to one file after another, each opened when the one before is full.
///
/// Invariant: no line is split.
pub struct Rotating<F, W> {
    open: F,
    file: W,
    files: u32,
    lines: u64,
    lines_per_file: u64,
}

impl<W: Write, F: FnMut(u32) -> io::Result<W>> Rotating<F, W> {
    /// Opens file number 0 and goes on with the next number after every `lines_per_file` lines. `open` may wrap the
    /// file into a compressor; each file is flushed, then dropped, when it is full.
    ///
    /// # Errors
    /// What `open` says.
    pub fn new(mut open: F, lines_per_file: u64) -> io::Result<Rotating<F, W>> {
        let file = open(0)?;
        Ok(Rotating { open, file, files: 1, lines: 0, lines_per_file })
    }

    fn next_file(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file = (self.open)(self.files)?;
        self.files += 1;
        self.lines = 0;
        Ok(())
    }
}

impl<W: Write, F: FnMut(u32) -> io::Result<W>> Write for Rotating<F, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.lines == self.lines_per_file {
            self.next_file()?;
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let written = self.file.write(&bytes[..end])?;
        self.lines += bytes[..written].iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
