//! Whether a replica is as far as it ever said it was.
//!
//! What a replica has applied it tells, to readers and to whoever asks how it does. After a kill it may know less: that an
//! entry is committed becomes durable with some later write, and where its own disk is slow an entry may have been applied,
//! because others had it, before it was in this log. The same happens in one life when a replica goes back to what its disk
//! holds, or discards that. What such a replica shows is a past that it had left behind already, and a reader who comes back
//! would see time run backward.
//!
//! Everything it told was committed. So it has caught up once the leader was asked, *since then*, up to where entries may have
//! been acknowledged, and all of that is applied here. Before that it says that it is starting, and is not read; nobody needs
//! it to do more than vote and take entries in. Where no leader can be found that lasts: such a replica cannot know how old it
//! is, while one that was not started again can, and goes on being read.

use tokio::sync::watch;

/// How a replica stands to its past.
pub(crate) struct Past(watch::Sender<Standing>);

#[derive(Clone, Copy)]
struct Standing {
    /// Counts how often it may have lost some of it, its start included.
    lost: u64,
    /// The last of these losses that is made up for.
    regained: u64,
}

/// One loss, to be made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss(u64);

impl Past {
    /// Of a replica that starts.
    pub(crate) fn new() -> Past {
        Past(watch::Sender::new(Standing { lost: 1, regained: 0 }))
    }

    /// From now on it may be less far than it told.
    pub(crate) fn lose(&self) {
        self.0.send_modify(|standing| standing.lost += 1);
    }

    /// What is to be made up for now.
    pub(crate) fn loss(&self) -> Loss {
        Loss(self.0.borrow().lost)
    }

    /// It is at least as far as it ever told before that loss, and will be from now on.
    pub(crate) fn regain(&self, loss: Loss) {
        self.0.send_modify(|standing| standing.regained = standing.regained.max(loss.0));
    }

    /// Whether it is at least as far as it ever told.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.borrow().is_whole()
    }

    /// Waits until something is to be made up for.
    pub(crate) async fn next_loss(&self) -> Loss {
        let mut standing = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let lost =
            standing.wait_for(|standing| !standing.is_whole()).await.map_or(0, |standing| standing.lost);
        Loss(lost)
    }
}

impl Standing {
    fn is_whole(self) -> bool {
        self.lost == self.regained
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn what_was_regained_before_the_last_loss_does_not_make_up_for_it() {
        let past = Past::new();
        assert!(!past.is_whole(), "it starts, and knows nothing");
        let first = past.loss();
        past.lose();
        past.regain(first);
        assert!(!past.is_whole());
        let second = past.next_loss().now_or_never().expect("it is to be made up for");
        assert_ne!(first, second);
        past.regain(second);
        past.regain(first);
        assert!(past.is_whole() && past.next_loss().now_or_never().is_none());
        past.lose();
        assert!(!past.is_whole());
    }
}
