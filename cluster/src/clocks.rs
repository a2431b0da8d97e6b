//! What time it is, going by all nodes' clocks.
//!
//! A stamp is for good: no event of a partition is stamped earlier than the one before, whoever leads. One clock that is a
//! minute ahead, once, would have its partitions a minute ahead until real time has caught up, and reads as of now would
//! leave out what was acknowledged meanwhile, without a word. So a node does not believe its own clock alone:
//!
//! ```text
//!   stamp = min(own clock, the moment that a majority of the known clocks have reached + the allowance)
//! ```
//!
//! * **What others say only ever holds a clock back**, never pushes it: to be late mends itself, to be early does not. Whose
//!   clock is behind stamps what was stamped before, and is told of.
//! * **A moment that a majority has reached** is one that a single wrong clock of three, or two of five, can neither move
//!   ahead nor keep back. Of two clocks nobody knows which is right: the earlier one bounds both.
//! * **Known is what was heard**, in the answers to the status question that every node asks every other one once a second
//!   (and ten times a second until the first answer). The other clock was read between question and answer: so what it shows
//!   now lies within a span as wide as the round trip, and later within one that is wider by what two clocks can drift apart.
//!   A later answer narrows the span, or replaces it when the two do not meet, as a clock was set. What counts as reached
//!   is the early end, and a clock is told to be off only as far as no point of the spans denies it.
//! * **Who is not heard of any more goes on counting** for [`KNOWN_FOR`]: its clock has not stopped.
//! * **Who knows no other clock has only its own**: a node that is alone; and, after a start, one that has not been answered
//!   yet, within about a second of others being reached.
//!
//! The bound on the offset is CockroachDB's, the interval around a remote clock is Cristian's and Marzullo's; unlike hybrid
//! logical clocks this never takes over a time because somebody else has stamped it, and unlike Spanner it need not wait,
//! because here stamps do not decide what is visible to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chronos_domain::Timestamp;
use chronos_domain::limits::CLOCK_OFFSET_MICROS_MAX;
use chronos_env::Clock;
use parking_lot::Mutex;

use crate::node::NodeId;

/// How long a clock counts after it was heard of.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// A clock gains or loses no more than one part in so many on another one: 500 ppm, which is what ntpd takes for possible.
const DRIFT: i64 = 2000;
// What is known of a clock stays better than what is asked of it.
const _: () = assert!(KNOWN_FOR.as_micros() as i64 / DRIFT < CLOCK_OFFSET_MICROS_MAX);
/// No bound: no other clock is known.
const UNBOUNDED: i64 = i64::MAX;

/// All clocks, as one node knows them.
pub(crate) struct Clocks {
    clock: Clock,
    me: NodeId,
    state: Mutex<State>,
    /// The moment that a majority has reached, in microseconds before which this node's monotonic clock began; or
    /// [`UNBOUNDED`].
    reached: AtomicI64,
}

#[derive(Default)]
struct State {
    /// The clocks of others.
    heard: BTreeMap<NodeId, Heard>,
    /// Those that were told to be off.
    told: BTreeSet<NodeId>,
}

/// By how many microseconds a wall clock is ahead of this node's monotonic clock: at least, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    low: i64,
    high: i64,
}

struct Heard {
    at: Duration,
    span: Span,
}

impl Clocks {
    /// Of a node that knows nobody yet.
    pub(crate) fn new(clock: &Clock, me: NodeId) -> Clocks {
        let (clock, state) = (clock.clone(), Mutex::default());
        Clocks { clock, me, state, reached: AtomicI64::new(UNBOUNDED) }
    }

    /// What time it is: what this node's wall clock says, unless that is later than it can be. May go back, as that may.
    pub(crate) fn now(&self) -> Timestamp {
        let reached = self.reached.load(Ordering::Relaxed);
        let latest = reached.saturating_add(micros(self.clock.monotonic()) + CLOCK_OFFSET_MICROS_MAX);
        let own = self.clock.wall_micros();
        chronos_env::sometimes!("clock.held_back", own > latest);
        Timestamp::new(own.min(latest))
    }

    /// A node has said what its wall clock says, in answer to a question that was asked at `asked`.
    pub(crate) fn hear(&self, node: NodeId, wall: Timestamp, asked: Duration) {
        let at = self.clock.monotonic();
        let span = Span::read(wall.get(), asked, at);
        let mut state = self.state.lock();
        let before = state.heard.get(&node).map(|heard| heard.now(at));
        chronos_env::sometimes!("clock.was_set", before.is_some_and(|before| before.meet(span).is_none()));
        let span = before.and_then(|before| before.meet(span)).unwrap_or(span);
        state.heard.insert(node, Heard { at, span });
        self.settle(&state, at);
    }

    /// Whether another clock than this node's is known.
    pub(crate) fn knows_others(&self) -> bool {
        !self.state.lock().heard.is_empty()
    }

    /// Forgets the clocks of all but these `others`, and those that were not heard of for too long; and says in the log whose
    /// clock has come to be off since the last time, and whose is right again. To be called now and then.
    pub(crate) fn compare(&self, others: &BTreeSet<NodeId>) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        state.heard.retain(|node, heard| others.contains(node) && now.saturating_sub(heard.at) <= KNOWN_FOR);
        self.settle(&state, now);
        let all: Vec<NodeId> = others.iter().copied().chain([self.me]).collect();
        state.told.retain(|node| all.contains(node));
        for node in all {
            let Some(offset) = self.offset_in(&state, node, now) else { continue };
            let was_off = state.told.contains(&node);
            // Who is told to be off is so until it is well within the bound: else one that is close to it came and went.
            let bound = if was_off { CLOCK_OFFSET_MICROS_MAX / 2 } else { CLOCK_OFFSET_MICROS_MAX };
            let is_off = offset.saturating_abs() > bound;
            match (was_off, is_off) {
                (false, true) => {
                    chronos_env::sometimes!("clock.told_to_be_off");
                    state.told.insert(node);
                    tracing::warn!(
                        %node,
                        ahead_ms = offset / 1000,
                        "the clock of a node is not that of the others: synchronise the clocks of all nodes (chrony, ntpd, \
                         systemd-timesyncd)"
                    );
                }
                (true, false) => {
                    state.told.remove(&node);
                    tracing::info!(%node, "the clock of a node is that of the others again");
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    /// By how many microseconds a node's wall clock is at least ahead of what a majority's clocks say, or behind it when
    /// negative; `None` when it, or every other one than this node's, is not known.
    pub(crate) fn offset(&self, node: NodeId) -> Option<i64> {
        self.offset_in(&self.state.lock(), node, self.clock.monotonic())
    }

    fn offset_in(&self, state: &State, node: NodeId, now: Duration) -> Option<i64> {
        let all = self.all(state, now);
        let of = if node == self.me { self.own() } else { state.heard.get(&node)?.now(now) };
        (all.len() > 1).then(|| of.beyond(majority(all)))
    }

    fn settle(&self, state: &State, now: Duration) {
        let all = self.all(state, now);
        let reached = if all.len() > 1 { majority(all).low } else { UNBOUNDED };
        self.reached.store(reached, Ordering::Relaxed);
    }

    /// Every clock that is known.
    fn all(&self, state: &State, now: Duration) -> Vec<Span> {
        state.heard.values().map(|heard| heard.now(now)).chain([self.own()]).collect()
    }

    /// This node's own, which takes time to read as well: it may have been halted meanwhile.
    fn own(&self) -> Span {
        let asked = self.clock.monotonic();
        Span::read(self.clock.wall_micros(), asked, self.clock.monotonic())
    }
}

impl Heard {
    /// What is known of it by now.
    fn now(&self, now: Duration) -> Span {
        let drift = micros(now.saturating_sub(self.at)) / DRIFT;
        Span { low: self.span.low.saturating_sub(drift), high: self.span.high.saturating_add(drift) }
    }
}

impl Span {
    /// Of a wall clock that showed `wall` at some moment between these two.
    fn read(wall: i64, asked: Duration, answered: Duration) -> Span {
        Span { low: wall.saturating_sub(micros(answered)), high: wall.saturating_sub(micros(asked)) }
    }

    /// What two that are of the same clock say together; `None` when they contradict each other.
    fn meet(self, other: Span) -> Option<Span> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (low <= high).then_some(Span { low, high })
    }

    /// How far the one is ahead of the other at least, or behind it when negative; nothing where they may be the same.
    fn beyond(self, other: Span) -> i64 {
        let (ahead, behind) = (self.low.saturating_sub(other.high), self.high.saturating_sub(other.low));
        if ahead > 0 { ahead } else { behind.min(0) }
    }
}

/// What a majority of clocks have reached: certainly, and perhaps.
fn majority(all: Vec<Span>) -> Span {
    // The last of a majority, from the latest on: the second of three, and of two.
    let last = all.len() / 2;
    let of = |end: fn(&Span) -> i64| {
        let mut ends: Vec<i64> = all.iter().map(end).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends[last]
    };
    Span { low: of(|span| span.low), high: of(|span| span.high) }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use chronos_env::sim::World;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const ALLOWANCE: i64 = CLOCK_OFFSET_MICROS_MAX;

    fn n(number: u64) -> NodeId {
        NodeId::new(number)
    }

    /// The first of several nodes, and true time.
    struct First {
        world: World,
        clocks: Clocks,
        clock: Clock,
    }

    impl First {
        fn new(world: &World) -> First {
            let clocks = Clocks::new(&world.host("n1").env().clock, n(1));
            First { world: world.clone(), clocks, clock: world.env().clock }
        }

        fn is_ahead(&self, by: i64) {
            self.world.host("n1").set_wall_offset_micros(by);
        }

        /// Asks a node whose clock is ahead, and has the answer after the times that question and answer take.
        async fn ask(&self, node: u64, ahead: i64, (there, back): (Duration, Duration)) {
            let asked = self.clock.monotonic();
            self.clock.sleep(there).await;
            let wall = Timestamp::new(self.clock.wall_micros() + ahead);
            self.clock.sleep(back).await;
            self.clocks.hear(n(node), wall, asked);
        }

        /// How far the stamps of this node are ahead.
        fn ahead(&self) -> i64 {
            self.clocks.now().get() - self.clock.wall_micros()
        }

        fn offset(&self, node: u64) -> Option<i64> {
            self.clocks.offset(n(node))
        }
    }

    const AT_ONCE: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);
    const MINUTE: i64 = 60_000_000;

    fn with_first<T>(test: impl AsyncFnOnce(First) -> T) -> T {
        let world = World::new(1);
        world.run(async { test(First::new(&world)).await })
    }

    #[test]
    fn who_knows_no_other_clock_stamps_by_its_own() {
        with_first(async |first| {
            first.is_ahead(MINUTE);
            first.clocks.compare(&BTreeSet::from([n(2)]));
            assert_eq!((first.ahead(), first.offset(1), first.clocks.knows_others()), (MINUTE, None, false));
        });
    }

    #[test]
    fn one_clock_that_is_ahead_of_two_is_held_back_and_one_that_is_behind_holds_nobody_back() {
        with_first(async |first| {
            first.is_ahead(MINUTE);
            first.ask(2, 0, AT_ONCE).await;
            first.ask(3, 0, AT_ONCE).await;
            assert_eq!(first.ahead(), ALLOWANCE);
            assert_eq!([1, 2, 3].map(|node| first.offset(node)), [MINUTE, 0, 0].map(Some));
            first.clock.sleep(SECOND).await;
            assert!(
                (ALLOWANCE - 1000..=ALLOWANCE).contains(&first.ahead()),
                "time goes on: {}",
                first.ahead()
            );
        });
        for wrong in [MINUTE, -MINUTE] {
            with_first(async |first| {
                first.ask(2, wrong, AT_ONCE).await;
                first.ask(3, 0, AT_ONCE).await;
                assert_eq!(first.ahead(), 0);
                assert_eq!([1, 2, 3].map(|node| first.offset(node)), [0, wrong, 0].map(Some));
            });
        }
    }

    #[test]
    fn what_others_say_pushes_no_clock_forward() {
        with_first(async |first| {
            first.is_ahead(-MINUTE);
            first.ask(2, 0, AT_ONCE).await;
            first.ask(3, 0, AT_ONCE).await;
            assert_eq!((first.ahead(), first.offset(1)), (-MINUTE, Some(-MINUTE)));
        });
    }

    #[test]
    fn of_two_clocks_the_earlier_one_bounds_both_and_three_of_five_outvote_two() {
        with_first(async |first| {
            first.ask(2, -MINUTE, AT_ONCE).await;
            assert_eq!((first.ahead(), first.offset(1)), (ALLOWANCE - MINUTE, Some(MINUTE)));
        });
        with_first(async |first| {
            first.is_ahead(MINUTE);
            for (node, ahead) in [(2, MINUTE), (3, 0), (4, 0), (5, 0)] {
                first.ask(node, ahead, AT_ONCE).await;
            }
            assert_eq!((first.ahead(), first.offset(2), first.offset(5)), (ALLOWANCE, Some(MINUTE), Some(0)));
        });
    }

    #[test]
    fn a_round_trip_widens_what_may_be_and_a_quick_one_narrows_it() {
        with_first(async |first| {
            // Of such an answer nothing is certain but that the other clock is at most so much ahead of this one.
            first.ask(2, 300_000, (100 * MILLISECOND, 400 * MILLISECOND)).await;
            assert_eq!(first.offset(2), Some(0));
            first.ask(2, 300_000, (2 * MILLISECOND, MILLISECOND)).await;
            assert_eq!(first.offset(2), Some(299_000));
            // A slow one teaches nothing new.
            first.ask(2, 300_000, (400 * MILLISECOND, 400 * MILLISECOND)).await;
            let offset = first.offset(2).unwrap();
            assert!((298_500..=299_000).contains(&offset), "{offset}");
            // A clock that was set.
            first.ask(2, 0, (100 * MILLISECOND, 100 * MILLISECOND)).await;
            assert_eq!(first.offset(2), Some(0));
        });
    }

    #[test]
    fn a_clock_goes_on_counting_after_its_node_fell_silent_but_not_for_ever_nor_after_it_was_removed() {
        let both = BTreeSet::from([n(2), n(3)]);
        with_first(async |first| {
            first.is_ahead(MINUTE);
            first.ask(2, 0, AT_ONCE).await;
            first.ask(3, 0, AT_ONCE).await;
            first.clock.sleep(KNOWN_FOR).await;
            first.clocks.compare(&both);
            // Less by as much as the clocks may have drifted apart meanwhile.
            assert_eq!(first.ahead(), ALLOWANCE - micros(KNOWN_FOR) / DRIFT);
            first.clock.sleep(SECOND).await;
            first.clocks.compare(&both);
            assert_eq!(first.ahead(), MINUTE);
            first.ask(2, 0, AT_ONCE).await;
            assert_eq!(first.ahead(), ALLOWANCE);
            first.clocks.compare(&BTreeSet::from([n(3)]));
            assert_eq!((first.ahead(), first.offset(2)), (MINUTE, None));
        });
    }

    #[test]
    fn a_clock_is_told_to_be_off_once_and_to_be_right_again_when_it_is_well_within_the_bound() {
        with_first(async |first| {
            let others = BTreeSet::from([n(2), n(3)]);
            let told = async |ahead| {
                first.ask(2, ahead, AT_ONCE).await;
                first.ask(3, 0, AT_ONCE).await;
                first.clocks.compare(&others);
                first.clocks.state.lock().told.clone()
            };
            let off = BTreeSet::from([n(2)]);
            assert_eq!(told(ALLOWANCE).await, BTreeSet::new());
            assert_eq!(told(ALLOWANCE + 1).await, off);
            assert_eq!(told(ALLOWANCE).await, off);
            assert_eq!(told(ALLOWANCE / 2).await, BTreeSet::new());
            assert_eq!(told(-ALLOWANCE - 1).await, off);
        });
    }
}
