//! Commands on their way to the leader, and what they came to.

use chronos_app::{Error, Truncation};
use chronos_block::Block;
use chronos_domain::{EntityId, PartitionId, Verdict, Version};
use chronos_proto::peer::v1::ForwardTruncate;
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;

use super::{Kind, odd, wire};

/// An append, byte for byte as its caller packed it.
pub(in crate::engine) fn append(block: &Block) -> Ask {
    Ask::Append(block.bytes().clone())
}

/// What an append came to.
pub(in crate::engine) fn verdict(id: PartitionId, answer: Answer) -> Result<Verdict, Error> {
    match answer {
        Answer::Receipt(receipt) => Ok(wire::verdict(receipt)),
        _ => Err(odd(id, Kind::Command)),
    }
}

pub(in crate::engine) fn truncate(entity: &EntityId, before: Version) -> Ask {
    Ask::Truncate(ForwardTruncate { entity: entity.to_string(), before: before.get() })
}

/// What a truncation came to.
pub(in crate::engine) fn truncation(id: PartitionId, answer: Answer) -> Result<Truncation, Error> {
    match answer {
        Answer::Truncated(done) => {
            Ok(Truncation { before: Version::new(done.before), version: Version::new(done.version) })
        }
        _ => Err(odd(id, Kind::Command)),
    }
}
