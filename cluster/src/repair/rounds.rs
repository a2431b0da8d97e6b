//! Takes in what is found, and has it repaired: some at a time, again and again with pauses.

use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};
use chronos_env::Clock;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::mending::{Mending, Setback};
use super::{Case, Repaired, Repairs, Stage, Turn, Ward};
use crate::groups::{Groups, WeakGroups};

/// Attempts that are under way at once.
const AT_ONCE: usize = 4;
/// Between two attempts: doubled each time, until something changes.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(250)..Duration::from_secs(10);

type Attempt = BoxFuture<'static, (PartitionId, Result<Repaired, Setback>)>;

/// The task that repairs.
pub(crate) struct Rounds {
    clock: Clock,
    repairs: Arc<Repairs>,
    groups: WeakGroups,
    alarm: mpsc::UnboundedReceiver<PartitionId>,
    attempts: FuturesUnordered<Attempt>,
}

impl Rounds {
    pub(crate) fn new(groups: &Groups, alarm: mpsc::UnboundedReceiver<PartitionId>) -> Rounds {
        Rounds {
            clock: groups.env().clock.clone(),
            repairs: Arc::clone(groups.repairs()),
            groups: groups.downgrade(),
            alarm,
            attempts: FuturesUnordered::new(),
        }
    }

    /// Runs until it is told to stop, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        let repairs = Arc::clone(&self.repairs);
        let mut stop = repairs.stop.subscribe();
        loop {
            self.begin_due();
            let next = repairs.next().filter(|_| self.attempts.len() < AT_ONCE);
            let pause = next.map(|next| next.saturating_sub(self.clock.monotonic()));
            let due = async {
                match pause {
                    Some(pause) => self.clock.sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // whoever wants an end gets it first
                _ = stop.wait_for(|stop| *stop) => return,
                Some((id, end)) = self.attempts.next() => repairs.ended(id, end, self.clock.monotonic()),
                alarm = self.alarm.recv() => match alarm.zip(self.groups.upgrade()) {
                    Some((id, groups)) => groups.admit_quarantined(id),
                    None => return,
                },
                () = repairs.wake.notified() => {}
                () = due => {}
            }
        }
    }

    fn begin_due(&self) {
        let Some(groups) = self.groups.upgrade() else { return };
        while self.attempts.len() < AT_ONCE {
            let Some(id) = self.repairs.begin(self.clock.monotonic()) else { return };
            let mending = Mending::new(groups.clone(), id);
            self.attempts.push(Box::pin(async move { (id, mending.attempt().await) }));
        }
    }
}

impl Repairs {
    /// Takes in a partition that is out of service.
    pub(crate) fn admit(&self, id: PartitionId, why: Arc<str>, since: Timestamp, began: Duration) {
        let mut wards = self.wards.lock();
        if wards.contains_key(&id) {
            return;
        }
        tracing::warn!(partition = id.get(), %why, "repair: partition is out of service until it is repaired");
        let ward = Ward { id, why, since, stage: Stage::Examined, attempts: 0, setback: None };
        let case = Case {
            ward,
            group: None,
            began,
            next: Some(Duration::ZERO),
            pause: PAUSE.start,
            is_refused: false,
            mismatches: 0,
        };
        wards.insert(id, case);
        self.stats.lock().count(id, Turn::Found);
        drop(wards);
        self.wake.notify_one();
        self.tell();
    }

    /// When the next attempt is due.
    fn next(&self) -> Option<Duration> {
        self.wards.lock().values().filter(|case| !case.is_refused).filter_map(|case| case.next).min()
    }

    /// Begins the attempt that has been due the longest.
    fn begin(&self, now: Duration) -> Option<PartitionId> {
        let mut wards = self.wards.lock();
        let due =
            wards.values_mut().filter(|case| !case.is_refused && case.next.is_some_and(|next| next <= now));
        let case = due.min_by_key(|case| case.next)?;
        (case.next, case.ward.attempts) = (None, case.ward.attempts + 1);
        Some(case.ward.id)
    }

    fn ended(&self, id: PartitionId, end: Result<Repaired, Setback>, now: Duration) {
        match end {
            Ok(repaired) => self.discharged(repaired),
            Err(setback) => self.set_back(id, setback, now),
        }
        self.tell();
    }

    fn discharged(&self, repaired: Repaired) {
        let Repaired { id, ref why, is_anew, parts, bytes, position, digest, took, .. } = repaired;
        let witness = repaired.witness.map_or_else(|| "nobody was asked".to_owned(), |node| node.to_string());
        let digest = hex(&digest);
        tracing::warn!(
            partition = id.get(), %why, is_anew, parts, bytes, witness, position = position.get(), digest, ?took,
            "repair: partition is whole again, and in service"
        );
        let mut stats = self.stats.lock();
        stats.count(id, Turn::Repaired);
        stats.anew += u64::from(is_anew);
        stats.parts += parts;
        stats.bytes += bytes;
        stats.last.insert(id, repaired);
    }

    /// It is not tried again before somebody gives it up.
    fn leave(&self, id: PartitionId) {
        let mut wards = self.wards.lock();
        let Some(case) = wards.get_mut(&id) else { return };
        (case.is_refused, case.next) = (true, Some(Duration::ZERO));
        let why = &case.ward.why;
        tracing::error!(partition = id.get(), %why, "a replica has diverged: it stays out of service, as it is");
    }

    fn set_back(&self, id: PartitionId, setback: Setback, now: Duration) {
        if setback == Setback::Diverged {
            return self.leave(id);
        }
        self.stats.lock().count(id, Turn::SetBack);
        let mut wards = self.wards.lock();
        let Some(case) = wards.get_mut(&id) else { return };
        let (why, is_refused) = match setback {
            Setback::Waits(why) => (why, false),
            Setback::Goes(why) => {
                case.pause = PAUSE.start;
                (why, false)
            }
            Setback::Refused(why) => (why, true),
            Setback::Diverged => return,
        };
        let why: Arc<str> = why.into();
        if case.ward.setback.as_ref() != Some(&why) {
            if is_refused {
                tracing::error!(partition = id.get(), %why, "repair is given up until the next start");
            } else {
                tracing::warn!(partition = id.get(), %why, "repair waits");
            }
            case.ward.setback = Some(why);
        }
        if is_refused && !case.is_refused {
            self.stats.lock().count(id, Turn::Refused);
        }
        case.is_refused = is_refused;
        case.next = Some(now + case.pause);
        case.pause = (case.pause * 2).min(PAUSE.end);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
