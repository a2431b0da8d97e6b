//! What openraft runs on: tokio, with three differences.
//!
//! * **Randomness comes from the node.** openraft draws election timeouts and the phase of its clock from a function
//!   without arguments. The node's generator therefore travels with the tasks: what runs inside [`Chance::scope`], and
//!   everything openraft spawns from there, draws from it. In a simulation the stream follows from the world's seed; a
//!   task that nobody has put in a scope draws from a generator of its own and never panics.
//! * **A wait shorter than a tick of the timer is a yield.** tokio's timer counts milliseconds. openraft waits one
//!   microsecond to collect completions of the log; as a timer that would be a thousand times as long, on the way of
//!   every append that meets another one.
//! * **All groups of a node look at their clocks at the same moments**, its [`Beat`]. Left alone, each group wakes up for
//!   its own tick, some twenty times a second, and each of its heartbeats is a packet. With a common beat a node wakes up
//!   once for all of them, what they have to say to another node leaves in one frame, and so do the answers. A tick is
//!   therefore late by up to a beat, never early; only ticks wait for a moment in time, everything else waits for a while.
//!
//! The type is the same in production and simulation.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use chronos_env::Entropy;
use openraft::{AsyncRuntime, Instant, OptionalSend, TokioRuntime};
use rand_core::TryRng;

use super::settings::Pace;
use crate::node::NodeId;

type Tokio = TokioRuntime;

/// Below this a wait is a yield: tokio's timer cannot tell it from a millisecond.
const GRAIN: Duration = Duration::from_micros(500);

/// From one moment at which the groups of a node look at their clocks to the next, unless somebody says otherwise.
pub const BEAT: Duration = Duration::from_millis(100);

type Moment = <Tokio as AsyncRuntime>::Instant;

tokio::task_local! {
    static CARRIED: Carried;
}

/// What a task of a group carries.
struct Carried {
    chance: Chance,
    /// Whether it has waited for a moment that was further away than the grain: only whoever ticks does, and from then on
    /// keeps to the beat also where the next moment happens to be near.
    ticks: Cell<bool>,
}

impl Carried {
    fn by(chance: Chance) -> Carried {
        Carried { chance, ticks: Cell::new(false) }
    }
}

/// A node's source of randomness and its beat, as its tasks carry them. Clones draw from the same stream.
#[derive(Clone)]
pub(crate) struct Chance {
    entropy: Entropy,
    /// Without one every wait ends at its own moment.
    beat: Option<Beat>,
}

impl Chance {
    pub(crate) fn new(entropy: Entropy, beat: Beat) -> Chance {
        Chance { entropy, beat: Some(beat) }
    }

    /// Runs `future` so that openraft draws from this source, and keeps this beat, in it and in whatever it spawns.
    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        CARRIED.scope(Carried::by(self.clone()), future).await
    }
}

/// The moments at which the groups of one node look at their clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// One of them.
    origin: Moment,
    /// From one to the next.
    every: Duration,
}

impl Beat {
    /// A node's beat, which begins now. Nodes that begin together keep apart, so that of followers that miss their
    /// leader one is the first to say so: multiples of the golden ratio are as far from each other as can be.
    pub(crate) fn of(node: NodeId, every: Duration) -> Beat {
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let beat = every.as_micros() as u64;
        let phase = (u128::from(node.get().wrapping_mul(GOLDEN)) * u128::from(beat)) >> 64;
        let origin = Moment::now() + Duration::from_micros(phase as u64);
        Beat { origin, every }
    }

    /// The first of its moments that is not before `moment`.
    fn not_before(self, moment: Moment) -> Moment {
        let since = moment.saturating_duration_since(self.origin).as_nanos();
        let beats =
            u32::try_from(since.div_ceil(self.every.as_nanos())).expect("a node runs for less than 6 years");
        self.origin + self.every * beats
    }

    /// How fast the timers of groups go that keep it.
    pub(crate) fn pace(self) -> Pace {
        Pace::of(self.every)
    }
}

impl TryRng for Chance {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.entropy.u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.entropy.u64())
    }

    fn try_fill_bytes(&mut self, buf: &mut [u8]) -> Result<(), Infallible> {
        self.entropy.fill(buf);
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
        match CARRIED.try_with(|carried| carried.chance.clone()) {
            Ok(chance) => Tokio::spawn(CARRIED.scope(Carried::by(chance), future)),
            Err(_) => Tokio::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        if duration < GRAIN { Sleep::Yield { yielded: false } } else { Sleep::timer(Tokio::sleep(duration)) }
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let is_short = deadline < Self::Instant::now() + GRAIN;
        let beat = CARRIED.try_with(|carried| {
            let ticks = carried.ticks.get() || !is_short;
            carried.ticks.set(ticks);
            carried.chance.beat.filter(|_| ticks)
        });
        match beat {
            Ok(Some(beat)) => Sleep::timer(Tokio::sleep_until(beat.not_before(deadline))),
            _ if is_short => Sleep::Yield { yielded: false },
            _ => Sleep::timer(Tokio::sleep_until(deadline)),
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
        let unseeded = |_| Chance { entropy: chronos_env::Env::real().entropy, beat: None };
        CARRIED.try_with(|carried| carried.chance.clone()).unwrap_or_else(unseeded)
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
                let chance = Chance::new(world.env().entropy.child("raft"), Beat::of(NodeId::FIRST, BEAT));
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

    #[test]
    fn everything_in_a_scope_that_waits_for_a_moment_wakes_up_on_the_nodes_beat_and_never_early() {
        World::new(1).run(async {
            let now = Moment::now;
            let (one, other) = (Beat::of(NodeId::new(1), BEAT), Beat::of(NodeId::new(2), BEAT));
            assert_ne!(one.origin, other.origin, "nodes that begin together wake up together");
            let began = now();
            let chance = Chance::new(chronos_env::Env::real().entropy, one);
            // What waits for less than the timer can tell is on the way of an append.
            chance.scope(async { Runtime::sleep_until(now() + Duration::from_micros(1)).await }).await;
            assert_eq!(now(), began, "a wait of a microsecond was put off to the next beat");
            let waits = [1_u64, 37, 99, 100, 101, 450].map(|ms| {
                let deadline = began + Duration::from_millis(ms);
                chance.scope(async move {
                    let wait = async move { Runtime::sleep_until(deadline).await };
                    Runtime::spawn(wait).await.unwrap();
                    (deadline, Moment::now())
                })
            });
            for (deadline, woken) in futures::future::join_all(waits).await {
                let late = woken - deadline;
                assert!(woken >= deadline && late < BEAT + Duration::from_millis(2), "{late:?}");
                let off = woken.saturating_duration_since(one.origin).as_millis() % BEAT.as_millis();
                assert!(off < 2, "{off} ms beside the beat");
            }
            let began = now();
            let ticks = chance.scope(async {
                let mut times = 0;
                Runtime::sleep_until(began + BEAT).await;
                // Whatever the next moment is, and however near: time goes on.
                while now() < began + 20 * BEAT {
                    Runtime::sleep_until(now() + Duration::from_micros(1)).await;
                    times += 1;
                }
                times
            });
            let ticks = ticks.await;
            assert!((17..20).contains(&ticks), "{ticks} ticks in 19 beats");
        });
    }
}
