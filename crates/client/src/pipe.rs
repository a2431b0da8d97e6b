//! The one long-lived append stream of a client, over which all its appends go, many in flight.
//!
//! A stream that breaks is replaced by the next append that needs one. What was in flight on it gets the stream's
//! end as its answer: `NotApplied` only where the server itself said so, else `Unknown`.

mod wire;

use std::sync::Arc;

use bytes::Bytes;
use chronos_proto::{Class, Failure, v1};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::connections::Connections;
use crate::pace::Deadline;
use wire::Wire;

/// How far one attempt came, for a caller whose time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing left this process.
    #[default]
    NotSent,
    /// The request was on its way.
    Sent,
}

pub(crate) struct Pipe {
    connections: Arc<Connections>,
    permits: Semaphore,
    wire: Mutex<Option<Arc<Wire>>>,
    /// Held while a stream is being opened, so that appends wait for one stream and do not open many.
    opening: tokio::sync::Mutex<()>,
}

impl Pipe {
    pub(crate) fn new(connections: Arc<Connections>, in_flight_max: usize) -> Self {
        let permits = Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { connections, permits, wire: Mutex::new(None), opening: tokio::sync::Mutex::new(()) }
    }

    /// One attempt. Waits while too many are in flight.
    ///
    /// Dropping the future gives the attempt up; `progress` then tells whether it may still happen.
    pub(crate) async fn send(
        &self,
        block: Bytes,
        deadline: Deadline,
        progress: &mut Progress,
    ) -> Result<v1::AppendResponse, Failure> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let wire = self.wire().await?;
        wire.send(block, deadline, progress).await
    }

    async fn wire(&self) -> Result<Arc<Wire>, Failure> {
        if let Some(wire) = self.open_wire() {
            return Ok(wire);
        }
        let _opening = self.opening.lock().await;
        if let Some(wire) = self.open_wire() {
            return Ok(wire);
        }
        let wire = Wire::open(self.connections.clone()).await?;
        *self.wire.lock() = Some(wire.clone());
        Ok(wire)
    }

    fn open_wire(&self) -> Option<Arc<Wire>> {
        self.wire.lock().clone().filter(|wire| wire.is_open())
    }
}

/// A failure of an attempt that certainly did not leave this process.
pub(crate) fn not_sent(message: impl Into<String>) -> Failure {
    Failure::new(Class::NotApplied, "UNAVAILABLE", message)
}
