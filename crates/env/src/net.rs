//! The one door to the network: connections that carry bytes in order, or end.
//!
//! Invariants, for both worlds (checked by [`crate::net_contract`]):
//!
//! * within one connection the bytes of each direction arrive in the order they were written, none twice, none
//!   missing before a later one;
//! * a write that was taken says nothing about delivery: only an answer from the other side does;
//! * a reader that does not read makes the writer wait after a bounded number of bytes;
//! * nothing here retries.
//!
//! Names: an address is `host:port`, the host being a name, an IPv4 address or an IPv6 address in brackets.

mod real;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::sim::{SimListener, SimPort, SimStream};

/// A handle to the network as one node sees it. Clones are handles to the same one.
#[derive(Clone)]
pub struct Net(Source);

#[derive(Clone)]
enum Source {
    Real,
    Sim(SimPort),
}

impl Net {
    pub(crate) fn real() -> Net {
        Net(Source::Real)
    }

    pub(crate) fn sim(port: SimPort) -> Net {
        Net(Source::Sim(port))
    }

    /// Takes connections at `on`; port 0 takes a free port.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there already, `AddrNotAvailable` when it is no address of this machine,
    /// and what else the system says; the message names the address.
    pub async fn listen(&self, on: &str) -> io::Result<Listener> {
        let listening = match &self.0 {
            Source::Real => real::listen(on).await.map(Accepting::Real),
            Source::Sim(port) => port.listen(on).map(Accepting::Sim),
        };
        listening.map(Listener).map_err(|error| naming("listen on", on, &error))
    }

    /// Connects to `to`, trying every address its name has, for at most `timeout` altogether. Small writes go out at
    /// once (no delay for coalescing), and a dead peer is noticed by the system's own probes after a minute or so:
    /// whoever must know earlier probes on its own. Cancel-safe.
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens there, `TimedOut`, and what else the system says; the message names
    /// the address. In each case not a byte has reached anyone.
    pub async fn connect(&self, to: &str, timeout: Duration) -> io::Result<Connection> {
        let connected = match &self.0 {
            Source::Real => real::connect(to, timeout).await.map(Stream::Real),
            Source::Sim(port) => port.connect(to, timeout).await.map(Stream::Sim),
        };
        connected.and_then(Connection::new).map_err(|error| naming("connect to", to, &error))
    }
}

fn naming(what: &str, address: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {address}: {error}"))
}

/// Where connections arrive. Dropping it refuses further ones; those that were accepted live on.
pub struct Listener(Accepting);

enum Accepting {
    Real(TcpListener),
    Sim(SimListener),
}

impl From<TcpListener> for Listener {
    /// Of a socket of this machine that listens already.
    fn from(listener: TcpListener) -> Listener {
        Listener(Accepting::Real(listener))
    }
}

impl Listener {
    /// The address it listens on, with the port that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Accepting::Real(listener) => listener.local_addr(),
            Accepting::Sim(listener) => Ok(listener.local_addr()),
        }
    }

    /// The next connection. Cancel-safe: a connection is either returned or still waiting.
    ///
    /// # Errors
    /// What the system says; some of it passes (a peer that gave up, no file handles left), so go on accepting after
    /// a pause.
    pub async fn accept(&self) -> io::Result<Connection> {
        let stream = match &self.0 {
            Accepting::Real(listener) => real::accept(listener).await.map(Stream::Real),
            Accepting::Sim(listener) => listener.accept().await.map(Stream::Sim),
        };
        stream.and_then(Connection::new)
    }
}

/// Bytes in both directions. Dropping it ends both; shutting down the writing side ends only that one.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    local: SocketAddr,
    peer: SocketAddr,
}

#[derive(Debug)]
enum Stream {
    Real(TcpStream),
    Sim(SimStream),
}

impl Connection {
    fn new(stream: Stream) -> io::Result<Connection> {
        let (local, peer) = match &stream {
            Stream::Real(tcp) => (tcp.local_addr()?, tcp.peer_addr()?),
            Stream::Sim(sim) => sim.addresses(),
        };
        Ok(Connection { stream, local, peer })
    }

    /// This side's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The other side's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Waits until there is something to read, and leaves it there; `false` when there never will be. Cancel-safe.
    pub async fn speaks(&mut self) -> bool {
        match &mut self.stream {
            Stream::Real(tcp) => matches!(tcp.peek(&mut [0]).await, Ok(1)),
            Stream::Sim(sim) => std::future::poll_fn(|cx| sim.poll_speaks(cx)).await,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Real(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Sim(sim) => Pin::new(sim).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Real(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Sim(sim) => Pin::new(sim).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Real(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Sim(sim) => Pin::new(sim).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Real(tcp) => tcp.is_write_vectored(),
            Stream::Sim(sim) => sim.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Real(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Sim(sim) => Pin::new(sim).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Real(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Sim(sim) => Pin::new(sim).poll_shutdown(cx),
        }
    }
}
