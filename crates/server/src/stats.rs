//! How much this node holds, read from its partitions and its log when somebody asks.

use chronos_app::Error;
use chronos_app::authority::{Action, authorize};
use chronos_domain::PartitionId;
use chronos_proto::{LogStats, PartitionStats, Stats};

use crate::edge::Edge;

/// One reading of every partition, one after the other: each is exact, together they are of no single moment.
///
/// # Errors
/// When the caller may not observe the node.
pub(crate) fn read(edge: &Edge) -> Result<Stats, Error> {
    authorize(edge.principal(), Action::Observe)?;
    let mut all = Stats { log: edge.wal().map(|wal| log(&wal.stats())), ..Stats::default() };
    let node = edge.app.node();
    for partition in PartitionId::all().filter(|id| node.cluster().holds(*id)) {
        match node.stats(partition) {
            Ok(held) => add(&mut all, partition, &held),
            Err(_) => all.partitions_refused += 1,
        }
    }
    Ok(all)
}

fn add(all: &mut Stats, partition: PartitionId, held: &chronos_store::Stats) {
    all.entities += held.entities;
    all.events += held.events;
    all.blocks += held.blocks;
    all.cached_blocks += held.cached_blocks;
    all.cached_bytes += held.cached_bytes;
    all.partitions.push(PartitionStats { partition, events: held.events, entities: held.entities });
}

const fn log(written: &chronos_wal::Stats) -> LogStats {
    LogStats { bytes: written.bytes, units: written.units, syncs: written.syncs, segments: written.segments }
}
