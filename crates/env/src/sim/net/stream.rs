//! One side of a simulated connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::fabric::{Fabric, HostId, StreamId};
use super::pipe::{Found, Pipe, reset_error};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Connected,
    Accepted,
}

impl Side {
    /// Of a connection's two directions: the outgoing and the incoming one.
    pub(super) fn order(self, pair: &mut [Pipe; 2]) -> [&mut Pipe; 2] {
        let [forth, back] = pair;
        match self {
            Side::Connected => [forth, back],
            Side::Accepted => [back, forth],
        }
    }
}

pub(crate) struct SimStream {
    fabric: Fabric,
    id: StreamId,
    /// Own and peer's.
    addresses: (SocketAddr, SocketAddr),
    /// Until something arrives.
    until: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    pub(super) fn new(
        fabric: Fabric,
        number: u64,
        side: Side,
        host: HostId,
        life: u64,
        addresses: (SocketAddr, SocketAddr),
    ) -> SimStream {
        SimStream { fabric, id: StreamId { number, side, host, life }, addresses, until: None }
    }

    pub(crate) fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.addresses
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStream").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SimStream {
    /// Whether anything has arrived before the end; it is left there.
    pub(crate) fn poll_speaks(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let found = ready!(self.poll_found(cx, &mut ReadBuf::new(&mut [])));
        Poll::Ready(matches!(found, Ok(Found::Bytes { .. })))
    }

    /// What there is to read, once there is something or the end.
    #[expect(clippy::disallowed_methods, reason = "inside the runtime of a world this is virtual time")]
    fn poll_found(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Found>> {
        loop {
            match self.fabric.read(&self.id, buf, cx)? {
                Found::Nothing => return Poll::Pending,
                Found::Later(wait) => {
                    let mut sleep = Box::pin(tokio::time::sleep(wait));
                    let waited = sleep.as_mut().poll(cx);
                    self.until = Some(sleep);
                    ready!(waited);
                }
                found => return Poll::Ready(Ok(found)),
            }
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(match ready!(self.poll_found(cx, buf))? {
            Found::Reset => Err(reset_error()),
            _ => Ok(()),
        })
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.fabric.poll_write(&self.id, buf, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.fabric.end(&self.id))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.fabric.close(&self.id);
    }
}
