//! The middle of the show: events flow, the node that leads the busiest partition is killed, others take over, it
//! returns and catches up, and the events have not stopped flowing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::{PartitionId, Placement};
use tokio::sync::watch;

use super::ledger::Ledger;
use super::script::Script;
use super::stage::{Stage, feed, seconds};
use super::voice::Voice;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::table::grouped;

/// What came of it.
pub(crate) struct Death {
    /// Events that were acknowledged when the node was killed.
    pub(crate) acknowledged: u64,
    /// Partitions that the node led.
    pub(crate) led: usize,
    /// From the kill to the first acknowledged append of those of them that were heard of again.
    pub(crate) outage: Vec<Duration>,
    /// From the start of the process to its being ready.
    pub(crate) restart: Duration,
    /// From the start of the process to its having all that was acknowledged by then.
    pub(crate) caught_up: Duration,
}

/// Feeds the rest of the script; once `kill_at` events are acknowledged, the node dies.
pub(crate) async fn feed_through(
    stage: &mut Stage,
    script: &Script,
    kill_at: u64,
    ledger: &Arc<Ledger>,
    voice: &Voice,
) -> Outcome<Death> {
    let (sink, fed) = (stage.sink(), watch::Sender::new(false));
    let over = fed.subscribe();
    let feeding = async {
        feed(&sink, script, script.events, ledger).await?;
        fed.send_replace(true);
        Ok(())
    };
    let dying = die(stage, kill_at, ledger, voice, over);
    let ((), death) = tokio::try_join!(feeding, dying)?;
    Ok(death)
}

async fn die(
    stage: &mut Stage,
    kill_at: u64,
    ledger: &Ledger,
    voice: &Voice,
    mut fed: watch::Receiver<bool>,
) -> Outcome<Death> {
    // The sender lives in the ledger.
    drop(ledger.acknowledged().wait_for(|count| *count >= kill_at).await);
    let placement = stage.connection.placement().await?;
    let (victim, partitions) = victim(&stage.fleet, &placement, ledger)?;
    let killed = Instant::now();
    let acknowledged = ledger.progress().events();
    stage.fleet.kill(victim).await?;
    stage.pulse.lost(&partitions, killed, Instant::now());
    tell_of_the_kill(voice, &stage.fleet, victim, &partitions, acknowledged);
    tokio::select! {
        biased; // both are fine: with no more events to come, nobody can be heard of any more
        () = stage.pulse.over() => {}
        _ = fed.wait_for(|fed| *fed) => {}
    }
    let outage = stage.pulse.times();
    tell_of_the_outage(voice, &outage, partitions.len());

    let start = Instant::now();
    let restart = stage.fleet.restart(victim).await?;
    let name = stage.fleet.name(victim).to_owned();
    voice.chapter(&format!("{name} returns on its own directory, ready in {}", seconds(restart)));
    stage.fleet.caught_up(victim, &ledger.token()).await?;
    let caught_up = start.elapsed();
    voice.say(&format!("it has all that was acknowledged without it after {}", seconds(caught_up)));
    Ok(Death { acknowledged, led: partitions.len(), outage, restart, caught_up })
}

/// The node that leads the partition with the most events so far, and all that it leads.
fn victim(fleet: &Fleet, placement: &Placement, ledger: &Ledger) -> Outcome<(usize, Vec<PartitionId>)> {
    let weights = ledger.weights();
    let busiest = placement.partitions.iter().max_by_key(|placed| weights[placed.partition.index()]);
    let leader = busiest.and_then(|placed| placed.leader).ok_or_else(|| {
        Failure::failed("the busiest partition has no leader, before anybody was killed; see the logs")
    })?;
    let at = fleet.seat_of(leader, placement).ok_or_else(|| {
        Failure::failed(format!("the leader {leader} is none of the nodes that were started"))
    })?;
    let led = placement.partitions.iter().filter(|placed| placed.leader == Some(leader));
    Ok((at, led.map(|placed| placed.partition).collect()))
}

fn tell_of_the_kill(voice: &Voice, fleet: &Fleet, victim: usize, led: &[PartitionId], acknowledged: u64) {
    let name = fleet.name(victim);
    voice.chapter(&format!(
        "kill -9 of {name}, which leads the busiest partition, while acknowledgements are flowing"
    ));
    let events = grouped(acknowledged);
    voice.say(&format!("{events} events are acknowledged so far, more were on their way"));
    voice.say(&format!("{name} led {} of {} partitions", led.len(), PartitionId::all().len()));
}

fn tell_of_the_outage(voice: &Voice, outage: &[Duration], led: usize) {
    let (Some(first), Some(last)) = (outage.iter().min(), outage.iter().max()) else {
        return voice.say("no more events came for its partitions, so there is no fail-over to time");
    };
    let ms = |time: &Duration| grouped(time.as_millis() as u64);
    voice.say(&format!(
        "from the kill to the next acknowledgement: {} ms in the first of them, {} ms in the last ({} of {led} seen)",
        ms(first),
        ms(last),
        outage.len()
    ));
}
