//! How openraft is set.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

/// How fast the timers of a node's groups go: everything that is counted in time is so many beats long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    beat_ms: u64,
}

impl Pace {
    /// That of a node whose groups look at their clocks once in a `beat` of whole milliseconds.
    pub(crate) fn of(beat: Duration) -> Pace {
        Pace { beat_ms: u64::try_from(beat.as_millis()).expect("a beat is less than an age") }
    }

    /// A leader is heard of at every third beat: a little less than that, because it is counted from when a beat was
    /// handled.
    const fn heartbeat_ms(self) -> u64 {
        self.beat_ms * 29 / 10
    }

    /// A follower trusts its leader for the longer of these after it has heard of it, and waits for a time between the
    /// two, drawn anew each time, and for its next beat, before it asks for votes: so at the usual beat a dead leader is
    /// missed after 1.3 to 1.8 seconds of silence.
    const fn election_ms(self) -> std::ops::Range<u64> {
        self.beat_ms * 17 / 4..self.beat_ms * 17 / 2
    }

    /// Whoever answered within this time needs no heartbeat.
    const fn heartbeat_spared_ms(self) -> u64 {
        self.beat_ms * 3 / 4
    }

    /// A leader of which nothing was heard for so long, or that has heard of no quorum, is not taken to be alive any more:
    /// by then whoever could lead instead has asked for votes. In a group that is well it is heard of several times as
    /// often.
    pub(crate) const fn silent_after(self) -> Duration {
        Duration::from_millis(2 * self.election_ms().end + self.heartbeat_ms())
    }

    /// openraft looks at the clock so often, if it is let.
    #[cfg(test)]
    const fn tick_ms(self) -> u64 {
        self.heartbeat_ms() * 13 / 64
    }

    /// A leader that has not heard of a quorum for the longest election falls silent for this long, so that others may
    /// elect one that hears them; then it tries for as long again, and so on.
    const fn quorum_lost_ms(self) -> u64 {
        2 * self.election_ms().end
    }
}

/// Entries in one message; what bounds it is their bytes.
const MESSAGE_ENTRIES_MAX: u64 = 64;
/// Entries in one write to the log.
const APPEND_ENTRIES_MAX: u64 = 64;
/// Entries a follower may be behind and still be sent entries, as long as the log has them: as many as there may be.
const LAG_MAX: u64 = 1 << 48;
/// Messages that wait for a group, from callers, from its own parts, and for its state machine.
const CHANNELS: (u64, u64, u64) = (1024, 1024, 64);

/// The settings of a group.
///
/// * Snapshots and purges are ours: a manifest is a snapshot, and the log is purged behind it.
/// * A leader that restarts is elected again, in a new term: entries it had not yet synced may lie on other nodes under
///   the same term and index.
/// * Pre-vote: who cannot win does not raise the term.
/// * Without `elects` the group asks for no votes: its replica is being repaired.
/// * Check-quorum: a leader that hears nobody, but is heard, does not keep the others from electing one that works.
/// * Without `ticks` nobody's silence means anything: a group of one asks for no votes by itself and sends nothing.
/// * A log that went back is refused: openraft never sees one, because its replica finds out when it starts, or is told
///   when it is sent entries, and begins anew ([`lost`](super::lost)); nor one that went elsewhere, which leaves service
///   ([`diverged`](super::diverged)); a node that lost its disk comes back as another one.
pub(crate) fn settings(cluster: u128, pace: Pace, ticks: bool, elects: bool) -> Arc<Config> {
    let (api, notifications, machine) = CHANNELS;
    let config = Config {
        cluster_name: format!("{cluster:032x}"),
        heartbeat_interval: pace.heartbeat_ms(),
        election_timeout_min: pace.election_ms().start,
        election_timeout_max: pace.election_ms().end,
        heartbeat_min_interval: Some(pace.heartbeat_spared_ms()),
        max_payload_entries: MESSAGE_ENTRIES_MAX,
        max_append_entries: Some(APPEND_ENTRIES_MAX),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        replication_lag_threshold: LAG_MAX,
        api_channel_size: Some(api),
        notification_channel_size: Some(notifications),
        state_machine_channel_size: Some(machine),
        // With followers an entry goes out while it is being synced here; alone it would only cost.
        broadcast_submitted_on_append: Some(ticks),
        enable_tick: ticks,
        enable_elect: elects,
        enable_pre_vote: Some(true),
        quorum_loss_probe_interval: ticks.then_some(pace.quorum_lost_ms()),
        enable_leader_restore: Some(false),
        allow_log_reversion: Some(false),
        ..Config::default()
    };
    Arc::new(config.validate().expect("the timeouts above are in order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fit_together_at_every_pace() {
        for beat_ms in 50..=1000 {
            let pace = Pace { beat_ms };
            let election = pace.election_ms();
            assert!(
                pace.heartbeat_ms() + pace.heartbeat_spared_ms() + pace.tick_ms() < election.start,
                "a heartbeat that is spared lets an election begin at {beat_ms} ms"
            );
            assert!(
                pace.tick_ms() + pace.tick_ms() / 2 < beat_ms,
                "the next tick is due after the next beat at {beat_ms} ms"
            );
            assert!(election.end >= 2 * election.start, "elections of many groups collide at {beat_ms} ms");
        }
        let usual = Pace::of(crate::BEAT);
        assert_eq!((usual.heartbeat_ms(), usual.election_ms()), (290, 425..850));
        assert_eq!(usual.silent_after(), Duration::from_millis(1990));
    }

    #[test]
    fn no_snapshot_and_no_purge_happens_that_we_did_not_ask_for() {
        let settings = settings(1, Pace::of(crate::BEAT), true, true);
        assert_eq!(settings.snapshot_policy, SnapshotPolicy::Never);
        assert_eq!(settings.max_in_snapshot_log_to_keep, u64::MAX);
        assert_eq!((settings.enable_leader_restore, settings.enable_pre_vote), (Some(false), Some(true)));
    }
}
