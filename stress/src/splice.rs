//! One history of two: that of a round that was cut off, and what was added when the soak went on.
//!
//! Both begin at the same place in the life of the cluster, and nobody who was at work in the first was still at work when the
//! second began. So the second goes on where the first ends, under numbers that the first has not given.

use std::io;
use std::path::Path;

use chronos_history::line::{Body, Process};
use chronos_history::{Line, Op, ReadError, read_from};

/// Reads what there is of a history whose writer was killed: its whole lines.
///
/// # Errors
/// The file cannot be read, or a whole line of it is none.
pub fn read_cut(file: &Path) -> Result<Vec<Line>, ReadError> {
    let mut bytes =
        std::fs::read(file).map_err(|cause: io::Error| ReadError::Io { path: file.into(), cause })?;
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    read_from(file, &bytes[..])
}

/// The first history, and then all of the second but its header.
#[must_use]
pub fn splice(mut first: Vec<Line>, second: Vec<Line>) -> Vec<Line> {
    let index = first.len() as u64;
    let time = first.last().map_or(0, |line| line.time);
    let ops = first.iter().filter_map(op).max().unwrap_or(0);
    let clients = first.iter().filter_map(client).max().map_or(0, |last| last + 1);
    let began = second.first().map_or(0, |line| line.time);
    let rest = second.into_iter().skip(1).zip(index..).map(|(mut line, index)| {
        line.index = index;
        line.time = time + (line.time - began);
        if let Process::Client(number) = &mut line.process {
            *number += clients;
        }
        if let Body::Call { op: Op(op), .. } | Body::Outcome { op: Op(op), .. } = &mut line.body {
            *op += ops;
        }
        line
    });
    first.extend(rest);
    first
}

fn op(line: &Line) -> Option<u64> {
    match &line.body {
        Body::Call { op, .. } | Body::Outcome { op, .. } => Some(op.0),
        Body::Fact(_) => None,
    }
}

fn client(line: &Line) -> Option<u64> {
    match &line.process {
        Process::Client(number) => Some(*number),
        Process::Node(_) | Process::Named(_) => None,
    }
}
