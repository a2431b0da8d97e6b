//! Getting one batch in, whatever part of it is there already.

use std::future::Future;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{ContentType, EntityId, EventType, Position, Tag, Version};

use super::cut::Batch;
use crate::failure::{Exit, Failure, Outcome};

/// A server's word that a batch is stored.
#[derive(Clone, Debug)]
pub(crate) struct Ack {
    /// Of the first event; the others follow without a gap.
    pub(crate) first: Position,
    /// Of every event.
    pub(crate) versions: Vec<Version>,
    /// Whether it was stored before this request.
    pub(crate) deduplicated: bool,
}

/// Where batches go.
pub(crate) trait Sink: Clone + Send + Sync + 'static {
    /// Appends all of it or nothing; repeats with the same ids while that can help.
    fn append(&self, block: &Block) -> impl Future<Output = Outcome<Ack>> + Send;
}

/// Who wants to know what became of every event.
pub(crate) trait Witness: Send + Sync + 'static {
    /// All of the batch is stored; numbered as the ack says.
    fn acknowledged(&self, batch: &Batch, ack: &Ack);

    /// A rule refuses the event of this line for good. An error stops the whole run.
    fn refused(&self, line: u64, why: &Failure) -> Outcome;
}

/// Appends a batch. When it is refused as a whole it is halved, so that what was stored before, what is new and what
/// is wrong come apart; the order of the events is kept.
pub(crate) async fn settle<S: Sink, W: Witness>(sink: &S, witness: &W, batch: Batch) -> Outcome {
    let mut todo = vec![batch];
    while let Some(batch) = todo.pop() {
        match sink.append(&batch.block).await {
            Ok(ack) => witness.acknowledged(&batch, &ack),
            Err(why) if why.exit() != Exit::Rejected => return Err(why),
            Err(why) => match batch.lines.as_slice() {
                [only] => witness.refused(*only, &why)?,
                _ => todo.extend(halves(&batch)),
            },
        }
    }
    Ok(())
}

/// The second half, then the first, as a stack wants them.
fn halves(batch: &Batch) -> [Batch; 2] {
    let middle = batch.lines.len() / 2;
    [part(batch, middle, batch.lines.len()), part(batch, 0, middle)]
}

fn part(batch: &Batch, from: usize, to: usize) -> Batch {
    let mut packer = Packer::new();
    for i in from..to {
        packer.push(draft(&batch.block, i)).expect("events that fitted one batch fit a smaller one");
    }
    let block = packer.finish(Compression::None).expect("half of several events is at least one");
    Batch { partition: batch.partition, block, lines: batch.lines[from..to].to_vec() }
}

fn draft(block: &Block, i: usize) -> Draft {
    const VALID: &str = "names of a packed event are valid";
    let event = block.event(i);
    Draft {
        event_id: event.event_id,
        entity_id: EntityId::parse(event.entity_id).expect(VALID),
        event_type: EventType::parse(event.event_type).expect(VALID),
        content_type: ContentType::parse(event.content_type).expect(VALID),
        payload: block.payload(i),
        metadata: Bytes::copy_from_slice(event.metadata),
        tags: event.tags.map(|tag| Tag::parse(tag).expect(VALID)).collect(),
        occurred_at: event.occurred_at,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use chronos_domain::{Batch as _, EventId, PartitionId};

    use super::*;

    /// The duplicate rule of a real store, for one partition: a request is wholly there, in a row, or wholly new.
    #[derive(Clone, Default)]
    pub(crate) struct Rows(Arc<Mutex<Vec<Row>>>);

    type Row = (EventId, Vec<u8>);

    impl Rows {
        pub(crate) fn ids(&self) -> Vec<u128> {
            self.0.lock().unwrap().iter().map(|(id, _)| id.as_u128()).collect()
        }
    }

    impl Sink for Rows {
        async fn append(&self, block: &Block) -> Outcome<Ack> {
            let mut rows = self.0.lock().unwrap();
            let events = (0..block.events()).map(|i| block.event(i));
            let new: Vec<Row> = events.map(|event| (event.event_id, event.payload.to_vec())).collect();
            let found = rows.iter().position(|(id, _)| *id == new[0].0);
            let versions = vec![Version::ZERO; new.len()];
            if let Some(at) = found
                && rows[at..].starts_with(&new)
            {
                return Ok(Ack { first: Position::new(at as u64 + 1), versions, deduplicated: true });
            }
            if new.iter().any(|(id, _)| rows.iter().any(|(stored, _)| stored == id)) {
                return Err(Failure::new(Exit::Rejected, "IDEMPOTENCY_CONFLICT"));
            }
            let first = Position::new(rows.len() as u64 + 1);
            rows.extend(new);
            Ok(Ack { first, versions, deduplicated: false })
        }
    }

    #[derive(Default)]
    pub(crate) struct Counts {
        pub(crate) stored: Mutex<Vec<u64>>,
        pub(crate) already: Mutex<Vec<u64>>,
        pub(crate) refused: Mutex<Vec<u64>>,
    }

    impl Witness for Counts {
        fn acknowledged(&self, batch: &Batch, ack: &Ack) {
            let list = if ack.deduplicated { &self.already } else { &self.stored };
            list.lock().unwrap().extend(&batch.lines);
        }

        fn refused(&self, line: u64, _: &Failure) -> Outcome {
            self.refused.lock().unwrap().push(line);
            Ok(())
        }
    }

    pub(crate) fn batch(lines: impl IntoIterator<Item = u64>, payload: &'static str) -> Batch {
        let lines: Vec<u64> = lines.into_iter().collect();
        let mut packer = Packer::new();
        for line in &lines {
            let (entity, event_type) = (EntityId::parse("a").unwrap(), EventType::parse("t").unwrap());
            let draft = Draft::json(EventId::from_u128((*line).into()), entity, event_type, payload);
            packer.push(draft).unwrap();
        }
        let block = packer.finish(Compression::None).unwrap();
        Batch { partition: PartitionId::new(0).unwrap(), block, lines }
    }

    async fn settled(rows: &Rows, batch: Batch) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
        let counts = Counts::default();
        settle(rows, &counts, batch).await.unwrap();
        let Counts { stored, already, refused } = counts;
        (stored.into_inner().unwrap(), already.into_inner().unwrap(), refused.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_batch_cut_differently_is_taken_apart_and_nothing_is_stored_twice() {
        let rows = Rows::default();
        settled(&rows, batch(1..=5, "1")).await;
        let (stored, already, refused) = settled(&rows, batch(3..=12, "1")).await;
        assert_eq!(stored, [6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(already, [3, 4, 5]);
        assert_eq!(refused, [0_u64; 0]);
        assert_eq!(rows.ids(), (1..=12).collect::<Vec<u128>>());
    }

    #[tokio::test]
    async fn a_true_conflict_is_one_event_and_the_rest_goes_in() {
        let rows = Rows::default();
        settled(&rows, batch([4], "other")).await;
        let (stored, already, refused) = settled(&rows, batch(1..=7, "1")).await;
        assert_eq!(stored, [1, 2, 3, 5, 6, 7]);
        assert_eq!(already, [0_u64; 0]);
        assert_eq!(refused, [4]);
    }

    #[tokio::test]
    async fn an_outcome_in_doubt_is_never_split() {
        #[derive(Clone)]
        struct Silent;
        impl Sink for Silent {
            async fn append(&self, _: &Block) -> Outcome<Ack> {
                Err(Failure::new(Exit::Unknown, "no answer"))
            }
        }
        let failure = settle(&Silent, &Counts::default(), batch(1..=4, "1")).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unknown);
    }
}
