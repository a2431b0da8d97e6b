//! Whether a node can be reached from here, and how far away it is.

use std::time::Duration;

/// The pause before a node that was not reached is tried again; it doubles with each failure.
const AGAIN_MIN: Duration = Duration::from_millis(200);
/// The longest such pause: a node that comes back is used again after at most so long.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// Whether a node can be reached from here. A node is found out about in the background; nobody's request waits for a
/// connection to one that may not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nobody has tried yet.
    Untried,
    /// It answered, as itself.
    Reached,
    /// It did not answer, or somebody else did; it is tried again at this time.
    Lost {
        again: Duration,
        /// How many times in a row.
        times: u32,
    },
}

impl Reach {
    /// What is known after an attempt to reach the node failed.
    pub(super) fn missed(self, now: Duration) -> Self {
        let times = match self {
            Self::Untried | Self::Reached => 0,
            Self::Lost { times, .. } => times,
        };
        let pause = AGAIN_MIN.saturating_mul(1 << times.min(16)).min(AGAIN_MAX);
        Self::Lost { again: now + pause, times: times.saturating_add(1) }
    }

    /// What is known after a connection that had worked broke: the node is asked at once whether it is still there.
    pub(super) fn doubted(self, now: Duration) -> Self {
        match self {
            Self::Untried | Self::Reached => Self::Lost { again: now, times: 0 },
            lost @ Self::Lost { .. } => lost,
        }
    }

    /// Whether it is time to try.
    pub(super) fn is_due(self, now: Duration) -> bool {
        match self {
            Self::Untried => true,
            Self::Reached => false,
            Self::Lost { again, .. } => again <= now,
        }
    }
}

/// How long a node takes to answer: a moving average of what was measured, each measurement an eighth of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trip(Option<Duration>);

impl Trip {
    /// Takes in one measurement.
    pub(super) fn measured(&mut self, time: Duration) {
        self.0 = Some(match self.0 {
            None => time,
            Some(average) => average - average / 8 + time / 8,
        });
    }

    /// The average; the longest time there is while nothing was measured.
    pub(super) fn time(self) -> Duration {
        self.0.unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_stays_away_is_tried_less_and_less_often_and_never_given_up() {
        let mut reach = Reach::Untried;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            reach = reach.missed(Duration::ZERO);
            let Reach::Lost { again, .. } = reach else { panic!("{reach:?}") };
            assert!(!reach.is_due(again - Duration::from_nanos(1)) && reach.is_due(again));
            pauses.push(again);
        }
        assert_eq!((pauses[0], pauses[1], pauses[39]), (AGAIN_MIN, AGAIN_MIN * 2, AGAIN_MAX));
    }

    #[test]
    fn a_connection_that_breaks_is_a_reason_to_ask_at_once_but_not_sooner_than_planned() {
        let now = Duration::from_secs(5);
        assert!(Reach::Reached.doubted(now).is_due(now));
        let lost = Reach::Untried.missed(now);
        assert_eq!(lost.doubted(now), lost);
    }

    #[test]
    fn one_slow_answer_does_not_make_a_near_node_a_far_one() {
        let mut trip = Trip::default();
        assert_eq!(trip.time(), Duration::MAX);
        for _ in 0..10 {
            trip.measured(Duration::from_millis(1));
        }
        trip.measured(Duration::from_millis(41));
        assert!(trip.time() <= Duration::from_millis(6), "{trip:?}");
    }
}
