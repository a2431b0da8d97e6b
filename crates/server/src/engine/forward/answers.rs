//! What this node does for the callers of another one.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Archive as _, Class, Error, Node as _, Reason};
use chronos_block::Block;
use chronos_cluster::NodeId;
use chronos_cluster::peer::{Handler, Message, Refusal};
use chronos_domain::{
    EntityId, EventId, ForkId, PartitionId, Position, Rejection, TenantId, Timestamp, Verdict, Version,
};
use chronos_proto::admin::{PartitionDigest, PartitionHoldings};
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;
use chronos_proto::peer::v1::{ForwardNothing, ForwardRequest, ForwardResponse, ForwardTruncated};
use chronos_proto::{PartitionMarks, read};
use chronos_wal::Mark;
use futures::FutureExt;
use futures::future::BoxFuture;
use prost::Message as _;

use super::wire;
use crate::admin::{digest, holdings};
use crate::engine::{Engine, not_fresh};
use crate::grpc::failure;

/// Answers by an engine that asks nobody else.
pub(in crate::engine) struct Answers(Engine);

impl Answers {
    pub(in crate::engine) fn new(engine: &Engine) -> Answers {
        Answers(engine.direct())
    }
}

impl Handler for Answers {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let engine = self.0.clone();
        async move {
            let malformed = |why: String| Refusal::new(Refusal::MALFORMED, why);
            let id = PartitionId::new(message.group)
                .ok_or_else(|| malformed(format!("there is no partition {}", message.group)))?;
            let request =
                ForwardRequest::decode(message.body).map_err(|error| malformed(error.to_string()))?;
            // Boxed: the futures of the use cases are large, and links hold many of these.
            let answer = answer(&engine, (from, id), request).boxed().await;
            let answer = answer.unwrap_or_else(|error| Answer::Failure(failure::failure(error).into()));
            let applied = engine.groups().partition(id).map(|partition| partition.applied_mark());
            // By now it may be discarded, and what was answered came from before that.
            let floor = engine.floors.at(id);
            let Mark { term, index } = applied.map_or(floor, |applied| applied.max(floor));
            let response = ForwardResponse { applied: index, applied_term: term, answer: Some(answer) };
            Ok(Bytes::from(response.encode_to_vec()))
        }
        .boxed()
    }
}

/// Does what is asked, here.
async fn answer(
    engine: &Engine,
    (from, id): (NodeId, PartitionId),
    request: ForwardRequest,
) -> Result<Answer, Error> {
    let deadline = engine.env.clock.monotonic() + Duration::from_micros(request.patience_us);
    let tenant = TenantId::parse(&request.tenant).map_err(Rejection::from);
    let unknown =
        || Error::new(Class::NotApplied, Reason::Unimplemented, "this release does not know what is asked");
    match request.ask.ok_or_else(unknown)? {
        Ask::Append(block) => append(engine, id, (&tenant?, &block), deadline).await,
        Ask::Truncate(ask) => {
            let entity = EntityId::parse(&ask.entity).map_err(Rejection::from)?;
            let done = engine.truncate(id, &tenant?, &entity, Version::new(ask.before), deadline).await?;
            let (before, version) = (done.before.get(), done.version.get());
            Ok(Answer::Truncated(ForwardTruncated { before, version }))
        }
        // Also where the partition is not here any more: what was lent of it still is.
        Ask::Keep(loan) => engine.go_on_lending(id, (from, loan)).map(done),
        ask => {
            // Who holds nothing of it says so at once, and does not wait for what never comes.
            engine.away(Class::Failed, id)?;
            let floor = Mark { term: request.floor_term, index: request.floor };
            engine.groups().reach(id, floor, deadline).await.map_err(|error| not_fresh(id, &error))?;
            // It may be discarded before it is read.
            engine.floors.raise(id, floor);
            let reading = Reading { engine, from, id, fork: ForkId::new(request.fork), tenant, deadline };
            reading.answer(ask).await
        }
    }
}

async fn append(
    engine: &Engine,
    id: PartitionId,
    (tenant, block): (&TenantId, &Bytes),
    deadline: Duration,
) -> Result<Answer, Error> {
    // A slice of the transport's buffer would keep all of it alive.
    let block = Block::reopen(Bytes::copy_from_slice(block)).map_err(|malformed| {
        Error::new(
            Class::NotApplied,
            Reason::Invalid,
            format!("the request was damaged on the way: {malformed}"),
        )
    })?;
    match engine.propose(id, tenant, block, deadline).await? {
        Verdict::Stored(receipt) => Ok(Answer::Receipt(wire::receipt_to_wire(receipt, false))),
        Verdict::Duplicate(receipt) => Ok(Answer::Receipt(wire::receipt_to_wire(receipt, true))),
        Verdict::Rejected(rejection) => Err(rejection.into()),
    }
}

/// One read.
struct Reading<'a> {
    engine: &'a Engine,
    from: NodeId,
    id: PartitionId,
    fork: ForkId,
    tenant: Result<TenantId, Rejection>,
    deadline: Duration,
}

impl Reading<'_> {
    async fn answer(&self, ask: Ask) -> Result<Answer, Error> {
        let Self { engine, id, deadline, .. } = *self;
        Ok(match ask {
            Ask::Linearize(_) => done(engine.linearize(id, deadline).await?),
            Ask::Settle(t) => done(engine.settle(id, Timestamp::new(t), deadline).await?),
            Ask::WaitApplied(position) => {
                done(engine.wait_applied(id, Position::new(position), deadline).await?)
            }
            Ask::Marks(_) => {
                Answer::Marks(PartitionMarks { partition: id, marks: Ok(engine.marks(id).await?) }.into())
            }
            Ask::BoundAt(t) => Answer::Number(engine.bound_at(id, Timestamp::new(t)).await?.get()),
            Ask::Digest(at) => {
                let digest = digest(engine.digest(id, Position::new(at), deadline).await?);
                Answer::Digest(PartitionDigest { partition: id, digest: Ok(digest) }.into())
            }
            Ask::Holdings(_) => {
                let holdings = holdings(engine.holdings(id).await?);
                Answer::Holdings(PartitionHoldings { partition: id, holdings: Ok(holdings) }.into())
            }
            Ask::Lend(ask) => {
                let (loan, until) = ((self.from, ask.loan), Timestamp::new(ask.until));
                let shelf = engine.lend(id, loan, until, deadline).await?;
                Answer::Manifest(shelf.manifest.encode().into())
            }
            Ask::Append(_) | Ask::Truncate(_) | Ask::Keep(_) => unreachable!("it was answered before"),
            ask => self.events(ask).await?,
        })
    }

    /// What is asked of one tenant's events.
    async fn events(&self, ask: Ask) -> Result<Answer, Error> {
        let Self { engine, id, deadline, .. } = *self;
        let tenant = self.tenant.clone()?;
        let space = (&tenant, self.fork);
        Ok(match ask {
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
                let found = engine.event(id, space, event_id(&event)?).await?;
                Answer::Page(wire::event_to_wire(found.as_ref()))
            }
            Ask::Prove(ask) => {
                let (event, at) = (event_id(&ask.event)?, Position::new(ask.at));
                let proof = engine.prove(id, space, event, at, deadline).await?;
                Answer::Proof(proof.map(|proof| proof.to_json()).unwrap_or_default().into())
            }
            _ => unreachable!("everything else asks about no tenant"),
        })
    }
}

fn event_id(bytes: &[u8]) -> Result<EventId, Error> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| Error::invalid("an event id has 16 bytes"))?;
    Ok(EventId::from_u128(u128::from_be_bytes(bytes)))
}

const fn done((): ()) -> Answer {
    Answer::Done(ForwardNothing {})
}
