//! Proofs of faults of clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::processes::talk;
use super::talk::Talk;
use super::{Bench, effect};
use crate::clock::{Clocks, Reading};
use crate::error::{Error, Result};
use crate::ground::{Ground, Layout, Wire};

const DAY_MS: i64 = 86_400_000;
/// A victim's look at its clock and ours are never this far apart.
const TOLERANCE_MS: i64 = 60_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

pub(super) fn offset(bench: &Bench) -> Result<String> {
    let ground = clocked(bench, Clocks::Wall)?;
    let mut measured = Vec::new();
    for ahead_ms in [DAY_MS, -DAY_MS, 30 * 365 * DAY_MS] {
        ground.site(1).clock().set(Reading::ahead(ahead_ms))?;
        let found = ahead(&mut talk(&ground, bench, &["clock"])?)?;
        effect((found - ahead_ms).abs() < TOLERANCE_MS, || {
            format!("{found} ms ahead instead of {ahead_ms}")
        })?;
        measured.push(format!("{found}"));
    }
    ground.site(1).clock().set(Reading::TRUE)?;
    let healed = ahead(&mut talk(&ground, bench, &["clock"])?)?;
    effect(healed.abs() < TOLERANCE_MS, || format!("{healed} ms ahead after it was healed"))?;
    Ok(format!("ms ahead: {}; healed: {healed}", measured.join(", ")))
}

pub(super) fn jump(bench: &Bench) -> Result<String> {
    let ground = clocked(bench, Clocks::Wall)?;
    let mut talk = talk(&ground, bench, &["clock"])?;
    let before = ahead(&mut talk)?;
    ground.site(1).clock().set(Reading::ahead(-3_600_000))?;
    let behind = ahead(&mut talk)?;
    ground.site(1).clock().set(Reading::TRUE)?;
    let healed = ahead(&mut talk)?;
    let measured = format!("one process saw {before}, {behind}, {healed} ms ahead");
    let right = [before, behind + 3_600_000, healed].iter().all(|off| off.abs() < TOLERANCE_MS);
    effect(right, || measured.clone())?;
    Ok(measured)
}

pub(super) fn speed(bench: &Bench) -> Result<String> {
    let ground = clocked(bench, Clocks::Wall)?;
    let mut measured = Vec::new();
    for per_mille in [2_000, 0] {
        ground.site(1).clock().set(Reading::speed(per_mille))?;
        let found = wall_per_mille(&mut talk(&ground, bench, &["clock"])?, per_mille.into())?;
        measured.push(format!("{found} ‰ for {per_mille} ‰"));
    }
    let timers = clocked(bench, Clocks::WallAndTimers)?;
    timers.site(1).clock().set(Reading::speed(2_000))?;
    let (faked, true_span) = timer_span(&mut talk(&timers, bench, &["clock"])?)?;
    // A true timer shows less than our span, which begins earlier and ends later.
    effect(faked > true_span * 3 / 2, || format!("a timer showed {faked} ms of {true_span} ms at 2000 ‰"))?;
    Ok(format!("wall clock {}; a timer showed {faked} of {true_span} ms at 2000 ‰", measured.join(", ")))
}

/// How fast the victim's wall clock runs by its own timer. A victim that is held up between its two clocks measures
/// wrong, so it is asked again until it is near to `wanted`.
fn wall_per_mille(talk: &mut Talk, wanted: i64) -> Result<i64> {
    let mut found = Vec::new();
    loop {
        let (wall, timer) = look(talk)?;
        std::thread::sleep(BETWEEN_LOOKS);
        let (wall_later, timer_later) = look(talk)?;
        let speed = (wall_later - wall) * 1000 / (timer_later - timer).max(1);
        if (speed - wanted).abs() <= 100 {
            return Ok(speed);
        }
        found.push(speed);
        effect(found.len() < 10, || format!("{found:?} ‰ instead of {wanted} ‰"))?;
    }
}

/// Milliseconds between two looks at the victim's timer, and at ours.
fn timer_span(talk: &mut Talk) -> Result<(i64, i64)> {
    let begin = Instant::now();
    let (_, timer) = look(talk)?;
    std::thread::sleep(BETWEEN_LOOKS);
    let (_, timer_later) = look(talk)?;
    Ok((
        timer_later - timer,
        i64::try_from(begin.elapsed().as_millis()).expect("a proof takes minutes at most"),
    ))
}

fn clocked(bench: &Bench, clocks: Clocks) -> Result<Ground> {
    Ground::lay(&Layout { clocks, ..bench.layout(1, Wire::Loopback) })
}

/// How far the victim's wall clock is ahead of ours, in milliseconds.
fn ahead(talk: &mut Talk) -> Result<i64> {
    let (wall, _) = look(talk)?;
    let own =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("this machine's clock is past 1970").as_millis();
    Ok(wall - i64::try_from(own).expect("milliseconds since 1970 fit 63 bits"))
}

/// The victim's wall clock and timer, in milliseconds.
fn look(talk: &mut Talk) -> Result<(i64, i64)> {
    let said = talk.ask("look")?;
    let parsed =
        said.split_once(' ').and_then(|(wall, timer)| Some((wall.parse().ok()?, timer.parse().ok()?)));
    parsed.ok_or_else(|| Error::Ineffective(format!("the victim says {said:?} for its clocks")))
}
