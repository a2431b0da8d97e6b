//! Answers about whole histories in the words of the wire.

use chronos_app as app;
use chronos_proto::admin as wire;

pub(crate) fn digest(of: app::Digest) -> wire::Digest {
    wire::Digest { position: of.position, digest: of.digest, chain: of.chain, root: of.root }
}

pub(crate) fn verified(of: app::Verified) -> wire::Verified {
    wire::Verified {
        parts: of.parts,
        events: of.events,
        log_entries: of.log_entries,
        bytes: of.bytes,
        findings: of.findings,
    }
}

pub(crate) fn holdings(of: app::Holdings) -> wire::Holdings {
    wire::Holdings {
        events: of.events,
        entities: of.entities,
        recorded: of.recorded,
        parts: of.parts,
        part_bytes: of.part_bytes,
        lookup_bytes: of.lookup_bytes,
        index_bytes: of.index_bytes,
        uncompacted: of.uncompacted,
        truncated_entities: of.truncated_entities,
        erased: of.erased,
        types: of.types.into_iter().map(type_holdings).collect(),
    }
}

fn type_holdings(of: app::TypeHoldings) -> wire::TypeHoldings {
    wire::TypeHoldings { event_type: of.event_type, events: of.events, raw_bytes: of.raw_bytes }
}
