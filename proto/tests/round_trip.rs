//! What goes through the wire, or through JSON, comes back as it was.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod any;

use chronos_block::{Compression, Packer, Recorded};
use chronos_domain::{EventId, ForkId, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proto::admin::{CompactedPartition, PartitionDigest, PartitionHoldings, VerifiedPartition};
use chronos_proto::json::{self, EventJson, Layout};
use chronos_proto::{
    Appended, Consistency, Event, Failure, Info, Moment, Placement, Reducer, append, cluster, read, v1,
};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

/// Through the bytes of a message.
fn wire<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn never() -> EventId {
    panic!("every event has an id")
}

fn object(event: &Event, layout: Layout) -> String {
    let mut out = Vec::new();
    json::write(&mut out, event, layout);
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_draft_comes_back(draft in any::draft()) {
        prop_assert_eq!(append::draft(wire(&v1::NewEvent::from(&draft)), 0, never).unwrap(), draft);
    }

    #[test]
    fn an_event_comes_back(event in any::event()) {
        prop_assert_eq!(Event::try_from(wire(&v1::Event::from(event.clone()))).unwrap(), event);
    }

    #[test]
    fn a_stored_event_is_the_same_from_its_block_and_from_the_wire(draft in any::draft()) {
        let mut packer = Packer::new();
        packer.push(draft.clone()).unwrap();
        let recorded = Recorded {
            block: packer.finish(Compression::None).unwrap(),
            slot: 0,
            tenant: TenantId::default_tenant(),
            fork: ForkId::MAIN,
            partition: PartitionId::new(7).unwrap(),
            position: Position::new(3),
            version: Version::new(2),
            recorded_at: Timestamp::new(1),
            erased: false,
        };
        let event = Event::try_from(wire(&v1::Event::from(&recorded))).unwrap();
        prop_assert_eq!(&event.payload, &draft.payload);
        prop_assert_eq!(event.event_id, draft.event_id);
        let mut from_block = Vec::new();
        json::write(&mut from_block, &recorded, Layout::Embedded);
        prop_assert_eq!(String::from_utf8(from_block).unwrap(), object(&event, Layout::Embedded));
    }

    #[test]
    fn an_event_comes_back_from_json_byte_for_byte(event in any::event()) {
        let text = object(&event, Layout::Embedded);
        prop_assert_eq!(EventJson::parse(&text).unwrap().into_event().unwrap(), event);
    }

    #[test]
    fn an_erased_event_comes_back_from_the_wire_and_from_json(event in any::erased()) {
        let back = Event::try_from(wire(&v1::Event::from(event.clone()))).unwrap();
        prop_assert_eq!(&back, &event);
        let text = object(&event, Layout::Embedded);
        prop_assert!(text.ends_with(",\"erased\":true}") && text.contains("\"payload\":null,"), "{}", text);
        prop_assert_eq!(&EventJson::parse(&text).unwrap().into_event().unwrap(), &event);
        prop_assert_eq!(EventJson::parse(&text).unwrap().into_draft(never).unwrap_err().field, "erased");
        let other = text.replace("\"payload\":null", "\"payload\":1");
        prop_assert_eq!(EventJson::parse(&other).unwrap().into_event().unwrap_err().field, "payload");
    }

    #[test]
    fn a_line_is_one_line_and_means_the_same(event in any::event()) {
        let text = object(&event, Layout::Line);
        prop_assert!(!text.contains(['\n', '\r']), "{}", text);
        let back = EventJson::parse(&text).unwrap().into_event().unwrap();
        if event.is_json() {
            let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(value(&back.payload), value(&event.payload));
            if !event.payload.contains(&b'\n') && !event.payload.contains(&b'\r') {
                prop_assert_eq!(&back.payload, &event.payload);
            }
        }
        prop_assert_eq!(Event { payload: event.payload.clone(), ..back }, event);
    }

    #[test]
    fn what_was_exported_can_be_appended(event in any::event()) {
        let text = object(&event, Layout::Embedded);
        let draft = EventJson::parse(&text).unwrap().into_draft(never).unwrap();
        prop_assert_eq!(draft.event_id, event.event_id);
        prop_assert_eq!(draft.payload, event.payload);
        prop_assert_eq!(draft.metadata, event.metadata);
    }

    #[test]
    fn an_expectation_comes_back(entity in any::entity_id(), expectation in any::expectation()) {
        let message = wire(&append::expectation_message(&entity, expectation));
        prop_assert_eq!(append::expectation(&message).unwrap(), (entity, expectation));
    }

    #[test]
    fn a_condition_comes_back(condition in any::condition()) {
        prop_assert_eq!(append::condition(&wire(&v1::Condition::from(&condition))).unwrap(), condition);
    }

    #[test]
    fn a_filter_comes_back(filter in any::filter()) {
        prop_assert_eq!(read::filter(wire(&v1::Filter::from(filter.clone()))).unwrap(), filter);
    }

    #[test]
    fn a_moment_and_a_consistency_come_back(moment in any::moment(), consistency in any::consistency()) {
        prop_assert_eq!(Moment::try_from(wire(&v1::AsOf::from(moment.clone()))).unwrap(), moment);
        prop_assert_eq!(Consistency::try_from(wire(&v1::Consistency::from(consistency.clone()))).unwrap(), consistency);
    }

    #[test]
    fn an_answer_comes_back(first in 1..u64::MAX, versions in vec(1..u64::MAX, 1..20), token in any::token()) {
        let appended = Appended {
            partition: PartitionId::new(31).unwrap(),
            first_position: Position::new(first),
            versions: versions.into_iter().map(Version::new).collect(),
            recorded_at: Timestamp::new(-5),
            deduplicated: true,
            token,
            durability: "quorum-fsync".to_owned(),
        };
        prop_assert_eq!(Appended::try_from(wire(&v1::AppendResponse::from(appended.clone()))).unwrap(), appended);
    }

    #[test]
    fn a_failure_comes_back_from_a_stream_and_from_a_status(failure in any::failure()) {
        prop_assert_eq!(&Failure::try_from(wire(&v1::Failure::from(failure.clone()))).unwrap(), &failure);
        prop_assert_eq!(Failure::from_status(&failure.clone().into_status()), failure);
    }

    #[test]
    fn a_placement_comes_back(placement in any::placement()) {
        let message = wire(&v1::PlacementResponse::from(placement.clone()));
        prop_assert_eq!(Placement::try_from(message).unwrap(), placement);
    }

    #[test]
    fn what_a_node_says_of_itself_comes_back(info in any::info()) {
        prop_assert_eq!(Info::try_from(wire(&v1::InfoResponse::from(info.clone()))).unwrap(), info);
    }

    #[test]
    fn what_is_said_of_a_whole_partition_comes_back(
        digest in any::digest(), compacted in any::compacted(), verified in any::verified(), held in any::holdings(),
    ) {
        let back = PartitionDigest::try_from(wire(&v1::PartitionDigest::from(digest.clone())));
        prop_assert_eq!(back.unwrap(), digest);
        let back = CompactedPartition::try_from(wire(&v1::CompactedPartition::from(compacted.clone())));
        prop_assert_eq!(back.unwrap(), compacted);
        let back = VerifiedPartition::try_from(wire(&v1::VerifyResponse::from(verified.clone())));
        prop_assert_eq!(back.unwrap(), verified);
        let back = PartitionHoldings::try_from(wire(&v1::PartitionHoldings::from(held.clone())));
        prop_assert_eq!(back.unwrap(), held);
    }

    #[test]
    fn a_cluster_comes_back_as_it_was_seen(
        status in any::cluster::status(), change in any::cluster::change(), plan in any::cluster::plan(),
    ) {
        let back = cluster::Status::try_from(wire(&cluster::v1::StatusResponse::from(status.clone())));
        prop_assert_eq!(back.unwrap(), status);
        let back = cluster::Change::try_from(wire(&cluster::v1::WatchResponse::from(change.clone())));
        prop_assert_eq!(back.unwrap(), change);
        let back = cluster::Plan::try_from(wire(&cluster::v1::PlanResponse::from(plan.clone())));
        prop_assert_eq!(back.unwrap(), plan);
    }

    #[test]
    fn what_nodes_did_comes_back(
        compacted in any::cluster::compacted(), scrub in any::cluster::scrub(), verified in any::cluster::verified(),
        comparison in any::cluster::comparison(), repaired in any::cluster::repaired(),
    ) {
        let back = cluster::Compacted::try_from(wire(&cluster::v1::Compacted::from(compacted.clone())));
        prop_assert_eq!(back.unwrap(), compacted);
        let back = cluster::ScrubBegun::try_from(wire(&cluster::v1::ScrubBegun::from(scrub.clone())));
        prop_assert_eq!(back.unwrap(), scrub);
        let back = cluster::VerifiedReplica::try_from(wire(&cluster::v1::VerifyResponse::from(verified.clone())));
        prop_assert_eq!(back.unwrap(), verified);
        let back = cluster::Comparison::try_from(wire(&cluster::v1::DigestResponse::from(comparison.clone())));
        prop_assert_eq!(back.unwrap(), comparison);
        let back = cluster::Repaired::try_from(wire(&cluster::v1::RepairResponse::from(repaired.clone())));
        prop_assert_eq!(back.unwrap(), repaired);
    }

    #[test]
    fn settings_come_back(config in any::cluster::config(), changed in any::cluster::changed()) {
        let back = cluster::NodeConfig::try_from(wire(&cluster::v1::NodeConfig::from(config.clone())));
        prop_assert_eq!(back.unwrap(), config);
        let back = cluster::SettingChanged::try_from(wire(&cluster::v1::SettingChanged::from(changed.clone())));
        prop_assert_eq!(back.unwrap(), changed);
    }

    #[test]
    fn a_plain_request_is_packed_as_it_was_asked(drafts in vec(any::draft(), 1..10), expectation in any::expectation()) {
        let ids: std::collections::BTreeSet<_> = drafts.iter().map(|draft| draft.event_id).collect();
        prop_assume!(ids.len() == drafts.len());
        let request = v1::AppendRequest {
            events: drafts.iter().map(v1::NewEvent::from).collect(),
            expectations: vec![append::expectation_message(&drafts[0].entity_id, expectation)],
            condition: None,
        };
        let packed = append::pack(wire(&request), never).unwrap();
        prop_assert!(packed.event_ids.is_empty());
        for (i, draft) in drafts.iter().enumerate() {
            let event = packed.block.event(i);
            prop_assert_eq!(event.event_id, draft.event_id);
            prop_assert_eq!(event.entity_id, draft.entity_id.as_str());
            prop_assert_eq!(event.payload, &draft.payload[..]);
            prop_assert_eq!(event.occurred_at, draft.occurred_at);
        }
    }
}

#[test]
fn every_reducer_comes_back_by_name_and_by_number() {
    for reducer in Reducer::ALL {
        assert_eq!(Reducer::parse(reducer.as_str()).unwrap(), reducer);
        assert_eq!(Reducer::from_wire(reducer.to_wire()).unwrap(), reducer);
    }
}

#[test]
fn a_hash_of_another_length_is_refused_by_name() {
    let bytes = |count: usize| vec![1; count].into();
    let message =
        v1::PartitionDigest { digest: bytes(32), chain: bytes(31), root: bytes(32), ..Default::default() };
    assert_eq!(PartitionDigest::try_from(message).unwrap_err().field, "chain");
}

#[test]
fn partitions_are_listed_in_order_once_and_all_of_them_are_meant_by_none() {
    let listed = |numbers: &[u32]| {
        chronos_proto::admin::partitions(numbers).map(|all| all.iter().map(|p| p.get()).collect::<Vec<_>>())
    };
    assert_eq!(listed(&[3, 1, 3]), Ok(vec![1, 3]));
    assert_eq!(listed(&[]).unwrap().len(), 32);
    assert_eq!(listed(&[32]).unwrap_err().field, "partition");
}

#[test]
fn a_role_of_a_later_release_is_not_taken_for_another() {
    let message = cluster::v1::Replica { role: 9, health: 1, ..Default::default() };
    assert_eq!(cluster::Replica::try_from(message).unwrap_err().field, "role");
    let message = cluster::v1::Replica { role: 1, ..Default::default() };
    assert_eq!(cluster::Replica::try_from(message).unwrap_err().field, "health");
}

#[test]
fn operators_know_the_system_partition_and_clients_do_not() {
    assert_eq!(cluster::partition(32), Ok(PartitionId::SYSTEM));
    assert!(cluster::partition(33).unwrap_err().to_string().contains("system"));
    assert!(chronos_proto::partition(32).is_err());
    assert_eq!(cluster::partitions(&[32, 1, 32]).unwrap().len(), 2);
    assert_eq!(cluster::partitions(&[]), Ok(vec![]));
}

#[test]
fn replicas_are_equal_only_when_all_of_them_say_the_same() {
    use chronos_proto::admin::Digest;
    use cluster::{Comparison, NodeId, ReplicaDigest, Verdict};
    let partition = PartitionId::new(7).unwrap();
    let digest = |byte| {
        let hash = chronos_proof::Hash([byte; 32]);
        Ok(Digest { position: Position::new(9), digest: hash, chain: hash, root: hash })
    };
    let silent = || Err(Failure::new(chronos_proto::Class::Failed, "UNAVAILABLE", "it is down"));
    let verdict = |given: Vec<Result<Digest, Failure>>| {
        let replicas = given.into_iter().zip(1..).map(|(digest, node)| ReplicaDigest {
            node: NodeId::new(node),
            digest: PartitionDigest { partition, digest },
        });
        Comparison::of(partition, Position::new(9), replicas.collect()).verdict
    };
    assert_eq!(verdict(vec![digest(1), digest(1), digest(1)]), Verdict::Equal);
    assert_eq!(verdict(vec![digest(1), silent(), digest(1)]), Verdict::Incomplete);
    assert_eq!(verdict(vec![silent(), digest(1), digest(2)]), Verdict::Different);
    assert_eq!(verdict(vec![silent()]), Verdict::Incomplete);
    assert_eq!(verdict(vec![]), Verdict::Incomplete);
}
