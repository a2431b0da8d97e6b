//! The promises of [`Net`] as runnable checks, for every implementation.
//!
//! Here is what can be seen while nothing fails; what happens on a broken link is checked where links can be broken, in
//! the tests of the simulated network. Each check is one promise and uses ports of its own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Connection, Listener, Net};

/// So long that only a broken implementation needs it.
const LONG: Duration = Duration::from_secs(60);

/// Runs every check on `net`, listening on `ip` (an address of this machine, without a port).
///
/// # Panics
/// At the first broken promise, saying which.
pub async fn run(net: &Net, ip: &str) {
    println!("net contract: bytes arrive whole and in order");
    bytes_arrive_in_order(net, ip).await;
    println!("net contract: both sides know each other's address");
    addresses_agree(net, ip).await;
    println!("net contract: ending one direction leaves the other");
    half_end(net, ip).await;
    println!("net contract: whoever looks whether the other side speaks takes nothing");
    looking_takes_nothing(net, ip).await;
    println!("net contract: dropping a side is an end for the other");
    dropping_ends(net, ip).await;
    println!("net contract: a reader that does not read holds up the writer");
    writer_is_held_up(net, ip).await;
    println!("net contract: connections are accepted in any order of calls");
    connecting_precedes_accepting(net, ip).await;
    println!("net contract: connections are separate");
    connections_are_separate(net, ip).await;
    println!("net contract: one listener for each address");
    address_in_use(net, ip).await;
    println!("net contract: nobody listens, nobody answers");
    refused_where_nobody_listens(net, ip).await;
    println!("net contract: errors name the address");
    errors_name_the_address(net).await;
}

async fn listening(net: &Net, ip: &str) -> (Listener, String) {
    let listener = net.listen(&format!("{ip}:0")).await.expect("a free port can be had");
    let address = listener.local_addr().expect("a listener knows its address");
    assert_ne!(address.port(), 0, "the address of a listener has no port");
    (listener, address.to_string())
}

async fn connected(net: &Net, ip: &str) -> (Connection, Connection) {
    let (listener, address) = listening(net, ip).await;
    let near = net.connect(&address, LONG).await.expect("a listener can be connected to");
    let far = listener.accept().await.expect("who connected is accepted");
    (near, far)
}

async fn read_to_end(side: &mut Connection) -> Vec<u8> {
    let mut read = Vec::new();
    side.read_to_end(&mut read).await.expect("what the other side wrote can be read");
    read
}

async fn bytes_arrive_in_order(net: &Net, ip: &str) {
    let (mut near, mut far) = connected(net, ip).await;
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let writing = async {
        for piece in sent.chunks(70_001) {
            near.write_all(piece).await.expect("a healthy connection takes bytes");
        }
        near.shutdown().await.expect("a healthy connection can be ended");
    };
    let ((), read) = tokio::join!(writing, read_to_end(&mut far));
    assert!(read == sent, "{} bytes were sent, {} arrived, and they differ", sent.len(), read.len());
}

async fn looking_takes_nothing(net: &Net, ip: &str) {
    let (mut near, mut far) = connected(net, ip).await;
    near.write_all(b"a word").await.expect("a healthy connection takes bytes");
    assert!(far.speaks().await && far.speaks().await, "what was written is not there to be read");
    near.shutdown().await.expect("a healthy connection can be ended");
    assert_eq!(read_to_end(&mut far).await, b"a word");
    assert!(!far.speaks().await, "after the end there is something to be read");
}

async fn addresses_agree(net: &Net, ip: &str) {
    let (near, far) = connected(net, ip).await;
    assert_eq!(near.local_addr(), far.peer_addr());
    assert_eq!(near.peer_addr(), far.local_addr());
}

async fn half_end(net: &Net, ip: &str) {
    let (mut near, mut far) = connected(net, ip).await;
    near.write_all(b"question").await.expect("write");
    near.shutdown().await.expect("end of one direction");
    assert_eq!(read_to_end(&mut far).await, b"question");
    far.write_all(b"answer").await.expect("the other direction is open");
    far.shutdown().await.expect("end of the other direction");
    assert_eq!(read_to_end(&mut near).await, b"answer");
    assert!(near.write_all(b"more").await.is_err(), "a direction that was ended takes bytes");
}

async fn dropping_ends(net: &Net, ip: &str) {
    let (mut near, far) = connected(net, ip).await;
    drop(far);
    assert_eq!(read_to_end(&mut near).await, b"");
    // The first bytes may be taken: nobody has said yet that they go nowhere.
    let mut taken = 0;
    while near.write_all(&[7; 1000]).await.is_ok() {
        taken += 1000;
        assert!(taken < 64 << 20, "a connection that the other side dropped takes bytes for ever");
        // Lets the word arrive.
        let _ = net.connect("127.0.0.1:1", Duration::from_millis(1)).await;
    }
}

async fn writer_is_held_up(net: &Net, ip: &str) {
    let (mut near, mut far) = connected(net, ip).await;
    let mut taken = 0u64;
    // Unconstrained, so that the runtime's own courtesy is not mistaken for a full window.
    tokio::task::unconstrained(std::future::poll_fn(|cx| {
        while let Poll::Ready(count) = Pin::new(&mut near).poll_write(cx, &[7; 16 << 10]) {
            taken += count.expect("a healthy connection takes bytes") as u64;
            assert!(taken < 256 << 20, "a connection that nobody reads takes bytes for ever");
        }
        Poll::Ready(())
    }))
    .await;
    let writing = async {
        near.write_all(b"end").await.expect("a writer goes on when the reader does");
        drop(near);
    };
    let ((), read) = tokio::join!(writing, read_to_end(&mut far));
    assert_eq!(read.len() as u64, taken + 3, "what was taken did not arrive");
    assert!(read.ends_with(b"end"));
}

async fn connecting_precedes_accepting(net: &Net, ip: &str) {
    let (listener, address) = listening(net, ip).await;
    let mut early = Vec::new();
    for _ in 0..3 {
        early.push(net.connect(&address, LONG).await.expect("a listener can be connected to"));
    }
    let (accepted, late) = tokio::join!(
        async {
            let mut accepted = Vec::<SocketAddr>::new();
            for _ in 0..4 {
                accepted.push(listener.accept().await.expect("who connected is accepted").peer_addr());
            }
            accepted
        },
        net.connect(&address, LONG)
    );
    early.push(late.expect("an accepting listener can be connected to"));
    let mut wanted: Vec<_> = early.iter().map(Connection::local_addr).collect();
    let mut accepted = accepted;
    wanted.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(accepted, wanted);
}

async fn connections_are_separate(net: &Net, ip: &str) {
    let (mut first, mut first_far) = connected(net, ip).await;
    let (second, mut second_far) = connected(net, ip).await;
    drop(second);
    assert_eq!(read_to_end(&mut second_far).await, b"");
    first.write_all(b"still here").await.expect("another connection's end is none of mine");
    drop(first);
    assert_eq!(read_to_end(&mut first_far).await, b"still here");
}

async fn address_in_use(net: &Net, ip: &str) {
    let (listener, address) = listening(net, ip).await;
    let second = net.listen(&address).await.err().expect("a second listener at one address was let in");
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    drop(listener);
    net.listen(&address).await.expect("an address is free when its listener is gone");
}

async fn refused_where_nobody_listens(net: &Net, ip: &str) {
    let (listener, address) = listening(net, ip).await;
    drop(listener);
    let refused = net.connect(&address, LONG).await.expect_err("somebody answered at a free port");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{refused}");
}

async fn errors_name_the_address(net: &Net) {
    for odd in ["no-port", "[::1:7", "no.such.host.invalid:7"] {
        let error = net.connect(odd, LONG).await.expect_err("an odd address was connected to");
        assert!(error.to_string().starts_with(&format!("cannot connect to {odd}: ")), "{error}");
        let error = net.listen(odd).await.err().expect("an odd address was listened on");
        assert!(error.to_string().starts_with(&format!("cannot listen on {odd}: ")), "{error}");
    }
}
