//! The leaf covers every field.

use chronos_domain::{EventId, ForkId, PartitionId, Position, Timestamp, Version};
use chronos_proof::{Fields, leaf};
use proptest::prelude::*;

use crate::events::{any, full};

#[test]
fn a_change_of_any_field_changes_the_leaf() {
    let base = full();
    let changed = [
        Fields { partition: PartitionId::new(6).unwrap(), ..base },
        Fields { position: Position::new(18), ..base },
        Fields { version: Version::new(4), ..base },
        Fields { recorded_at: Timestamp::new(1_763_736_559_123_457), ..base },
        Fields { tenant: "defaulu", ..base },
        Fields { fork: ForkId::new(1), ..base },
        Fields { event_id: EventId::from_u128(1), ..base },
        Fields { entity_id: "order-{cust42}-8", ..base },
        Fields { event_type: "order.placee", ..base },
        Fields { content_type: "application/jsom", ..base },
        Fields { occurred_at: None, ..base },
        Fields { occurred_at: Some(Timestamp::ZERO), ..base },
        Fields { tags: &["eu"], ..base },
        Fields { tags: &["et", "priorité"], ..base },
        Fields { metadata: br#"{"actor":"anm"}"#, ..base },
        Fields { metadata: b"", ..base },
        Fields { payload: br#"{"total":12.51}"#, ..base },
        Fields { payload: br#"{"total":12.5}"#, ..base },
    ];
    let mut leaves: Vec<_> = changed.iter().chain([&base]).map(leaf).collect();
    leaves.sort_unstable();
    leaves.dedup();
    assert_eq!(leaves.len(), changed.len() + 1);
}

#[test]
fn bytes_that_move_from_one_field_to_the_next_change_the_leaf() {
    let base = full();
    let moved = [
        (Fields { tenant: "ab", entity_id: "c", ..base }, Fields { tenant: "a", entity_id: "bc", ..base }),
        (Fields { tags: &["ab", "c"], ..base }, Fields { tags: &["a", "bc"], ..base }),
        (Fields { tags: &["a"], metadata: b"", ..base }, Fields { tags: &[], metadata: b"a", ..base }),
        (Fields { metadata: b"a", payload: b"", ..base }, Fields { metadata: b"", payload: b"a", ..base }),
        (Fields { occurred_at: None, ..base }, Fields { occurred_at: Some(Timestamp::ZERO), ..base }),
    ];
    for (one, other) in moved {
        assert_ne!(leaf(&one), leaf(&other), "{one:?} and {other:?}");
    }
}

#[test]
#[should_panic(expected = "tags of a stored event ascend")]
fn tags_in_another_order_are_no_stored_event() {
    leaf(&Fields { tags: &["b", "a"], ..full() });
}

proptest! {
    #[test]
    fn two_events_have_one_leaf_only_when_they_are_equal(one in any(), other in any()) {
        let equal = one.with(|one| other.with(|other| (one == other, leaf(one) == leaf(other))));
        prop_assert_eq!(equal.0, equal.1);
    }
}
