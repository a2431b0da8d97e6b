//! Measuring links: datagrams that are counted, timed and compared, and connections.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Result, While};
use crate::ground::Ground;
use crate::net::Peer;

/// After so long without one, no datagram comes any more. Much longer than any delay that is proved.
const QUIET: Duration = Duration::from_millis(500);
/// How long datagrams may take that must arrive: far longer than they do, so that a busy machine loses none.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);
/// Datagrams between two breaths of the sender: queues hold some 280, so that they do not overflow when the receiver of a
/// busy machine gets no turn for 50 ms.
const BURST: u32 = 5;
const BREATH: Duration = Duration::from_millis(1);
/// Its number, when it was sent in nanoseconds, and the payload.
const DATAGRAM_BYTES: usize = 4 + 8 + PAYLOAD.len();
const PAYLOAD: &[u8; 32] = b"a payload that everybody expects";

/// When a measurement is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// When every datagram arrived, or plainly will not.
    All,
    /// When every datagram arrived, and then no more come: for links that duplicate.
    AllAndQuiet,
    /// When no more come: for links that lose.
    Quiet,
}

/// What became of datagrams that were sent.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Which, in the order of their arrival, and how long they took.
    pub(super) arrived: Vec<(u32, Duration)>,
    /// Bits that differed from what was sent, in all of them.
    pub(super) wrong_bits: u32,
}

impl Arrivals {
    /// Takes down one that arrived `now`, and gives its number.
    fn note(&mut self, datagram: &[u8], now: Duration) -> u32 {
        let number = u32::from_le_bytes(datagram[..4].try_into().expect("four bytes"));
        let sent_at = u64::from_le_bytes(datagram[4..12].try_into().expect("eight bytes"));
        self.arrived.push((number, now.saturating_sub(Duration::from_nanos(sent_at))));
        let flipped = std::iter::zip(&datagram[12..], PAYLOAD).map(|(got, sent)| (got ^ sent).count_ones());
        self.wrong_bits += flipped.sum::<u32>();
        number
    }

    /// How many different ones arrived.
    pub(super) fn distinct(&self) -> usize {
        self.arrived.iter().map(|(number, _)| number).collect::<BTreeSet<_>>().len()
    }

    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        self.arrived.iter().map(|(number, _)| *number).collect()
    }

    /// How many arrived after one that was sent later.
    pub(super) fn overtaken(&self) -> usize {
        let mut highest = 0;
        let overtaken = self.arrived.iter().filter(|(number, _)| {
            highest = highest.max(*number);
            *number < highest
        });
        overtaken.count()
    }

    pub(super) fn latency(&self, per_mille: usize) -> Duration {
        let mut taken: Vec<_> = self.arrived.iter().map(|(_, took)| *took).collect();
        taken.sort_unstable();
        taken.get((taken.len().max(1) - 1) * per_mille / 1000).copied().unwrap_or_default()
    }
}

/// Does something where `peer` is.
pub(super) fn inside<T: Send>(ground: &Ground, peer: Peer, act: impl FnOnce() -> T + Send) -> Result<T> {
    match peer {
        Peer::Host => Ok(act()),
        Peer::Node(number) => ground.site(number).namespace()?.inside(act),
    }
}

/// Sends `count` numbered datagrams and sees which arrive.
pub(super) fn datagrams(ground: &Ground, from: Peer, to: Peer, count: u32, until: Until) -> Result<Arrivals> {
    let measuring = || format!("measuring the link from {from} to {to}");
    let links = ground.links()?;
    let [sender, receiver] = [from, to].map(|peer| -> Result<UdpSocket> {
        inside(ground, peer, || UdpSocket::bind((links.address(peer), 0)))?.during(measuring)
    });
    let (sender, receiver) = (sender?, receiver?);
    let all_sent = AtomicBool::new(false);
    let address = receiver.local_addr().during(measuring)?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&receiver, begin, count, until, &all_sent));
        let sent = send(&sender, address, begin, count);
        all_sent.store(true, Ordering::Release);
        let received = receiving.join().expect("receiving does not panic");
        sent.and(received).during(measuring)
    })
}

fn send(socket: &UdpSocket, to: SocketAddr, begin: Instant, count: u32) -> io::Result<()> {
    for number in 0..count {
        let sent_at =
            u64::try_from(begin.elapsed().as_nanos()).expect("a measurement takes less than 500 years");
        socket.send_to(&[&number.to_le_bytes()[..], &sent_at.to_le_bytes(), PAYLOAD].concat(), to)?;
        if number % BURST == BURST - 1 {
            std::thread::sleep(BREATH);
        }
    }
    Ok(())
}

fn receive(
    socket: &UdpSocket,
    begin: Instant,
    count: u32,
    until: Until,
    all_sent: &AtomicBool,
) -> io::Result<Arrivals> {
    let mut arrivals = Arrivals::default();
    let mut seen = BTreeSet::new();
    let mut buffer = [0; 64];
    loop {
        let complete = seen.len() == count as usize;
        if complete && until == Until::All {
            return Ok(arrivals);
        }
        let awaited = !complete && until != Until::Quiet;
        socket.set_read_timeout(Some(if awaited { ARRIVE_WITHIN } else { QUIET }))?;
        match socket.recv(&mut buffer) {
            Ok(bytes) if bytes == DATAGRAM_BYTES => {
                seen.insert(arrivals.note(&buffer[..bytes], begin.elapsed()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && all_sent.load(Ordering::Acquire) => {
                return Ok(arrivals);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// A connection from one peer to another: both its ends, and the address that was called.
pub(super) fn connection(
    ground: &Ground,
    from: Peer,
    to: Peer,
) -> Result<(TcpStream, TcpStream, TcpListener)> {
    let connecting = || format!("connecting {from} to {to}");
    let called = ground.links()?.address(to);
    let listener = inside(ground, to, || TcpListener::bind((called, 0)))?.during(connecting)?;
    let address = listener.local_addr().during(connecting)?;
    let near = inside(ground, from, || TcpStream::connect_timeout(&address, Duration::from_secs(10)))?;
    let near = near.during(connecting)?;
    let (far, _) = listener.accept().during(connecting)?;
    Ok((near, far, listener))
}
