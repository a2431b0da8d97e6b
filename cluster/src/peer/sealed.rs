//! A checksum over every byte that travels in the clear.
//!
//! TCP's own checksum has 16 bits and is made anew by whoever rewrites packets on the way: of much damage some gets past it.
//! HTTP/2 and gRPC have none. So what one node says to another without TLS, which has a better one, goes in frames:
//!
//! ```text
//!   "chronos" 1 │ length (4) sum (4) bytes │ length (4) sum (4) bytes │ …
//!               └──────────── sum: CRC-32 of everything before and of this length and these bytes ───
//! ```
//!
//! * **No byte is given out before its frame was checked**: not of a message, not of what HTTP/2 wraps around it, not of a
//!   greeting.
//! * **The sum goes on from frame to frame**: a frame that is missing, came twice or in another's place does not fit, either.
//! * **What does not fit is the end of the connection**, which is what every caller is prepared for already.
//!
//! Numbers are little-endian. A length that was damaged may promise more than ever comes: that is noticed as any silence is,
//! by HTTP/2's probes.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use crc32fast::Hasher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What either side begins with; the last byte is the version of this format. No other protocol that may turn up at a port
/// begins so.
pub(super) const BEGINNING: &[u8; 8] = b"chronos\x01";
/// Bytes of a frame's length and sum.
const HEADER_BYTES: usize = 8;
/// Bytes of one frame, without its header. One waits to be sent, and nothing of one is read before all of it is
/// here: on a slow way larger ones would hold up probes for longer than these are waited for.
const FRAME_BYTES_MAX: usize = 4 << 10;
/// Bytes that are read at a time, if there are so many.
const READ_BYTES: usize = 64 << 10;

/// Why a connection cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// The other side does not speak this format.
    #[error(
        "what answers seals nothing as the nodes of this release do: it is no node of Chronos, or an older release; run the \
         same release on all nodes, or protect them with certificates"
    )]
    Unsealed,
    /// A frame is not what was sent.
    #[error(
        "what arrived is not what was sent, past TCP's own checksum: nothing of it is used and the connection is given up; \
         look for damage in the network between the nodes"
    )]
    Sum,
}

/// A connection whose bytes are checked.
pub(super) struct Sealed<C> {
    inner: C,
    out: Out,
    came: Came,
    stranger: Stranger,
}

/// Whether it turned out that what answers is no node of this release. For whoever made the connection: HTTP/2 keeps nothing
/// of an error but its text.
#[derive(Clone, Default)]
pub(super) struct Stranger(Arc<AtomicBool>);

impl Stranger {
    pub(super) fn is_one(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, damage: &Damage) {
        self.0.fetch_or(matches!(damage, Damage::Unsealed), Ordering::Relaxed);
    }
}

/// What is on its way out.
struct Out {
    sum: u32,
    /// Sealed and not yet taken by the connection.
    waiting: BytesMut,
}

/// What came in.
struct Came {
    sum: u32,
    is_begun: bool,
    /// Not checked yet.
    raw: BytesMut,
    /// Checked, and not yet read.
    checked: BytesMut,
}

/// The sum behind a frame of these bytes, by that before it.
fn sum_of(before: u32, length: [u8; 4], bytes: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new_with_initial(before);
    hasher.update(&length);
    bytes.iter().for_each(|bytes| hasher.update(bytes));
    hasher.finalize()
}

impl<C> Sealed<C> {
    /// A connection that we made.
    pub(super) fn calling(inner: C) -> Sealed<C> {
        Sealed::new(inner, false)
    }

    /// A connection that came, and of which [`BEGINNING`] was read.
    pub(super) fn called(inner: C) -> Sealed<C> {
        Sealed::new(inner, true)
    }

    /// What it travels on.
    pub(super) fn inner(&self) -> &C {
        &self.inner
    }

    fn new(inner: C, is_begun: bool) -> Sealed<C> {
        let out = Out { sum: 0, waiting: BytesMut::from(&BEGINNING[..]) };
        let came = Came { sum: 0, is_begun, raw: BytesMut::new(), checked: BytesMut::new() };
        Sealed { inner, out, came, stranger: Stranger::default() }
    }

    /// Tells what it finds out about the other side.
    pub(super) fn stranger(&self) -> Stranger {
        self.stranger.clone()
    }
}

impl Out {
    /// Seals as much of `bytes` as fits one frame; gives how much that is.
    fn seal(&mut self, bytes: &[&[u8]]) -> usize {
        let mut left = FRAME_BYTES_MAX;
        let fits = |bytes: &&[u8]| {
            let count = bytes.len().min(left);
            left -= count;
            count
        };
        let counts: Vec<usize> = bytes.iter().map(fits).collect();
        let parts: Vec<&[u8]> = bytes.iter().zip(counts).map(|(bytes, count)| &bytes[..count]).collect();
        let count = FRAME_BYTES_MAX - left;
        if count > 0 {
            let length = (count as u32).to_le_bytes();
            self.sum = sum_of(self.sum, length, &parts);
            self.waiting.reserve(HEADER_BYTES + count);
            self.waiting.put_slice(&length);
            self.waiting.put_u32_le(self.sum);
            parts.iter().for_each(|part| self.waiting.put_slice(part));
        }
        count
    }
}

impl Came {
    /// Checks the next frame, if all of it is here.
    fn open(&mut self) -> Result<bool, Damage> {
        if !self.is_begun {
            let here = self.raw.len().min(BEGINNING.len());
            if self.raw[..here] != BEGINNING[..here] {
                return Err(Damage::Unsealed);
            }
            if here < BEGINNING.len() {
                return Ok(false);
            }
            self.raw.advance(BEGINNING.len());
            self.is_begun = true;
        }
        let Some((length, rest)) = self.raw.split_first_chunk::<4>() else { return Ok(false) };
        let (length, bytes) = (*length, u32::from_le_bytes(*length) as usize);
        if bytes == 0 || bytes > FRAME_BYTES_MAX {
            return Err(Damage::Sum);
        }
        let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Ok(false) };
        let Some(frame) = rest.get(..bytes) else { return Ok(false) };
        let expected = sum_of(self.sum, length, &[frame]);
        if u32::from_le_bytes(*sum) != expected {
            return Err(Damage::Sum);
        }
        self.sum = expected;
        self.raw.advance(HEADER_BYTES);
        self.checked = self.raw.split_to(bytes);
        Ok(true)
    }
}

fn damaged(damage: Damage) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, damage)
}

impl<C: AsyncWrite + Unpin> Sealed<C> {
    /// Hands the connection what is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.waiting.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out.waiting))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.waiting.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// One frame at a time is under way. What was sealed is taken; whether it leaves at once shows when it is flushed.
    fn poll_seal(&mut self, cx: &mut Context<'_>, bytes: &[&[u8]]) -> Poll<io::Result<usize>> {
        if self.out.waiting.len() > BEGINNING.len() {
            ready!(self.poll_drain(cx))?;
        }
        let count = self.out.seal(bytes);
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Sealed<C> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Sealed { inner, came, stranger, .. } = self.get_mut();
        let noted = |damage: Damage| {
            stranger.note(&damage);
            damaged(damage)
        };
        while came.checked.is_empty() && !came.open().map_err(noted)? {
            came.raw.reserve(READ_BYTES);
            // Nothing is kept in this future between two polls.
            if ready!(pin!(inner.read_buf(&mut came.raw)).poll(cx))? == 0 {
                let is_end = came.raw.is_empty();
                return Poll::Ready(if is_end { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
            }
        }
        let count = came.checked.len().min(buf.remaining());
        buf.put_slice(&came.checked.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Sealed<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_seal(cx, &[buf])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        self.get_mut().poll_seal(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sealed = self.get_mut();
        ready!(sealed.poll_drain(cx))?;
        Pin::new(&mut sealed.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sealed = self.get_mut();
        ready!(sealed.poll_drain(cx))?;
        Pin::new(&mut sealed.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
