//! Proofs of faults of links, on the kernel's bridge.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::measure::{Until, connection, datagrams, inside};
use super::{Bench, effect};
use crate::error::{Result, While};
use crate::ground::{Ground, Wire};
use crate::net::Peer;

const ONE: Peer = Peer::Node(1);
const TWO: Peer = Peer::Node(2);
const THREE: Peer = Peer::Node(3);
const COUNT: u32 = 200;

pub(super) fn partition(bench: &Bench) -> Result<String> {
    let ground = bench.wired(3, Wire::Bridge)?;
    let links = ground.links()?;
    let first = links.partition(&[ONE], &[TWO, THREE])?;
    let second = links.partition(&[ONE], &[TWO])?;
    passes(
        &ground,
        &[(TWO, THREE), (Peer::Host, ONE)],
        &[(ONE, TWO), (TWO, ONE), (ONE, THREE), (THREE, ONE)],
    )?;
    first.heal()?;
    passes(&ground, &[(ONE, THREE), (THREE, ONE)], &[(ONE, TWO), (TWO, ONE)])?;
    second.heal()?;
    passes(&ground, &[(ONE, TWO), (TWO, ONE)], &[])?;
    Ok(format!("0 of {COUNT} datagrams either way between the groups, {COUNT} inside them and when healed"))
}

pub(super) fn isolate(bench: &Bench) -> Result<String> {
    let ground = bench.wired(3, Wire::Bridge)?;
    let isolated = ground.links()?.isolate(TWO)?;
    passes(
        &ground,
        &[(ONE, THREE)],
        &[(ONE, TWO), (TWO, ONE), (TWO, THREE), (Peer::Host, TWO), (TWO, Peer::Host)],
    )?;
    isolated.heal()?;
    passes(&ground, &[(ONE, TWO), (TWO, Peer::Host)], &[])?;
    Ok(format!("0 of {COUNT} datagrams to and from the node, from the host too; {COUNT} between the others"))
}

pub(super) fn bridge_node(bench: &Bench) -> Result<String> {
    let ground = bench.wired(3, Wire::Bridge)?;
    let bridged = ground.links()?.bridge(TWO, &mut bench.dice("bridge"))?;
    passes(&ground, &[(ONE, TWO), (TWO, ONE), (TWO, THREE), (THREE, TWO)], &[(ONE, THREE), (THREE, ONE)])?;
    bridged.heal()?;
    passes(&ground, &[(ONE, THREE), (THREE, ONE)], &[])?;
    Ok(format!("0 of {COUNT} datagrams between the halves, {COUNT} between each of them and the bridge"))
}

pub(super) fn one_way(bench: &Bench) -> Result<String> {
    let ground = bench.wired(2, Wire::Bridge)?;
    let cut = ground.links()?.partition_one_way(&[ONE], &[TWO])?;
    passes(&ground, &[(TWO, ONE)], &[(ONE, TWO)])?;
    cut.heal()?;
    passes(&ground, &[(ONE, TWO)], &[])?;
    Ok(format!("1 to 2: 0 of {COUNT} datagrams, 2 to 1: {COUNT}; healed: {COUNT}"))
}

pub(super) fn loss(bench: &Bench) -> Result<String> {
    const SENT: u32 = 1000;
    let ground = bench.wired(2, Wire::Bridge)?;
    let lossy = ground.links()?.lose(&[ONE], &[TWO], 300)?;
    let arrived = datagrams(&ground, ONE, TWO, SENT, Until::Quiet)?.distinct();
    effect((600..800).contains(&arrived), || format!("{arrived} of {SENT} datagrams at a loss of 300 ‰"))?;
    lossy.heal()?;
    passes(&ground, &[(ONE, TWO)], &[])?;
    Ok(format!("{arrived} of {SENT} datagrams at 300 ‰; {COUNT} of {COUNT} when healed"))
}

pub(super) fn slow_link(bench: &Bench) -> Result<String> {
    const BYTES: usize = 100_000;
    const BITS_PER_SECOND: u64 = 1_000_000;
    let ground = bench.wired(2, Wire::Bridge)?;
    let fast = transfer(&ground, BYTES)?;
    let slowed = ground.links()?.slow(ONE, BITS_PER_SECOND)?;
    let slow = transfer(&ground, BYTES)?;
    // 0.8 s by the rate; a queue's length may go at once.
    effect(slow >= Duration::from_millis(500), || format!("{BYTES} bytes took {slow:?}"))?;
    slowed.heal()?;
    passes(&ground, &[(ONE, TWO)], &[])?;
    Ok(format!(
        "{BYTES} bytes over TCP: {} ms, at {BITS_PER_SECOND} bit/s {} ms",
        fast.as_millis(),
        slow.as_millis()
    ))
}

pub(super) fn reset(bench: &Bench) -> Result<String> {
    let ground = bench.wired(2, Wire::Bridge)?;
    let (mut near, _far, listener) = connection(&ground, ONE, TWO)?;
    let resets = ground.links()?.reset(&[ONE], &[TWO])?;
    let mut broke = near.write_all(b"x").and_then(|()| near.set_read_timeout(Some(Duration::from_secs(10))));
    broke = broke.and_then(|()| near.read(&mut [0]).map(drop));
    let broke = broke.err().map(|error| error.kind());
    effect(broke == Some(ErrorKind::ConnectionReset), || format!("an open connection ended with {broke:?}"))?;
    let address = listener.local_addr().during(|| "asking for an address".into())?;
    let call = || TcpStream::connect_timeout(&address, Duration::from_secs(10));
    let refused = inside(&ground, ONE, call)?.err().map(|error| error.kind());
    effect(refused == Some(ErrorKind::ConnectionRefused), || {
        format!("a new connection ended with {refused:?}")
    })?;
    resets.heal()?;
    connection(&ground, ONE, TWO)?;
    Ok("open connection: reset; new one: refused; healed: connected".into())
}

pub(super) fn half_open(bench: &Bench) -> Result<String> {
    let ground = bench.wired(2, Wire::Bridge)?;
    let (mut near, mut far, _listener) = connection(&ground, ONE, TWO)?;
    let wedged = ground.links()?.wedge(ONE, TWO)?;
    near.write_all(b"x").during(|| "writing into a silent connection".into())?;
    far.set_read_timeout(Some(Duration::from_millis(300))).during(|| "setting a time limit".into())?;
    let heard = far.read(&mut [0]).map_err(|error| error.kind());
    effect(heard == Err(ErrorKind::WouldBlock), || {
        format!("reading from a silent connection ended with {heard:?}")
    })?;
    let (mut fresh, mut fresh_far, _) = connection(&ground, ONE, TWO)?;
    let talks = |near: &mut TcpStream, far: &mut TcpStream| {
        let _ = far.set_read_timeout(Some(Duration::from_secs(60)));
        near.write_all(b"y")
            .and_then(|()| far.read_exact(&mut [0]))
            .during(|| "talking over a connection".into())
    };
    talks(&mut fresh, &mut fresh_far)?;
    wedged.heal()?;
    talks(&mut near, &mut far)?;
    Ok("what was written vanished without an error, a new connection worked; healed: it arrived after all"
        .into())
}

pub(super) fn flapping(bench: &Bench) -> Result<String> {
    const TIMES: u32 = 5;
    /// They are sent for longer than one break lasts, whatever the machine is busy with.
    const SENT: u32 = 5_000;
    let ground = bench.wired(2, Wire::Bridge)?;
    let links = ground.links()?.clone();
    let flapping = std::thread::spawn(move || links.flap(&[ONE], &[TWO], TIMES, Duration::from_millis(100)));
    let arrived = datagrams(&ground, ONE, TWO, SENT, Until::Quiet)?.distinct();
    flapping.join().expect("flapping does not panic")?;
    effect(0 < arrived && arrived < SENT as usize, || {
        format!("{arrived} of {SENT} datagrams while it flapped")
    })?;
    passes(&ground, &[(ONE, TWO), (TWO, ONE)], &[])?;
    Ok(format!("{arrived} of {SENT} datagrams while it flapped {TIMES} times, {COUNT} of {COUNT} afterwards"))
}

pub(super) fn swizzle(bench: &Bench) -> Result<String> {
    let ground = bench.wired(3, Wire::Bridge)?;
    let mut swizzle = ground.links()?.swizzle(&mut bench.dice("swizzle"));
    let mut steps = Vec::new();
    for clogged in [1, 2, 3, 2, 1, 0] {
        let node = swizzle.step()?;
        effect(swizzle.clogged().count() == clogged, || format!("{clogged} nodes should be clogged"))?;
        steps.push(node.map_or_else(String::new, |node| node.to_string()));
        for node in [ONE, TWO, THREE] {
            let cut_off = swizzle.clogged().any(|other| other == node);
            let link = [(Peer::Host, node)];
            if cut_off { passes(&ground, &[], &link)? } else { passes(&ground, &link, &[])? }
        }
    }
    effect(swizzle.step()?.is_none(), || "it goes on after everybody is free".into())?;
    Ok(format!("clogged {}; freed {}", steps[..3].join(", "), steps[3..].join(", ")))
}

/// Nothing arrives over `cut`, and everything over `whole`: the kernel's wire loses nothing by itself.
fn passes(ground: &Ground, whole: &[(Peer, Peer)], cut: &[(Peer, Peer)]) -> Result<()> {
    let whole = whole.iter().map(|link| (link, COUNT as usize, Until::All));
    for ((from, to), expected, until) in whole.chain(cut.iter().map(|link| (link, 0, Until::Quiet))) {
        let arrived = datagrams(ground, *from, *to, COUNT, until)?.distinct();
        effect(arrived == expected, || {
            format!("{arrived} of {COUNT} datagrams from {from} to {to}, not {expected}")
        })?;
    }
    Ok(())
}

/// How long `bytes` take from node 1 to node 2.
fn transfer(ground: &Ground, bytes: usize) -> Result<Duration> {
    let transferring = || "transferring over a link".into();
    let (mut near, mut far, _listener) = connection(ground, ONE, TWO)?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || near.write_all(&vec![7; bytes]));
        let mut received = Vec::new();
        let read = far.read_to_end(&mut received);
        sending.join().expect("sending does not panic").and(read).during(transferring)?;
        effect(received.len() == bytes, || format!("{} of {bytes} bytes arrived", received.len()))
    })?;
    Ok(begin.elapsed())
}
