//! Reading histories: one file or several, plain or gzip'ed.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::line::{Line, ParseError};

/// Why files could not be read as a history.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the history {path}: {cause}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A line is none of the format.
    #[error("{path}, line {number}: {cause}", path = path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        number: u64,
        /// What is wrong with it.
        cause: ParseError,
    },
    /// Lines are missing, doubled or out of order.
    #[error("line {found} follows where line {expected} must be: give all files of one history, each once")]
    Index {
        /// The index that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// There is nothing to read.
    #[error("no line of a history was given: name at least one history file")]
    Empty,
}

/// Reads all lines of a history from its files, given in any order. A file that begins as gzip is decompressed.
///
/// # Errors
/// A file cannot be read, holds a line of no known form, or the lines' indexes have a gap: half a history is none.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<Line>, ReadError> {
    let mut files = Vec::new();
    for path in paths {
        files.push(read_file(path.as_ref())?);
    }
    files.retain(|lines| !lines.is_empty());
    files.sort_by_key(|lines| lines[0].index);
    let lines: Vec<Line> = files.into_iter().flatten().collect();
    check_indexes(&lines)?;
    Ok(lines)
}

/// The files of each history of several: a file that begins with line 0 begins one, and those behind it that do not
/// belong to it. When only one does, all files are of that history, in any order.
///
/// # Errors
/// The beginning of a file cannot be read or is none of a history.
pub fn histories(paths: &[impl AsRef<Path>]) -> Result<Vec<Vec<PathBuf>>, ReadError> {
    let mut histories: Vec<Vec<PathBuf>> = vec![Vec::new()];
    let mut begun = false;
    for path in paths {
        let begins = first_line(path.as_ref())?.is_some_and(|line| line.index == 0);
        if begins && begun {
            histories.push(Vec::new());
        }
        begun |= begins;
        histories.last_mut().expect("there is always one").push(path.as_ref().into());
    }
    Ok(histories)
}

/// The first line of a file, if it has any.
fn first_line(path: &Path) -> Result<Option<Line>, ReadError> {
    let mut line = String::new();
    open(path)?.read_line(&mut line).map_err(|cause| ReadError::Io { path: path.into(), cause })?;
    let parsed = (!line.is_empty()).then(|| Line::parse(&line)).transpose();
    parsed.map_err(|cause| ReadError::Line { path: path.into(), number: 1, cause })
}

/// Reads all lines of a history that is already at hand as text.
///
/// # Errors
/// As [`read`]; `path` is what they call the text.
pub fn read_from(path: &Path, text: impl Read) -> Result<Vec<Line>, ReadError> {
    let lines = read_lines(path, BufReader::new(text))?;
    check_indexes(&lines)?;
    Ok(lines)
}

fn read_file(path: &Path) -> Result<Vec<Line>, ReadError> {
    read_lines(path, open(path)?)
}

/// The text of a file, decompressed if it needs that.
#[expect(clippy::disallowed_methods, reason = "judging happens outside of any simulation")]
fn open(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    let io = |cause| ReadError::Io { path: path.into(), cause };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let packed = reader.fill_buf().map_err(io)?.starts_with(&[0x1f, 0x8b]);
    if packed {
        Ok(Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}

fn read_lines(path: &Path, mut text: impl BufRead) -> Result<Vec<Line>, ReadError> {
    let (mut lines, mut buffer) = (Vec::new(), String::new());
    let mut number = 0;
    while text.read_line(&mut buffer).map_err(|cause| ReadError::Io { path: path.into(), cause })? > 0 {
        number += 1;
        let line = Line::parse(&buffer);
        lines.push(line.map_err(|cause| ReadError::Line { path: path.into(), number, cause })?);
        buffer.clear();
    }
    Ok(lines)
}

fn check_indexes(lines: &[Line]) -> Result<(), ReadError> {
    for (expected, line) in (0..).zip(lines) {
        if line.index != expected {
            return Err(ReadError::Index { expected, found: line.index });
        }
    }
    if lines.is_empty() { Err(ReadError::Empty) } else { Ok(()) }
}
