//! What this node does for the callers of another one.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Archive as _, Class, Error, Node as _, Reason};
use chronos_block::{Block, Page};
use chronos_cluster::NodeId;
use chronos_cluster::peer::{Handler, Message, Refusal};
use chronos_domain::{
    EntityId, EventId, ForkId, PartitionId, Position, Receipt, Rejection, TenantId, Timestamp, Verdict, Version,
};
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;
use chronos_proto::peer::v1::{
    ForwardDigest, ForwardReceipt, ForwardRequest, ForwardResponse, ForwardTruncated,
};
use chronos_proto::read;
use futures::FutureExt;
use futures::future::BoxFuture;
use prost::Message as _;

use super::wire;
use super::wire::nothing;
use super::{COMMAND, READ};
use crate::engine::{Engine, not_fresh};
use crate::grpc::failure;

/// Answers by an engine that asks nobody else.
pub(in crate::engine) struct Answers(pub(in crate::engine) Engine);

impl Handler for Answers {
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let engine = self.0.clone();
        async move {
            let malformed = |why: String| Refusal::new(Refusal::MALFORMED, why);
            let id = PartitionId::new(message.group)
                .ok_or_else(|| malformed(format!("there is no partition {}", message.group)))?;
            let request = ForwardRequest::decode(message.body).map_err(|error| malformed(error.to_string()))?;
            if !matches!(message.kind, COMMAND | READ) {
                return Err(malformed(format!("nothing is passed on as kind {}", message.kind)));
            }
            let answer = answer(&engine, id, request).await;
            let answer = answer.unwrap_or_else(|error| Answer::Failure(failure::failure(error).into()));
            let applied = engine.groups().partition(id).map_or(0, |partition| partition.applied_index().get());
            let response = ForwardResponse { applied, answer: Some(answer) };
            Ok(Bytes::from(response.encode_to_vec()))
        }
        .boxed()
    }
}

/// Does what is asked, here.
async fn answer(engine: &Engine, id: PartitionId, request: ForwardRequest) -> Result<Answer, Error> {
    let deadline = engine.env.clock.monotonic() + Duration::from_micros(request.patience_us);
    let tenant = TenantId::parse(&request.tenant).map_err(Rejection::from)?;
    let space = (&tenant, ForkId::new(request.fork));
    let nothing_asked = || Error::new(Class::NotApplied, Reason::Unimplemented, "this release does not know the request");
    match request.ask.ok_or_else(nothing_asked)? {
        Ask::Append(block) => append(engine, id, (&tenant, block), deadline).await,
        Ask::Truncate(ask) => {
            let entity = EntityId::parse(&ask.entity).map_err(Rejection::from)?;
            let done = engine.truncate(id, &tenant, &entity, Version::new(ask.before), deadline).await?;
            let (before, version) = (done.before.get(), done.version.get());
            Ok(Answer::Truncated(ForwardTruncated { before, version }))
        }
        ask => {
            engine.groups().caught_up(id, request.floor, deadline).await.map_err(|error| not_fresh(id, &error))?;
            read(engine, id, space, (ask, deadline)).await
        }
    }
}

async fn append(
    engine: &Engine,
    id: PartitionId,
    (tenant, block): (&TenantId, Bytes),
    deadline: Duration,
) -> Result<Answer, Error> {
    // A slice of the transport's buffer would keep all of it alive.
    let block = Block::reopen(Bytes::copy_from_slice(&block)).map_err(|malformed| {
        Error::new(Class::NotApplied, Reason::Invalid, format!("the request was damaged on the way: {malformed}"))
    })?;
    let receipt = |Receipt { first, recorded_at, first_versions }, duplicate| ForwardReceipt {
        first: Position::get(first),
        recorded_at: Timestamp::get(recorded_at),
        first_versions: first_versions.into_iter().map(Version::get).collect(),
        duplicate,
    };
    match engine.propose(id, tenant, block, deadline).await? {
        Verdict::Stored(stored) => Ok(Answer::Receipt(receipt(stored, false))),
        Verdict::Duplicate(stored) => Ok(Answer::Receipt(receipt(stored, true))),
        Verdict::Rejected(rejection) => Err(rejection.into()),
    }
}

async fn read(
    engine: &Engine,
    id: PartitionId,
    space: (&TenantId, ForkId),
    (ask, deadline): (Ask, Duration),
) -> Result<Answer, Error> {
    Ok(match ask {
        Ask::Linearize(_) => done(engine.linearize(id, deadline).await?),
        Ask::Settle(t) => done(engine.settle(id, Timestamp::new(t), deadline).await?),
        Ask::WaitApplied(position) => done(engine.wait_applied(id, Position::new(position), deadline).await?),
        Ask::Head(_) => Answer::Number(engine.head(id).await?.get()),
        Ask::BoundAt(t) => Answer::Number(engine.bound_at(id, Timestamp::new(t)).await?.get()),
        Ask::Version(ask) => {
            let version = engine.version(id, space, &ask.entity, Position::new(ask.bound)).await?;
            Answer::Number(version.get())
        }
        Ask::Entity(ask) => {
            let page = engine.entity(id, space, &ask.entity, wire::range(ask.range)).await?;
            Answer::Page(wire::page_to_wire(&page))
        }
        Ask::Scan(ask) => {
            let filter = read::filter(ask.filter.unwrap_or_default()).map_err(Rejection::from)?;
            let page = engine.scan(id, space, wire::range(ask.range), &filter).await?;
            Answer::Page(wire::page_to_wire(&page))
        }
        Ask::Event(event) => {
            let bytes = <[u8; 16]>::try_from(event.as_ref()).map_err(|_| Error::invalid("an event id has 16 bytes"))?;
            let found = engine.event(id, space, EventId::from_bytes(bytes)).await?;
            let zero = (Position::ZERO, Version::ZERO);
            let events = found.into_iter().collect();
            let page = Page { events, next: None, examined: zero.0, applied: zero.0, truncated_before: zero.1 };
            Answer::Page(wire::page_to_wire(&page))
        }
        Ask::Digest(at) => {
            let digest = engine.digest(id, Position::new(at), deadline).await?;
            let bytes = |hash: chronos_proof::Hash| Bytes::copy_from_slice(&hash.0);
            Answer::Digest(ForwardDigest {
                position: digest.position.get(),
                digest: bytes(digest.digest),
                chain: bytes(digest.chain),
                root: bytes(digest.root),
            })
        }
        Ask::Append(_) | Ask::Truncate(_) => unreachable!("commands are no reads"),
    })
}

const fn done((): ()) -> Answer {
    Answer::Done(nothing())
}
