//! A connection with or without TLS, and its first bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chronos_env::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes in both directions, protected or not.
pub(super) enum Wire {
    Plain(Connection),
    Tls(Box<TlsStream<Connection>>),
}

/// A wire on which HTTP/2 was found to begin; its first bytes are read again.
pub(super) struct Begun {
    wire: Wire,
    replayed: usize,
}

/// What came instead of HTTP/2.
pub(super) struct Garbage {
    pub(super) begins: Vec<u8>,
}

impl Garbage {
    /// For people.
    pub(super) fn describe(&self) -> &'static str {
        match self.begins.as_slice() {
            [] => "nothing",
            [0x16, 3, ..] => "TLS, which is not configured here",
            [b'A'..=b'Z', b'A'..=b'Z', ..] => "HTTP/1 or another protocol of text",
            _ => "bytes of no known protocol",
        }
    }
}

impl Wire {
    /// Waits for the other side's first bytes. They are compared one read at a time, so that a stranger is noticed at the
    /// first wrong one.
    pub(super) async fn begin(mut self) -> Result<Begun, Garbage> {
        let mut read = [0; PREFACE.len()];
        let mut count = 0;
        while count < PREFACE.len() {
            match self.read(&mut read[count..]).await {
                Ok(more @ 1..) => count += more,
                Ok(0) | Err(_) => return Err(Garbage { begins: read[..count].to_vec() }),
            }
            if read[..count] != PREFACE[..count] {
                return Err(Garbage { begins: read[..count].to_vec() });
            }
        }
        Ok(Begun { wire: self, replayed: 0 })
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &PREFACE[self.replayed..];
        if rest.is_empty() {
            return Pin::new(&mut self.wire).poll_read(cx, buf);
        }
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.replayed += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Wire::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, bufs),
            Wire::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(plain) => plain.is_write_vectored(),
            Wire::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
