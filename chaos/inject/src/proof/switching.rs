//! Proofs of faults of links, on the switch of this process.

use std::io::{Read, Write};
use std::time::Duration;

use super::measure::{Arrivals, Until, connection, datagrams};
use super::{Bench, effect};
use crate::error::{Result, While};
use crate::ground::{Ground, Layout, Wire};
use crate::net::Peer;
use crate::switch::{Quality, Traffic};

const ONE: Peer = Peer::Node(1);
const TWO: Peer = Peer::Node(2);
const COUNT: u32 = 400;
const MS: Duration = Duration::from_millis(1);

pub(super) fn seeded_loss(bench: &Bench) -> Result<String> {
    let lossy = Quality { lose_per_mille: 300, ..Quality::default() };
    let measured = |seed| measure_with(bench, seed, lossy).map(|(arrivals, _)| arrivals);
    let (first, again, other) = (measured(1)?, measured(1)?, measured(2)?);
    let arrived = first.distinct();
    effect((200..360).contains(&arrived), || format!("{arrived} of {COUNT} datagrams at a loss of 300 ‰"))?;
    effect(first.numbers() == again.numbers(), || "the same seed lost other datagrams".into())?;
    effect(first.numbers() != other.numbers(), || "another seed lost the same datagrams".into())?;
    Ok(format!(
        "{arrived} of {COUNT} datagrams at 300 ‰; the same ones with the same seed, others with another"
    ))
}

pub(super) fn delay(bench: &Bench) -> Result<String> {
    let (arrivals, _) = measure(bench, Quality { delay: 50 * MS, ..Quality::default() })?;
    effect(arrivals.distinct() == COUNT as usize, || format!("{} of {COUNT} arrived", arrivals.distinct()))?;
    let least = arrivals.latency(0);
    effect(least >= 50 * MS, || format!("a datagram took {least:?}"))?;
    effect(arrivals.overtaken() == 0, || "the order changed".into())?;
    Ok(format!("50 ms wanted: {}", latencies(&arrivals)))
}

pub(super) fn jitter(bench: &Bench) -> Result<String> {
    let (arrivals, _) = measure(bench, Quality { delay: 20 * MS, jitter: 30 * MS, ..Quality::default() })?;
    let (least, most) = (arrivals.latency(0), arrivals.latency(1000));
    effect(least >= 20 * MS && most >= 35 * MS, || format!("datagrams took {least:?} to {most:?}"))?;
    effect(arrivals.overtaken() == 0, || "the order changed".into())?;
    Ok(format!("20 to 50 ms wanted, in order: {}", latencies(&arrivals)))
}

pub(super) fn reorder(bench: &Bench) -> Result<String> {
    let quality = Quality { reorder_per_mille: 100, reorder_lag: 20 * MS, ..Quality::default() };
    let (arrivals, traffic) = measure(bench, quality)?;
    effect(arrivals.distinct() == COUNT as usize, || format!("{} of {COUNT} arrived", arrivals.distinct()))?;
    let overtaken = arrivals.overtaken();
    effect(overtaken > 0, || format!("none of {} was overtaken", traffic.reordered))?;
    Ok(format!("{} of {COUNT} held back for 20 ms, {overtaken} overtaken", traffic.reordered))
}

pub(super) fn duplicate(bench: &Bench) -> Result<String> {
    let quality = Quality { duplicate_per_mille: 100, duplicate_lag: 20 * MS, ..Quality::default() };
    let (arrivals, traffic) = measure(bench, quality)?;
    let extra = arrivals.arrived.len() - arrivals.distinct();
    let right = extra > 0 && extra as u64 == traffic.duplicated;
    effect(right, || format!("{extra} extra arrivals for {} duplicates", traffic.duplicated))?;
    Ok(format!("{} arrivals of {} datagrams", arrivals.arrived.len(), arrivals.distinct()))
}

pub(super) fn corrupt(bench: &Bench) -> Result<String> {
    let all = Quality { corrupt_per_mille: 1000, ..Quality::default() };
    let (arrivals, traffic) = measure(bench, all)?;
    let arrived = arrivals.arrived.len();
    effect(arrived == COUNT as usize, || format!("{arrived} of {COUNT} arrived: the kernel saw the damage"))?;
    effect(arrivals.wrong_bits > 0, || "no bit was wrong".into())?;
    let ground = bench.wired(2, Wire::Switch)?;
    let corrupting = ground.switch()?.worsen(&[ONE], &[TWO], all)?;
    let sent = [0x55; 1000];
    let received = over_tcp(&ground, &sent)?;
    let wrong: u32 = std::iter::zip(sent, received).map(|(sent, got)| (sent ^ got).count_ones()).sum();
    effect(wrong > 0, || "what came over a connection was right".into())?;
    corrupting.heal()?;
    effect(over_tcp(&ground, &sent)? == sent, || "what came over a connection was wrong when healed".into())?;
    Ok(format!(
        "{} datagrams of {COUNT} damaged, all taken by the kernel; {wrong} wrong bits over TCP",
        traffic.corrupted
    ))
}

/// What becomes of datagrams over a link like this, and that the link is perfect when it is healed.
fn measure(bench: &Bench, quality: Quality) -> Result<(Arrivals, Traffic)> {
    measure_with(bench, bench.seed, quality)
}

fn measure_with(bench: &Bench, seed: u64, quality: Quality) -> Result<(Arrivals, Traffic)> {
    let ground = Ground::lay(&Layout { seed, ..bench.layout(2, Wire::Switch) })?;
    let worse = ground.switch()?.worsen(&[ONE], &[TWO], quality)?;
    let until = if quality.lose_per_mille > 0 { Until::Quiet } else { Until::AllAndQuiet };
    let arrivals = datagrams(&ground, ONE, TWO, COUNT, until)?;
    let traffic = ground.switch()?.traffic();
    worse.heal()?;
    let healed = datagrams(&ground, ONE, TWO, COUNT, Until::AllAndQuiet)?;
    let perfect = healed.arrived.len() == COUNT as usize && healed.overtaken() == 0 && healed.wrong_bits == 0;
    effect(perfect, || format!("{} of {COUNT} datagrams when healed", healed.arrived.len()))?;
    Ok((arrivals, traffic))
}

fn over_tcp(ground: &Ground, sent: &[u8; 1000]) -> Result<[u8; 1000]> {
    let (mut near, mut far, _listener) = connection(ground, ONE, TWO)?;
    let mut received = [0; 1000];
    near.write_all(sent)
        .and_then(|()| far.read_exact(&mut received))
        .during(|| "sending over a connection".into())?;
    Ok(received)
}

fn latencies(arrivals: &Arrivals) -> String {
    let ms = |per_mille| arrivals.latency(per_mille).as_secs_f64() * 1e3;
    format!("least {:.1} ms, median {:.1} ms, most {:.1} ms", ms(0), ms(500), ms(1000))
}
