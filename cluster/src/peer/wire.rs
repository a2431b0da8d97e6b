//! A connection with or without TLS, and its first bytes. Without it, what nodes say is [`sealed`](super::sealed); who comes
//! unsealed can only be a stranger, or an older release, and is told so by what answers calls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use chronos_env::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsStream;

use super::sealed::{BEGINNING, Sealed, Stranger};

/// As much of a stranger's request is read as is needed to answer it.
const REQUEST_BYTES_MAX: usize = 4096;
/// What every HTTP/2 connection begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes in both directions, protected or not.
pub(super) enum Wire {
    /// As they come, of somebody who is not known yet.
    Plain(Connection),
    Sealed(Box<Sealed<Connection>>),
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
    wire: Wire,
}

impl Garbage {
    /// Whether whoever came has gone without a word.
    pub(super) fn is_nothing(&self) -> bool {
        self.begins.is_empty()
    }

    /// Tells a caller that speaks HTTP/1 what it has come to, as it can understand it; others would not.
    pub(super) async fn answer(mut self, text: &str) {
        let is_text = matches!(self.begins.as_slice(), [b'A'..=b'Z', b'A'..=b'Z', ..]);
        if !is_text {
            return;
        }
        let length = text.len() + 1;
        let answer = format!(
            "HTTP/1.1 421 Misdirected Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{text}\n"
        );
        // Who does not read it has been told all the same. Its request is read first: a connection that is closed with
        // something unread in it takes the answer along.
        if !self.begins.ends_with(b"\n\r\n") {
            let mut rest = [0; REQUEST_BYTES_MAX];
            let _ = self.wire.read(&mut rest).await;
        }
        let _ = self.wire.write_all(answer.as_bytes()).await;
        let _ = self.wire.shutdown().await;
    }

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
    /// In the clear, on a connection that we made.
    pub(super) fn sealed(connection: Connection) -> Wire {
        Wire::Sealed(Box::new(Sealed::calling(connection)))
    }

    /// Tells later whether what answers is no node of this release. Under TLS nobody gets so far.
    pub(super) fn stranger(&self) -> Stranger {
        match self {
            Wire::Sealed(sealed) => sealed.stranger(),
            Wire::Plain(_) | Wire::Tls(_) => Stranger::default(),
        }
    }

    /// Waits for the other side's first bytes. They are compared one read at a time, so that a stranger is noticed at the
    /// first wrong one.
    pub(super) async fn begin(mut self) -> Result<Begun, Garbage> {
        let mut read = [0; PREFACE.len()];
        let mut count = 0;
        while count < PREFACE.len() {
            // What follows the beginning of what is sealed is sealed.
            let end = if self.is_open() && count < BEGINNING.len() { BEGINNING.len() } else { PREFACE.len() };
            match self.read(&mut read[count..end]).await {
                Ok(more @ 1..) => count += more,
                Ok(0) | Err(_) => return Err(Garbage { begins: read[..count].to_vec(), wire: self }),
            }
            if self.is_open() && read[..count] == *BEGINNING {
                (self, count) = (self.seal(), 0);
            } else if !self.may_begin(&read[..count]) {
                return Err(Garbage { begins: read[..count].to_vec(), wire: self });
            }
        }
        Ok(Begun { wire: self, replayed: 0 })
    }

    fn is_open(&self) -> bool {
        matches!(self, Wire::Plain(_))
    }

    fn seal(self) -> Wire {
        match self {
            Wire::Plain(plain) => Wire::Sealed(Box::new(Sealed::called(plain))),
            other => other,
        }
    }

    /// Whether what nodes say may begin so.
    fn may_begin(&self, read: &[u8]) -> bool {
        PREFACE.starts_with(read) || (self.is_open() && BEGINNING.starts_with(read))
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
            Wire::Sealed(sealed) => {
                let read = Pin::new(&mut *sealed).poll_read(cx, buf);
                if let Poll::Ready(Err(damage)) = &read
                    && damage.kind() == io::ErrorKind::InvalidData
                {
                    tracing::warn!(address = %sealed.inner().peer_addr(), "{damage}");
                }
                read
            }
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Wire::Sealed(sealed) => Pin::new(sealed).poll_write(cx, buf),
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
            Wire::Sealed(sealed) => Pin::new(sealed).poll_write_vectored(cx, bufs),
            Wire::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(plain) => plain.is_write_vectored(),
            Wire::Sealed(sealed) => sealed.is_write_vectored(),
            Wire::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Wire::Sealed(sealed) => Pin::new(sealed).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Wire::Sealed(sealed) => Pin::new(sealed).poll_shutdown(cx),
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
