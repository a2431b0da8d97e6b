//! What openraft runs on: tokio, with two differences.
//!
//! * **Randomness comes from the node.** openraft draws election timeouts and the phase of its clock from a function
//!   without arguments. The node's generator therefore travels with the tasks: what runs inside [`Chance::scope`], and
//!   everything openraft spawns from there, draws from it. In a simulation the stream follows from the world's seed; a
//!   task that nobody has put in a scope draws from a generator of its own and never panics.
//! * **A wait shorter than a tick of the timer is a yield.** tokio's timer counts milliseconds. openraft waits one
//!   microsecond to collect completions of the log; as a timer that would be a thousand times as long, on the way of
//!   every append that meets another one.
//!
//! The type is the same in production and simulation.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use chronos_env::Entropy;
use openraft::{AsyncRuntime, OptionalSend, TokioRuntime};
use rand_core::TryRng;

type Tokio = TokioRuntime;

/// Below this a wait is a yield: tokio's timer cannot tell it from a millisecond.
const GRAIN: Duration = Duration::from_micros(500);

tokio::task_local! {
    static CHANCE: Chance;
}

/// A node's source of randomness, as its tasks carry it. Clones draw from the same stream.
#[derive(Clone)]
pub(crate) struct Chance(Entropy);

impl Chance {
    pub(crate) fn new(entropy: Entropy) -> Chance {
        Chance(entropy)
    }

    /// Runs `future` so that openraft draws from this source in it and in whatever it spawns.
    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        CHANCE.scope(self.clone(), future).await
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64())
    }

    fn try_fill_bytes(&mut self, buf: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buf);
        Ok(())
    }
}

/// The runtime of every group.
#[derive(Debug)]
pub(crate) struct Runtime(Tokio);

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Chance;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = <Tokio as AsyncRuntime>::Watch;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match CHANCE.try_with(Chance::clone) {
            Ok(chance) => Tokio::spawn(CHANCE.scope(chance, future)),
            Err(_) => Tokio::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        if duration < GRAIN { Sleep::Yield { yielded: false } } else { Sleep::timer(Tokio::sleep(duration)) }
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let now = <Self::Instant as openraft::Instant>::now();
        if deadline < now + GRAIN {
            Sleep::Yield { yielded: false }
        } else {
            Sleep::timer(Tokio::sleep_until(deadline))
        }
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Tokio::is_panic(join_error)
    }

    fn thread_rng() -> Chance {
        CHANCE.try_with(Chance::clone).unwrap_or_else(|_| Chance(chronos_env::Env::real().entropy))
    }

    fn new(threads: usize) -> Self {
        Runtime(Tokio::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// A wait.
pub(crate) enum Sleep {
    /// Shorter than the timer can tell: the other tasks have their turn once.
    Yield {
        /// Whether they have had it.
        yielded: bool,
    },
    /// As long as the timer says.
    Timer(Pin<Box<<Tokio as AsyncRuntime>::Sleep>>),
}

impl Sleep {
    fn timer(sleep: <Tokio as AsyncRuntime>::Sleep) -> Sleep {
        Sleep::Timer(Box::pin(sleep))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Sleep::Yield { yielded: true } => Poll::Ready(()),
            Sleep::Yield { yielded } => {
                *yielded = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Sleep::Timer(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use chronos_env::sim::World;
    use rand_core::Rng;

    use super::*;

    #[test]
    fn what_is_spawned_inside_a_scope_draws_from_the_nodes_stream() {
        let draws = |seed| {
            let world = World::new(seed);
            world.run(async {
                let chance = Chance::new(world.env().entropy.child("raft"));
                let spawn =
                    async { Runtime::spawn(async { Runtime::thread_rng().next_u64() }).await.unwrap() };
                (chance.scope(spawn).await, Runtime::thread_rng().next_u64())
            })
        };
        let ((a, outside_a), (b, outside_b)) = (draws(1), draws(1));
        assert_eq!(a, b, "the same seed gave another draw");
        assert_ne!(a, draws(2).0);
        assert_ne!(outside_a, outside_b, "outside of a scope nothing is seeded");
    }

    #[test]
    fn a_wait_below_the_grain_of_the_timer_takes_no_time_and_a_longer_one_does() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let began = clock.monotonic();
            Runtime::sleep(Duration::from_micros(1)).await;
            assert_eq!(clock.monotonic(), began);
            Runtime::sleep(Duration::from_millis(3)).await;
            assert!(clock.monotonic() >= began + Duration::from_millis(3));
        });
    }
}
