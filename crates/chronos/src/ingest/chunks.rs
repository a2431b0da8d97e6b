//! A file, or standard input, as chunks of whole lines; decompressed on the way when it begins as zstd does.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is read at a time: large enough that threads rarely meet, small enough to start at once.
const CHUNK_BYTES: usize = 1 << 20;

/// No event that a server takes needs a longer line: every byte of the largest one escaped, and then some.
const LINE_BYTES_MAX: usize = 16 << 20;

/// What a zstd frame begins with (RFC 8878). No JSON begins so, nor any other text: it is not UTF-8.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whole lines.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Number of its first line, from 1.
    pub(crate) first_line: u64,
    /// Line feeds in it.
    pub(crate) lines: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What [`Chunks`] reads.
pub(crate) struct Source {
    reader: Box<dyn Read + Send>,
    /// Bytes taken from the file so far, before decompression.
    pub(crate) taken: Arc<AtomicU64>,
    /// The file's length; `None` when it is a stream.
    pub(crate) length: Option<u64>,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let taken = Arc::new(AtomicU64::new(0));
        if path == Path::new("-") {
            let counted = Counted { inner: io::stdin(), taken: taken.clone() };
            return Ok(Self { reader: decompressed(counted)?, taken, length: None });
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let length = metadata.is_file().then_some(metadata.len());
        let counted = Counted { inner: file, taken: taken.clone() };
        let named = path.extension().is_some_and(|extension| extension == "zst");
        // What only claims to be compressed is not read as something else.
        let reader = if named { Box::new(zstd::Decoder::new(counted)?) } else { decompressed(counted)? };
        Ok(Self { reader, taken, length })
    }

    /// What a file with these bytes is read as.
    pub(crate) fn of(bytes: Vec<u8>) -> io::Result<Self> {
        Ok(Self { reader: decompressed(Cursor::new(bytes))?, taken: Arc::default(), length: None })
    }
}

/// The reader itself, or what is compressed in it. Waits for its first bytes.
fn decompressed(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut first = Vec::with_capacity(ZSTD_MAGIC.len());
    (&mut reader).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut first)?;
    let compressed = first == ZSTD_MAGIC;
    let whole = Cursor::new(first).chain(reader);
    Ok(if compressed { Box::new(zstd::Decoder::new(whole)?) } else { Box::new(whole) })
}

struct Counted<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The chunks of a source, in order. The last line needs no line feed.
pub(crate) struct Chunks {
    reader: Box<dyn Read + Send>,
    chunk_bytes: usize,
    next_line: u64,
    rest: Vec<u8>,
    ended: bool,
}

impl Chunks {
    pub(crate) fn new(source: Source) -> Self {
        Self { reader: source.reader, chunk_bytes: CHUNK_BYTES, next_line: 1, rest: Vec::new(), ended: false }
    }

    fn take(&mut self, bytes: Vec<u8>) -> Option<io::Result<Chunk>> {
        if bytes.is_empty() {
            return None;
        }
        let first_line = self.next_line;
        let lines = count_lines(&bytes);
        self.next_line += lines;
        Some(Ok(Chunk { first_line, lines, bytes }))
    }

    fn too_long(&mut self) -> io::Error {
        self.ended = true;
        io::Error::other(format!(
            "line {} is longer than {LINE_BYTES_MAX} bytes; is this a file of one JSON object a line?",
            self.next_line
        ))
    }
}

impl Iterator for Chunks {
    type Item = io::Result<Chunk>;

    fn next(&mut self) -> Option<io::Result<Chunk>> {
        let mut bytes = Vec::with_capacity(self.rest.len() + self.chunk_bytes);
        bytes.append(&mut self.rest);
        while !self.ended {
            let before = bytes.len();
            let wanted = self.chunk_bytes as u64;
            match (&mut self.reader).take(wanted).read_to_end(&mut bytes) {
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Ok(0) => self.ended = true,
                Ok(_) => {}
            }
            if let Some(at) = bytes[before..].iter().rposition(|byte| *byte == b'\n') {
                self.rest = bytes.split_off(before + at + 1);
                return self.take(bytes);
            }
            if bytes.len() > LINE_BYTES_MAX {
                return Some(Err(self.too_long()));
            }
        }
        self.take(bytes)
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &[u8], chunk_bytes: usize) -> Vec<(u64, String)> {
        let chunks = Chunks { chunk_bytes, ..Chunks::new(Source::of(text.to_vec()).unwrap()) };
        chunks.map(Result::unwrap).map(|c| (c.first_line, String::from_utf8(c.bytes).unwrap())).collect()
    }

    #[test]
    fn lines_stay_whole_and_numbered_at_every_chunk_size() {
        let text = b"one\ntwo\n\nfour is longer\nfive";
        for chunk_bytes in 1..40 {
            let chunks = chunks(text, chunk_bytes);
            let joined: String = chunks.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(joined.as_bytes(), text, "chunks of {chunk_bytes}");
            let mut line = 1;
            for (first_line, text) in chunks {
                assert_eq!(first_line, line, "chunks of {chunk_bytes}");
                line += text.matches('\n').count() as u64;
            }
        }
    }

    #[test]
    fn compressed_bytes_are_known_by_how_they_begin() {
        for text in [&b""[..], b"{", b"{}\n", b"a longer text than the magic number"] {
            let plain = io::read_to_string(decompressed(text).unwrap()).unwrap();
            assert_eq!(plain.as_bytes(), text);
            let packed = Cursor::new(zstd::encode_all(text, 1).unwrap());
            let unpacked = io::read_to_string(decompressed(packed).unwrap()).unwrap();
            assert_eq!(unpacked.as_bytes(), text);
        }
    }

    #[test]
    fn an_empty_source_has_no_chunk() {
        assert!(chunks(b"", 8).is_empty());
    }

    #[test]
    fn a_line_without_end_is_an_error_and_not_all_of_memory() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                buf.fill(b'x');
                Ok(buf.len())
            }
        }
        let source = Source { reader: Box::new(Endless), taken: Arc::default(), length: None };
        let mut chunks = Chunks::new(source);
        assert!(chunks.next().unwrap().unwrap_err().to_string().starts_with("line 1 is longer"));
        assert!(chunks.next().is_none());
    }
}
