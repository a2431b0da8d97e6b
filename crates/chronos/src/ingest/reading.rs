//! A file read and parsed on as many threads as there are, in the order of its lines.

use std::io;
use std::thread::available_parallelism;

use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::chunks::{Chunk, Chunks, Source};
use super::lines::{Format, Read, parse};

/// Chunks that are read ahead of the parsers.
const AHEAD: usize = 2;

/// The lines of a source, chunk by chunk. An error ends the stream.
pub(crate) fn lines(source: Source, format: Format) -> impl Stream<Item = io::Result<Vec<Read>>> {
    let parsers = available_parallelism().map_or(2, usize::from);
    stream::unfold(read(source), |mut chunks| async { Some((chunks.recv().await?, chunks)) })
        .map(move |chunk| async move {
            let chunk = chunk?;
            tokio::task::spawn_blocking(move || parse(&chunk, format)).await.map_err(io::Error::other)
        })
        .buffered(parsers)
}

/// Reads on a thread of its own, until nobody listens any more.
fn read(source: Source) -> mpsc::Receiver<io::Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        for chunk in Chunks::new(source) {
            if sender.blocking_send(chunk).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn lines_come_in_the_order_of_the_file_however_many_chunks_there_are() {
        let count = 40_000;
        let text: String = (1..=count)
            .map(|i| format!("{{\"entity_id\":\"a\",\"event_type\":\"t\",\"payload\":{i}}}\n"))
            .collect();
        assert!(text.len() > 1 << 20, "more than one chunk is meant");
        let source = Source::of(text.into_bytes()).unwrap();
        let chunks: Vec<Vec<Read>> = lines(source, Format::Ndjson).try_collect().await.unwrap();
        let payloads: Vec<u64> = chunks
            .into_iter()
            .flatten()
            .map(|read| {
                let (line, parsed) = read.unwrap();
                assert_eq!(parsed.draft.payload, line.to_string());
                line
            })
            .collect();
        assert_eq!(payloads, (1..=count).collect::<Vec<u64>>());
    }
}
