//! The compactor of a node, from outside: started, asked, waited for, stopped.

use std::sync::Arc;
use std::time::Duration;

use chronos_env::{Env, Task};
use tokio::sync::{Mutex, watch};

use crate::backlog::Backlog;
use crate::compaction::{CompactionConfig, CompactionStats, Counters};
use crate::compactor::{Compactor, Reached, Subject, Subjects};
use crate::rate::Rate;
use crate::wish::{CompactError, Wish, Wishes};

/// The running compactor of one node. It ends when this is dropped.
pub(crate) struct Compacting {
    env: Env,
    backlog: Arc<Backlog>,
    counters: Arc<Counters>,
    rate: Rate,
    wishes: Wishes,
    stop: watch::Sender<bool>,
    task: Mutex<Option<Task<()>>>,
}

impl Compacting {
    pub(crate) fn start(
        env: &Env,
        config: &CompactionConfig,
        backlog: Arc<Backlog>,
        subjects: Subjects,
    ) -> Compacting {
        let rate = Rate::new(config.bytes_per_second);
        let (wishes, stop, counters) = (Wishes::default(), watch::Sender::new(false), Arc::default());
        let compactor = Compactor {
            env: env.clone(),
            config: config.clone(),
            rate: rate.clone(),
            backlog: Arc::clone(&backlog),
            counters: Arc::clone(&counters),
            subjects,
            urgent: wishes.watch(),
            stop: stop.subscribe(),
            not_before: None,
        };
        let task = Mutex::new(Some(env.tasks.spawn("compactor", compactor.run())));
        Compacting { env: env.clone(), backlog, counters, rate, wishes, stop, task }
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// How fast events go into parts from the next slice on, while nothing presses.
    pub(crate) fn set_rate(&self, bytes_per_second: u64) {
        self.rate.set(bytes_per_second);
    }

    /// While the answer lives there are no pauses, and what waits is taken in even without background work.
    pub(crate) fn hurry(&self) -> Wish<'_> {
        self.wishes.make()
    }

    /// Waits until everything of a partition that is cut by now is in parts and purged from its log.
    pub(crate) async fn finished(&self, subject: &Subject, deadline: Duration) -> Result<(), CompactError> {
        let (id, wanted) = (subject.id, subject.partition.last_cut());
        let mut reached = subject.reached.subscribe();
        let ended =
            |reached: &Reached| reached.cut >= wanted || reached.halted.is_some() || reached.full.is_some();
        let done = reached.wait_for(ended);
        let left = deadline.saturating_sub(self.env.clock.monotonic());
        // The sender lives in the subject, so only the deadline ends this without an end.
        let Ok(Ok(end)) = self.env.clock.timeout(left, done).await else {
            return Err(CompactError::Late { id, why: self.stats().last_error });
        };
        match (&end.halted, &end.full) {
            _ if end.cut >= wanted => Ok(()),
            (Some(reason), _) => Err(CompactError::Halted { id, reason: reason.clone() }),
            (None, Some(reason)) => Err(CompactError::NoSpace { id, reason: reason.clone() }),
            (None, None) => unreachable!("the wait ends with one of them"),
        }
    }

    pub(crate) fn stats(&self) -> CompactionStats {
        self.counters.read(self.backlog.now().total())
    }

    /// Ends the compactor after the slice it is at; what was begun is given up.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let task = self.task.lock().await.take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the compactor died before it could be stopped");
        }
    }
}
