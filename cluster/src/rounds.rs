//! Work that many ask for at once and that is done once for all of them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Rounds of some work, one after the other. Whoever asks while a round is under way shares the next one, because what
/// the present one says may be older than the question.
///
/// There is no task behind it: the first who waits does the work. One who gives up in the middle leaves it to the next.
pub(crate) struct Rounds<T> {
    /// How many rounds have been begun.
    begun: AtomicU64,
    /// The last round that was finished, and what it gave. Held by whoever is doing a round.
    last: Mutex<(u64, Option<T>)>,
}

impl<T: Clone> Rounds<T> {
    pub(crate) fn new() -> Rounds<T> {
        Rounds { begun: AtomicU64::new(0), last: Mutex::new((0, None)) }
    }

    /// What a round gives that was begun after this call: one that somebody else does, or else `round`. Cancel-safe.
    pub(crate) async fn join(&self, round: impl Future<Output = T>) -> T {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let (number, Some(given)) = &*last
            && *number > before
        {
            return given.clone();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let given = round.await;
        *last = (number, Some(given.clone()));
        given
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use chronos_env::sim::World;
    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    #[test]
    fn those_who_come_during_a_round_share_the_next_one() {
        let world = World::new(1);
        world.run(async {
            let (rounds, done, clock) = (Rounds::new(), Cell::new(0), world.env().clock);
            let ask = || async {
                let round = async {
                    done.set(done.get() + 1);
                    let mine = done.get();
                    clock.sleep(Duration::from_millis(10)).await;
                    mine
                };
                rounds.join(round).await
            };
            let late = async {
                clock.sleep(Duration::from_millis(5)).await;
                join_all((0..50).map(|_| ask())).await
            };
            let (first, late) = futures::join!(ask(), late);
            assert_eq!((first, late, done.get()), (1, vec![2; 50], 2));
            assert_eq!(ask().await, 3, "an answer was given that is older than the question");
        });
    }

    #[test]
    fn one_who_gives_up_leaves_the_work_to_the_next() {
        World::new(1).run(async {
            let rounds = Rounds::new();
            let mut stuck = Box::pin(rounds.join(std::future::pending::<u8>()));
            assert!(stuck.as_mut().now_or_never().is_none());
            let mut next = Box::pin(rounds.join(async { 7 }));
            assert!(next.as_mut().now_or_never().is_none());
            drop(stuck);
            assert_eq!(next.await, 7);
        });
    }
}
