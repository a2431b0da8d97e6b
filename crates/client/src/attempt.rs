//! One append, tried until it is settled or its time is over.

use std::sync::Arc;
use std::time::Duration;

use chronos_block::Block;
use chronos_bugs::{Bug, is_seeded};
use chronos_domain::{Batch, EventId, PartitionId};
use chronos_proto::{Class, Failure, NodeId, v1};

use crate::append::with_new_ids;
use crate::client::{Appended, Inner};
use crate::connections::{Due, over, rpc};
use crate::observe::Operation;
use crate::outcome::{AppendError, NotDone, Rejected, protocol};
use crate::pace::{Backoff, Deadline, Patience, pause};
use crate::pipe::{Progress, not_sent};
use crate::routing::{Aim, Course, Hop, Line, Missed, Next, is_stranger};

/// Sends the same block until an answer settles it.
pub(crate) async fn append(
    client: &Inner,
    block: &Block,
    partition: PartitionId,
    deadline: Deadline,
) -> Result<Appended, AppendError> {
    let outcome = try_all(client, block, partition, deadline).await;
    let class = outcome.as_ref().err().map(AppendError::class);
    client.router.watcher.outcome(Operation::Append, class);
    outcome
}

async fn try_all(
    client: &Inner,
    block: &Block,
    partition: PartitionId,
    deadline: Deadline,
) -> Result<Appended, AppendError> {
    let mut attempts = Attempts::new(block);
    let holders = || client.router.holders(partition);
    let mut backoff = Backoff::new(&client.options, attempts.key());
    let mut patience = Patience::new(&client.options);
    let mut course = Course::new(Aim::Leader(partition));
    loop {
        let Some(permit) = deadline.bound(client.permits.acquire()).await else {
            let crowded = "too many other appends were in flight until the deadline";
            attempts.failed(Missed::said(not_sent(crowded)), true)?;
            return Err(attempts.give_up());
        };
        let (hop, line) = client.router.hop(&mut course, deadline).await;
        client.router.watcher.attempt(Operation::Append, hop.way.node(), attempts.count);
        let due = patience.with(hop.way, deadline);
        let anew =
            (is_seeded(Bug::M16) && attempts.count > 0).then(|| with_new_ids(block, &client.options.ids));
        let block = anew.as_ref().unwrap_or(block);
        let missed = match attempt(client, block, (hop, &line), due).await {
            Ok(appended) => {
                client.router.answered(hop, None);
                return Ok(appended);
            }
            Err(missed) => missed.of_partition(partition, holders),
        };
        drop(permit);
        if due.left().is_zero() {
            patience.was_silent(hop.way);
        }
        let next = client.router.failed(&mut course, hop, &missed);
        let elsewhere = client.router.replicas(partition) > 1;
        let asked_ms = missed.failure.retry_after_ms;
        attempts.failed(missed, elsewhere)?;
        let wait = if next == Next::AtOnce { Duration::ZERO } else { backoff.next(asked_ms) };
        if wait >= deadline.left() {
            return Err(attempts.give_up());
        }
        if next == Next::Later {
            pause(wait).await;
        }
    }
}

async fn attempt(
    client: &Inner,
    block: &Block,
    (hop, line): (Hop, &Line),
    deadline: Deadline,
) -> Result<Appended, Missed> {
    let mut progress = Progress::NotSent;
    let sending = send(client, block, (hop, line), deadline, &mut progress);
    let answer = deadline.bound(sending).await;
    let response = answer.unwrap_or_else(|| Err(timed_out(hop, progress)))?;
    let appended = chronos_proto::Appended::try_from(response);
    let appended = appended.map_err(|invalid| Missed::said(protocol(&invalid)))?;
    client.seen(&appended.token);
    Ok(Appended::new(appended, ids(block)))
}

async fn send(
    client: &Inner,
    block: &Block,
    (hop, line): (Hop, &Line),
    deadline: Deadline,
    progress: &mut Progress,
) -> Result<v1::AppendResponse, Missed> {
    let rpc = || rpc(over(line.channel(), client.router.saying(hop.direct, Due::Whenever)));
    let router = Arc::downgrade(&client.router);
    let ended = move || {
        if let Some(router) = router.upgrade() {
            router.doubt(hop.way);
        }
    };
    line.pipe(hop.direct).send(rpc, ended, block.bytes().clone(), deadline, progress).await
}

fn timed_out(hop: Hop, progress: Progress) -> Missed {
    let who = hop.way.node().map_or_else(|| "a server".to_owned(), |node| node.to_string());
    Missed::lost(match progress {
        Progress::NotSent => not_sent(format!("the time was over before {who} could be reached")),
        Progress::Sent => {
            let text = format!("the time was over before {who} had answered");
            Failure::new(Class::Unknown, "DEADLINE_EXCEEDED", text)
        }
    })
}

impl Missed {
    /// The same; where no server has said what is the matter, with the partition and who would have had to agree.
    fn of_partition(mut self, id: PartitionId, holders: impl FnOnce() -> Vec<NodeId>) -> Self {
        if !self.line_down {
            return self;
        }
        let nodes: Vec<String> = holders().iter().map(NodeId::to_string).collect();
        let held = if nodes.is_empty() { String::new() } else { format!(", held by {}", nodes.join(", ")) };
        let message = format!(
            "partition {id}{held}: {}; see `chronos cluster status` for whether a majority of them is up",
            self.failure.message
        );
        self.failure = Failure { message, ..self.failure }.with("partition", id);
        self
    }
}

fn ids(block: &Block) -> Vec<EventId> {
    (0..block.events()).map(|i| block.event_id(i)).collect()
}

/// What is known after the attempts so far.
struct Attempts<'a> {
    block: &'a Block,
    count: u32,
    /// Whether any of them may have happened, or may still.
    doubt: bool,
    last: Option<Box<Failure>>,
    /// Whether that is how the partition is, as a server has said: not the connection, nor who else to ask.
    is_said: bool,
}

impl<'a> Attempts<'a> {
    const fn new(block: &'a Block) -> Self {
        Self { block, count: 0, doubt: false, last: None, is_said: false }
    }

    fn key(&self) -> EventId {
        if self.block.events() == 0 { EventId::NIL } else { self.block.event_id(0) }
    }

    /// Takes in one more failure; `elsewhere` when there are other replicas, which need not share this one's damage.
    ///
    /// # Errors
    /// When it settles the request, or another attempt cannot help.
    fn failed(&mut self, missed: Missed, elsewhere: bool) -> Result<(), AppendError> {
        let Missed { failure, line_down } = missed;
        self.count += 1;
        match failure.class {
            Class::Rejected => return Err(self.rejected(failure)),
            Class::NotApplied => {}
            Class::Unknown if is_seeded(Bug::M17) && failure.reason == "DEADLINE_EXCEEDED" => {}
            Class::Unknown | Class::Failed => self.doubt = true,
        }
        let hopeless = match failure.reason.as_str() {
            "CORRUPT" => !elsewhere,
            reason => reason == "UNIMPLEMENTED",
        };
        // What a server has said of the partition, or that another cluster's is there, says more than that nobody is.
        let is_stranger = self.last.as_ref().is_some_and(|last| is_stranger(last));
        let is_known = (is_stranger && failure.reason == "UNAVAILABLE") || (self.is_said && line_down);
        if !is_known {
            self.is_said = !line_down && !failure.metadata.contains_key("leader_node");
            self.last = Some(Box::new(failure));
        }
        if hopeless { Err(self.give_up()) } else { Ok(()) }
    }

    /// A rejection settles the request unless an earlier attempt can still be stored behind its back.
    fn rejected(&mut self, failure: Failure) -> AppendError {
        let rejected = Rejected::new(failure);
        if self.doubt && rejected.leaves_earlier_attempts_open() {
            self.last = Some(rejected.failure);
            return self.give_up();
        }
        AppendError::Rejected(rejected)
    }

    fn give_up(&mut self) -> AppendError {
        let failure = self.last.take().expect("a request is given up after an attempt");
        let not_done = NotDone { failure, attempts: self.count, event_ids: ids(self.block) };
        if self.doubt { AppendError::Unknown(not_done) } else { AppendError::NotApplied(not_done) }
    }
}

#[cfg(test)]
mod tests {
    use chronos_domain::{EntityId, Expectation, Rejection, Version};

    use super::*;
    use crate::routing::NOT_LEADER;
    use crate::{Append, Ids};

    fn block() -> Block {
        Append::to("a").event("t", "{}").pack(&Ids::seeded(1, || 1)).unwrap()
    }

    fn said(class: Class) -> Missed {
        Missed::said(Failure::new(class, "UNAVAILABLE", "no"))
    }

    fn wrong_version(actual: u64) -> Failure {
        let entity = EntityId::parse("a").unwrap();
        let expected = Expectation::Exact(Version::new(2));
        Failure::from(&Rejection::WrongExpectedVersion { entity, expected, actual: Version::new(actual) })
    }

    #[test]
    fn attempts_that_certainly_failed_end_as_not_applied() {
        let block = block();
        let mut attempts = Attempts::new(&block);
        attempts.failed(said(Class::NotApplied), false).unwrap();
        attempts.failed(said(Class::NotApplied), false).unwrap();
        let AppendError::NotApplied(not_done) = attempts.give_up() else { panic!("not applied") };
        assert_eq!((not_done.attempts, not_done.event_ids), (2, ids(&block)));
    }

    #[test]
    fn one_doubtful_attempt_makes_the_outcome_unknown_whatever_follows() {
        let block = block();
        let mut attempts = Attempts::new(&block);
        attempts.failed(said(Class::Unknown), false).unwrap();
        attempts.failed(said(Class::NotApplied), false).unwrap();
        assert_eq!(attempts.give_up().class(), Class::Unknown);
    }

    #[test]
    fn a_rejection_settles_a_doubt_only_when_it_is_for_good() {
        let after_doubt = |rejection| {
            let block = block();
            let mut attempts = Attempts::new(&block);
            attempts.failed(said(Class::Unknown), false).unwrap();
            attempts.failed(Missed::said(rejection), false).unwrap_err().class()
        };
        assert_eq!(after_doubt(wrong_version(3)), Class::Rejected);
        assert_eq!(after_doubt(wrong_version(1)), Class::Unknown);
        let block = block();
        assert_eq!(
            Attempts::new(&block).failed(Missed::said(wrong_version(1)), false).unwrap_err().class(),
            Class::Rejected
        );
    }

    #[test]
    fn what_no_attempt_can_mend_is_given_up_at_once() {
        let block = block();
        let corrupt = Failure::new(Class::NotApplied, "CORRUPT", "damaged");
        assert_eq!(
            Attempts::new(&block).failed(Missed::said(corrupt), false).unwrap_err().class(),
            Class::NotApplied
        );
    }

    #[test]
    fn what_a_server_said_of_the_partition_outlasts_that_nobody_was_reached_later() {
        let block = block();
        let lost = || Missed::lost(not_sent("the time was over before n2 could be reached"));
        let holders = || [1, 2, 3].into_iter().filter_map(NodeId::new).collect::<Vec<_>>();
        let id = PartitionId::new(7).unwrap();
        let mut attempts = Attempts::new(&block);
        attempts.failed(lost().of_partition(id, holders), true).unwrap();
        let text = attempts.give_up().to_string();
        assert!(text.contains("partition 7, held by n1, n2, n3: the time was over before n2"), "{text}");

        let mut attempts = Attempts::new(&block);
        let leaderless = Failure::new(Class::NotApplied, NOT_LEADER, "partition 7 has no leader");
        attempts.failed(Missed::said(leaderless).of_partition(id, holders), true).unwrap();
        attempts.failed(lost().of_partition(id, holders), true).unwrap();
        let given_up = attempts.give_up();
        assert_eq!(given_up.class(), Class::NotApplied);
        assert_eq!(given_up.failure().message, "partition 7 has no leader");
    }
}
