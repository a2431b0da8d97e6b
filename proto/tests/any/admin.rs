//! Arbitrary answers about whole partitions.

use chronos_domain::{PartitionId, Position, Timestamp};
use chronos_proof::Hash;
use chronos_proto::Failure;
use chronos_proto::admin::{
    CompactedPartition, Digest, Holdings, PartitionDigest, PartitionHoldings, TypeHoldings, Verified,
    VerifiedPartition,
};
use proptest::prelude::*;

use super::{failure, time};

/// With the system partition.
pub(super) fn partition() -> impl Strategy<Value = PartitionId> {
    (0u8..=32).prop_map(|number| PartitionId::of_group(number).unwrap())
}

pub(super) fn or_failure<T: Clone + std::fmt::Debug>(
    strategy: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Result<T, Failure>> {
    prop_oneof![3 => strategy.prop_map(Ok), 1 => failure().prop_map(Err)]
}

pub(super) fn position() -> impl Strategy<Value = Position> {
    any::<u64>().prop_map(Position::new)
}

pub(crate) fn digest() -> impl Strategy<Value = PartitionDigest> {
    let digest = (position(), any::<[[u8; 32]; 3]>()).prop_map(|(position, [digest, chain, root])| Digest {
        position,
        digest: Hash(digest),
        chain: Hash(chain),
        root: Hash(root),
    });
    (partition(), or_failure(digest)).prop_map(|(partition, digest)| PartitionDigest { partition, digest })
}

pub(crate) fn compacted() -> impl Strategy<Value = CompactedPartition> {
    let position = or_failure(position());
    (partition(), position).prop_map(|(partition, position)| CompactedPartition { partition, position })
}

pub(crate) fn verified() -> impl Strategy<Value = VerifiedPartition> {
    let verified = (any::<[u64; 4]>(), proptest::collection::vec(any::<String>(), 0..3)).prop_map(
        |(numbers, findings)| {
            let [parts, events, log_entries, bytes] = numbers;
            Verified { parts, events, log_entries, bytes, findings }
        },
    );
    (partition(), or_failure(verified))
        .prop_map(|(partition, outcome)| VerifiedPartition { partition, outcome })
}

fn type_holdings() -> impl Strategy<Value = TypeHoldings> {
    ("[a-z.]{1,9}", any::<u64>(), any::<u64>()).prop_map(|(event_type, events, raw_bytes)| TypeHoldings {
        event_type,
        events,
        raw_bytes,
    })
}

pub(crate) fn holdings() -> impl Strategy<Value = PartitionHoldings> {
    let recorded = proptest::option::of((time(), time()));
    let types = proptest::collection::vec(type_holdings(), 0..4);
    let holdings = (any::<[u64; 9]>(), recorded, types).prop_map(held);
    ((0u8..32).prop_map(|number| PartitionId::new(number).unwrap()), or_failure(holdings))
        .prop_map(|(partition, holdings)| PartitionHoldings { partition, holdings })
}

fn held(
    (numbers, recorded, types): ([u64; 9], Option<(Timestamp, Timestamp)>, Vec<TypeHoldings>),
) -> Holdings {
    let [
        events,
        entities,
        parts,
        part_bytes,
        lookup_bytes,
        index_bytes,
        uncompacted,
        truncated_entities,
        erased,
    ] = numbers;
    Holdings {
        events,
        entities,
        recorded,
        parts,
        part_bytes,
        lookup_bytes,
        index_bytes,
        uncompacted,
        truncated_entities,
        erased,
        types,
    }
}
