//! When this node last heard of the leader of a group.
//!
//! openraft goes on naming a leader until there is another one, because as long as nobody else was elected nothing else
//! is known. Whoever is told who leads wants to know as well whether there is any reason to think so.

use std::sync::Arc;
use std::time::Duration;

use chronos_env::Clock;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::settings::Pace;

/// What is heard of one group's leaders. Clones hear the same.
#[derive(Clone)]
pub(crate) struct Ear {
    clock: Clock,
    pace: Pace,
    last: Arc<Mutex<Option<Word>>>,
    heard: Arc<Notify>,
}

/// A leader's last word.
#[derive(Clone, Copy)]
struct Word {
    term: u64,
    at: Duration,
}

impl Ear {
    /// One that has heard nothing.
    pub(crate) fn new(clock: Clock, pace: Pace) -> Ear {
        Ear { clock, pace, last: Arc::default(), heard: Arc::default() }
    }

    /// The leader of a term says something. What a leader says that was succeeded does not count.
    pub(crate) fn hear(&self, term: u64) {
        let at = self.clock.monotonic();
        let mut last = self.last.lock();
        if last.is_none_or(|last| last.term <= term) {
            *last = Some(Word { term, at });
        }
        drop(last);
        self.heard.notify_waiters();
    }

    /// Resolves when a leader says something after this call.
    pub(crate) fn next_word(&self) -> OwnedNotified {
        Arc::clone(&self.heard).notified_owned()
    }

    /// Whether the leader of a term was heard of so short a time ago that it is taken to be alive.
    pub(crate) fn hears(&self, term: u64) -> bool {
        let (now, silent_after) = (self.clock.monotonic(), self.pace.silent_after());
        self.last.lock().is_some_and(|last| last.term == term && now.saturating_sub(last.at) < silent_after)
    }
}

#[cfg(test)]
mod tests {
    use chronos_env::sim::World;

    use super::*;

    #[test]
    fn a_leader_is_alive_for_a_while_after_each_word_and_one_that_was_succeeded_is_not() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let pace = Pace::of(crate::BEAT);
            let ear = Ear::new(clock.clone(), pace);
            assert!(!ear.hears(0), "nothing was heard");
            ear.hear(3);
            assert!(ear.hears(3) && !ear.hears(2) && !ear.hears(4));
            clock.sleep(pace.silent_after() * 3 / 4).await;
            ear.hear(2);
            clock.sleep(pace.silent_after() / 2).await;
            assert!(!ear.hears(3) && !ear.hears(2), "a leader of the past says nothing of the present one");
            ear.hear(4);
            assert!(ear.hears(4));
        });
    }
}
