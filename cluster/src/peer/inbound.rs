//! The calls of other nodes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chronos_env::Env;
use chronos_proto::peer::v1::{self, bulk_response, link_request, link_response, peer_server};
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::answers::{Answering, Answers};
use super::bulk::{BulkItem, BulkStream, Sending};
use super::doorman::{Doorman, Pass, Purpose};
use super::hello::{Hello, Turned, Welcome, Why};
use super::pace::Pace;
use super::registrar::Registrar;
use super::security::{Certificate, Guard};
use super::stats::Counters;
use super::{BulkSource, Handler, Limits};

/// Who is at the other end of a connection that arrived, as far as the connection says.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) address: SocketAddr,
    pub(super) certificate: Option<Certificate>,
    /// Set when a greeting was welcome.
    pub(super) is_welcome: Arc<AtomicBool>,
    /// Set when it asked to become a node.
    pub(super) is_joining: Arc<AtomicBool>,
}

/// Answers the calls of other nodes.
#[derive(Clone)]
pub(super) struct Inbound {
    pub(super) env: Env,
    pub(super) limits: Limits,
    pub(super) guard: Guard,
    pub(super) doorman: Arc<Doorman>,
    pub(super) counters: Arc<Counters>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) source: Arc<dyn BulkSource>,
    pub(super) registrar: Arc<dyn Registrar>,
    pub(super) pace: Arc<Pace>,
    pub(super) bulk_streams: Arc<Semaphore>,
}

impl Inbound {
    /// Judges a greeting; a no is counted and logged.
    fn greet(
        &self,
        visitor: &Visitor,
        hello: Option<v1::Hello>,
        purpose: Purpose,
    ) -> Result<(Pass, Welcome), Turned> {
        let hello = hello.and_then(Hello::from_wire);
        let judged = match &hello {
            None => Err(self
                .doorman
                .turned(Why::Malformed, "the first message is no greeting of a node".to_owned())),
            Some(hello) => self
                .guard
                .vouches(visitor.certificate.as_ref(), hello.from.node)
                .map_err(|text| self.doorman.turned(Why::Certificate, text))
                .and_then(|()| self.doorman.greet(hello, purpose)),
        };
        match &judged {
            Ok(_) => visitor.is_welcome.store(true, Ordering::Relaxed),
            Err(turned) => {
                chronos_env::sometimes!("peer.turned_away");
                self.counters.turned_away(turned.why);
                let (from, release) = hello
                    .as_ref()
                    .map_or((None, ""), |hello| (Some(hello.from.node.get()), hello.release.as_str()));
                tracing::warn!(
                    address = %visitor.address, from, release, why = turned.why.name(), "turned away: {}", turned.text
                );
            }
        }
        judged
    }
}

fn visitor<T>(request: &Request<T>) -> Visitor {
    request.extensions().get().cloned().expect("every call comes over a connection that was noted")
}

#[tonic::async_trait]
impl peer_server::Peer for Inbound {
    type LinkStream = BoxStream<'static, Result<v1::LinkResponse, Status>>;
    type BulkStream = BulkStream;

    async fn link(
        &self,
        request: Request<Streaming<v1::LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let visitor = visitor(&request);
        let mut incoming = request.into_inner();
        // How long this may take is bounded by whoever drives the connection.
        let first = incoming.message().await?;
        let hello = match first.and_then(|first| first.message) {
            Some(link_request::Message::Hello(hello)) => Some(hello),
            _ => None,
        };
        let (pass, welcome) = match self.greet(&visitor, hello, Purpose::Link) {
            Ok(judged) => judged,
            Err(turned) => {
                let message = Some(link_response::Message::Turned(turned.to_wire()));
                return Ok(Response::new(stream::iter([Ok(v1::LinkResponse { message })]).boxed()));
            }
        };
        tracing::info!(from = %pass.node, address = %visitor.address, incarnation = pass.incarnation, "another node connected");
        let (answers, outgoing) = Answers::new(welcome.to_wire(), self.limits.frame_bytes);
        let answering = Answering {
            clock: self.env.clock.clone(),
            handler: Arc::clone(&self.handler),
            counters: Arc::clone(&self.counters),
            limits: self.limits.clone(),
            pass,
            incoming,
            answers,
        };
        // Ends when `outgoing` is dropped, which is when the connection ends.
        drop(self.env.tasks.spawn("peer link", answering.run()));
        Ok(Response::new(outgoing.stream().boxed()))
    }

    async fn bulk(&self, request: Request<v1::BulkRequest>) -> Result<Response<Self::BulkStream>, Status> {
        let visitor = visitor(&request);
        let v1::BulkRequest { hello, group, name, offset } = request.into_inner();
        let (pass, welcome) = match self.greet(&visitor, hello, Purpose::Bulk) {
            Ok(judged) => judged,
            Err(turned) => {
                let message = Some(bulk_response::Message::Turned(turned.to_wire()));
                return Ok(Response::new(stream::iter([Ok(v1::BulkResponse { message })]).boxed()));
            }
        };
        let group =
            u8::try_from(group).map_err(|_| Status::invalid_argument("there are at most 256 groups"))?;
        let sending = Sending {
            source: Arc::clone(&self.source),
            pace: Arc::clone(&self.pace),
            counters: Arc::clone(&self.counters),
            chunk_bytes: self.limits.bulk_chunk_bytes,
            pass,
            item: BulkItem { group, name },
            file: None,
            offset,
            permit: Arc::clone(&self.bulk_streams).try_acquire_owned().ok(),
        };
        Ok(Response::new(sending.stream(welcome.to_wire())))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let visitor = visitor(&request);
        visitor.is_joining.store(true, Ordering::Relaxed);
        Ok(Response::new(self.receive(&visitor, request.into_inner()).await))
    }
}
