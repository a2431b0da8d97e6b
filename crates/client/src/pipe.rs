//! The long-lived append stream to one server, over which all appends to it go, many in flight.
//!
//! A stream that breaks is replaced by the next append that needs one. What was in flight on it gets the stream's
//! end as its answer: `NotApplied` only where the server itself said so, else `Unknown`.

mod wire;

use std::sync::Arc;

use bytes::Bytes;
use chronos_proto::{Class, Failure, v1};
use parking_lot::Mutex;

use crate::connections::Rpc;
use crate::pace::Deadline;
use crate::routing::Missed;
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

/// The stream to one server; there is none until it is needed.
#[derive(Default)]
pub(crate) struct Pipe {
    wire: Mutex<Option<Arc<Wire>>>,
    /// Held while a stream is being opened, so that appends wait for one stream and do not open many.
    opening: tokio::sync::Mutex<()>,
}

impl Pipe {
    /// One attempt. `rpc` and `ended` serve a new stream, where one is needed: `ended` is called when it ends.
    ///
    /// Dropping the future gives the attempt up; `progress` then tells whether it may still happen.
    pub(crate) async fn send(
        &self,
        rpc: impl FnOnce() -> Rpc,
        ended: impl FnOnce() + Send + 'static,
        block: Bytes,
        deadline: Deadline,
        progress: &mut Progress,
    ) -> Result<v1::AppendResponse, Missed> {
        let wire = match self.open_wire() {
            Some(wire) => wire,
            None => self.new_wire(rpc, ended).await?,
        };
        wire.send(block, deadline, progress).await
    }

    async fn new_wire(
        &self,
        rpc: impl FnOnce() -> Rpc,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Wire>, Missed> {
        let _opening = self.opening.lock().await;
        if let Some(wire) = self.open_wire() {
            return Ok(wire);
        }
        let wire = Wire::open(rpc(), ended).await?;
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
