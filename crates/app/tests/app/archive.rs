//! What is asked of whole histories goes to the right partitions with the right bounds.

use std::time::Duration;

use chronos_app::{
    App, Archive, AsOf, Class, Digest, Error, Holdings, Principal, Reason, Truncation, Verified, Wait,
};
use chronos_domain::{
    ContentType, EntityId, EventId, ForkId, PartitionId, Position, TenantId, Timestamp, Token, Version, place,
};
use chronos_proof::{Evidence, Fields, Hash, Proof};

use crate::node::{Plain, at_once};

/// A partition that this node does not serve.
const REFUSED: PartitionId = PartitionId::new(5).unwrap();

fn refusal() -> Error {
    Error::new(Class::Failed, Reason::Corrupt, "refused here")
}

/// Answers say what was asked.
impl Archive for Plain {
    async fn truncate(
        &self,
        partition: PartitionId,
        tenant: &TenantId,
        entity: &EntityId,
        before: Version,
        _: Duration,
    ) -> Result<Truncation, Error> {
        assert_eq!(partition, place(tenant.as_str(), entity.as_str()));
        self.truncate(entity, before);
        Ok(Truncation { before, version: before })
    }

    async fn cut(&self, partition: PartitionId, _: Duration) -> Result<Position, Error> {
        if partition == REFUSED { Err(refusal()) } else { Ok(self.head(partition)) }
    }

    async fn compact(&self, partition: PartitionId, _: Duration) -> Result<Position, Error> {
        if partition == REFUSED {
            return Err(refusal());
        }
        self.note_compacted();
        Ok(self.head(partition))
    }

    async fn digest(&self, partition: PartitionId, at: Position, _: Duration) -> Result<Digest, Error> {
        let hash = Hash([partition.get(); 32]);
        if partition == REFUSED {
            return Err(refusal());
        }
        Ok(Digest { position: at, digest: hash, chain: hash, root: hash })
    }

    async fn prove(
        &self,
        partition: PartitionId,
        _: (&TenantId, ForkId),
        event: EventId,
        at: Position,
        _: Duration,
    ) -> Result<Option<Proof>, Error> {
        assert!(!at.is_zero());
        if self.find(partition, event).is_none_or(|position| position > at) {
            return if partition == REFUSED { Err(refusal()) } else { Ok(None) };
        }
        let fields = Fields {
            partition,
            // A tree of one event needs no path.
            position: Position::new(1),
            version: Version::new(1),
            recorded_at: Timestamp::ZERO,
            tenant: "default",
            fork: ForkId::MAIN,
            event_id: event,
            entity_id: "e",
            event_type: "t",
            content_type: "application/json",
            occurred_at: None,
            tags: &[],
            metadata: b"",
            payload: b"{}",
        };
        let evidence = Evidence { size: Position::new(1), chain: Hash::default(), path: Vec::new() };
        Ok(Some(Proof::of_event(&fields, evidence)))
    }

    async fn verify(&self, partition: PartitionId) -> Result<Verified, Error> {
        if partition == REFUSED { Err(refusal()) } else { Ok(Verified::default()) }
    }

    async fn holdings(&self, partition: PartitionId) -> Result<Holdings, Error> {
        if partition == REFUSED { Err(refusal()) } else { Ok(Holdings::default()) }
    }
}

fn filled() -> (Plain, App<Plain>) {
    let node = Plain::default();
    for n in 0..300 {
        let entity = EntityId::parse(&format!("entity-{}", n % 97)).unwrap();
        node.store(&entity, "{}", ContentType::json());
    }
    let app = App::new(node.clone());
    (node, app)
}

fn who() -> Principal {
    Principal::default()
}

#[test]
fn digests_are_those_of_the_moment_and_a_refused_partition_says_so_in_its_place() {
    let (node, app) = filled();
    let now = at_once(app.digests(&who(), None, Duration::MAX)).unwrap();
    assert_eq!(now.partitions.len(), 32);
    for (partition, digest) in &now.partitions {
        match digest {
            Ok(digest) => assert_eq!(digest.position, node.head(*partition)),
            Err(error) => assert_eq!((*partition, error), (REFUSED, &refusal())),
        }
        let covered = if *partition == REFUSED { Position::ZERO } else { node.head(*partition) };
        assert_eq!(now.token.get(*partition), covered);
    }
    let then = AsOf::Timestamp(Timestamp::new(100_000_000));
    let then = at_once(app.digests(&who(), Some(&then), Duration::MAX)).unwrap();
    let covered: u64 =
        then.partitions.iter().filter_map(|(_, d)| Some(d.as_ref().ok()?.position.get())).sum();
    assert!((80..=101).contains(&covered), "{covered} events of the first 101 seconds");
    let again = AsOf::Token(then.token.clone());
    assert_eq!(at_once(app.digests(&who(), Some(&again), Duration::MAX)).unwrap().token, then.token);
    let version = AsOf::Version(Version::new(1));
    assert_eq!(
        at_once(app.digests(&who(), Some(&version), Duration::MAX)).unwrap_err().reason,
        Reason::Invalid
    );
}

#[test]
fn a_proof_is_found_wherever_its_event_lives_and_only_in_its_past() {
    let (node, app) = filled();
    let prove = |event, as_of: Option<&AsOf>| at_once(app.prove(&who(), event, as_of, Duration::MAX));
    let event = EventId::from_u128(200);
    let home = PartitionId::all().find(|partition| node.find(*partition, event).is_some()).unwrap();
    assert_eq!(prove(event, None).unwrap().partition(), home);
    // Nobody can say that it is nowhere while one partition does not answer.
    assert_eq!(prove(EventId::from_u128(1 << 90), None).unwrap_err(), refusal());
    let only = |partition: PartitionId, at| AsOf::Token(Token::at(partition, Position::new(at)));
    let place = node.find(home, event).unwrap().get();
    assert_eq!(prove(event, Some(&only(home, place))).unwrap().partition(), home);
    let error = prove(event, Some(&only(home, place - 1))).unwrap_err();
    assert_eq!(error.reason, Reason::NotFound);
}

#[test]
fn a_truncation_goes_to_the_partition_of_its_entity_and_needs_a_version() {
    let (node, app) = filled();
    let entity = EntityId::parse("entity-3").unwrap();
    let truncate = |before| at_once(app.truncate(&who(), &entity, Version::new(before), Duration::MAX));
    let (partition, done) = truncate(2).unwrap();
    assert_eq!((partition, done.before), (place("default", "entity-3"), Version::new(2)));
    assert_eq!(node.left(&entity).len(), 3);
    assert_eq!(truncate(0).unwrap_err().class, Class::Rejected);
}

#[test]
fn a_compaction_waits_for_those_partitions_that_took_it() {
    let (node, app) = filled();
    let all: Vec<_> = PartitionId::all().collect();
    let compact = |wait| at_once(app.compact(&who(), &all, (wait, Duration::MAX))).unwrap();
    for (partition, end) in compact(Wait::No) {
        assert_eq!(end.ok(), (partition != REFUSED).then(|| node.head(partition)));
    }
    assert_eq!(node.take_compacted(), 0);
    for (partition, end) in compact(Wait::Yes) {
        assert_eq!(end.ok(), (partition != REFUSED).then(|| node.head(partition)));
    }
    assert_eq!(node.take_compacted(), 31);
}

#[test]
fn holdings_and_verification_name_the_partition_that_refuses() {
    let (_, app) = filled();
    let holdings = at_once(app.holdings(&who())).unwrap();
    let refused: Vec<_> = holdings.iter().filter(|(_, held)| held.is_err()).map(|(id, _)| *id).collect();
    assert_eq!(refused, [REFUSED]);
    assert_eq!(at_once(app.verify(&who(), REFUSED)), Err(refusal()));
}
