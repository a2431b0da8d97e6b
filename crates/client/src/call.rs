//! One question, asked until somebody answers or the time is over.

use std::future::Future;
use std::time::Duration;

use chronos_domain::EventId;
use chronos_proto::Failure;
use tonic::{Response, Status};

use crate::client::Inner;
use crate::connections::{AdminRpc, Due, Over, Rpc, admin_rpc, over, rpc};
use crate::observe::Operation;
use crate::outcome::ReadError;
use crate::pace::{Backoff, Deadline, Patience, Stopwatch, out_of_time, pause};
use crate::routing::{Aim, Course, Missed, NOT_LEADER, Next, Way, is_stranger};

/// An answer, and who gave it.
pub(crate) struct Answered<T> {
    pub(crate) answer: T,
    pub(crate) way: Way,
}

/// How long the head of an answer may take.
#[derive(Clone, Copy)]
enum Time {
    /// No longer than the client's deadline.
    Bounded,
    /// No longer than this one.
    Until(Deadline),
    Unbounded,
}

/// How long a question may take, and what of that is said to the server.
type Terms = (Time, fn(Duration) -> Due);

impl Inner {
    /// Asks until somebody answers or the time is over. Only for what does no harm when it is asked twice.
    pub(crate) async fn call<T, F, A>(&self, aim: Aim, ask: F) -> Result<T, ReadError>
    where
        F: Fn(Rpc) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let ask = |over| ask(rpc(over));
        self.ask_within(aim, (Time::Bounded, Due::Whole), ask).await.map(|answered| answered.answer)
    }

    /// The same of whole histories. What is done to them is done once, however often it is asked for.
    pub(crate) async fn call_admin<T, F, A>(&self, ask: F) -> Result<T, ReadError>
    where
        F: Fn(AdminRpc) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let ask = |over| ask(admin_rpc(over));
        self.ask_within(Aim::Named, (Time::Bounded, |_| Due::Whenever), ask)
            .await
            .map(|answered| answered.answer)
    }

    /// The same for an answer that comes in pieces, of which only the first is waited for.
    pub(crate) async fn call_stream<T, F, A>(&self, aim: Aim, ask: F) -> Result<Answered<T>, ReadError>
    where
        F: Fn(Rpc) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_within(aim, (Time::Bounded, Due::Begun), |over| ask(rpc(over))).await
    }

    /// The same for an answer that comes in pieces, whose head and whole are due by a deadline of its own.
    pub(crate) async fn call_until<T, F, A>(
        &self,
        aim: Aim,
        deadline: Deadline,
        ask: F,
    ) -> Result<T, ReadError>
    where
        F: Fn(Over) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_within(aim, (Time::Until(deadline), Due::Whole), ask).await.map(|answered| answered.answer)
    }

    /// The same where the head of the answer may take as long as it takes. What could not be begun is begun again.
    pub(crate) async fn call_long<T, F, A>(&self, aim: Aim, ask: F) -> Result<T, ReadError>
    where
        F: Fn(Over) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_within(aim, (Time::Unbounded, |_| Due::Whenever), ask).await.map(|answered| answered.answer)
    }

    async fn ask_within<T, F, A>(&self, aim: Aim, terms: Terms, ask: F) -> Result<Answered<T>, ReadError>
    where
        F: Fn(Over) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let outcome = self.ask_on(aim, terms, ask).await;
        let class = outcome.as_ref().err().map(|error| error.failure().class);
        self.router.watcher.outcome(Operation::Read, class);
        outcome
    }

    async fn ask_on<T, F, A>(&self, aim: Aim, (time, say): Terms, ask: F) -> Result<Answered<T>, ReadError>
    where
        F: Fn(Over) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = match time {
            Time::Until(deadline) => deadline,
            Time::Bounded | Time::Unbounded => self.options.due(),
        };
        // What a server said says more than that the last attempt had no time left, or reached nobody.
        let mut told: Option<Failure> = None;
        let mut backoff = Backoff::new(&self.options, EventId::NIL);
        let mut patience = Patience::new(&self.options);
        let (mut course, mut failed) = (Course::new(aim), 0);
        loop {
            let (hop, line) = self.router.hop(&mut course, deadline).await;
            self.router.watcher.attempt(Operation::Read, hop.way.node(), failed);
            let began = Stopwatch::start();
            // What concerns all of a history may take its time; only one partition's answer is due soon.
            let due = match time {
                Time::Unbounded => Deadline::after(Duration::MAX),
                Time::Bounded if aim.partition().is_some() => patience.with(hop.way, deadline),
                Time::Bounded | Time::Until(_) => deadline,
            };
            let saying = self.router.saying(hop.direct, say(due.left()));
            let missed = match due.bound(ask(over(line.channel(), saying))).await {
                Some(Ok(response)) => {
                    self.router.answered(hop, measures(aim).then(|| began.elapsed()));
                    return Ok(Answered { answer: response.into_inner(), way: hop.way });
                }
                Some(Err(status)) => Missed::of(&status),
                None => {
                    patience.was_silent(hop.way);
                    Missed::lost(unanswered(aim, hop.way))
                }
            };
            failed += 1;
            let next = self.router.failed(&mut course, hop, &missed);
            let wait = match next {
                Next::AtOnce => Duration::ZERO,
                Next::Later => backoff.next(missed.failure.retry_after_ms),
            };
            let is_over = !self.is_worth_asking_again(aim, &missed) || wait >= deadline.left();
            if !missed.line_down {
                told = Some(missed.failure.clone());
            }
            if is_over {
                let told = told.filter(|told| deadline.left().is_zero() || is_stranger(told));
                return Err(ReadError::new(told.unwrap_or(missed.failure)));
            }
            if next == Next::Later {
                pause(wait).await;
            }
        }
    }

    fn is_worth_asking_again(&self, aim: Aim, missed: &Missed) -> bool {
        let elsewhere = aim.partition().is_some_and(|partition| self.router.replicas(partition) > 1);
        match missed.failure.reason.as_str() {
            "UNAVAILABLE" | NOT_LEADER => true,
            "NOT_CAUGHT_UP" | "CORRUPT" => elsewhere,
            _ => missed.line_down,
        }
    }
}

/// Whether the time of an answer says how far away the server is: it answers by itself.
const fn measures(aim: Aim) -> bool {
    matches!(aim, Aim::Replica(_))
}

fn unanswered(aim: Aim, way: Way) -> Failure {
    let who =
        way.node().map_or_else(|| "no server answered".to_owned(), |node| format!("{node} did not answer"));
    let what = aim.partition().map(|partition| format!(" about partition {partition}")).unwrap_or_default();
    let failure = out_of_time(&format!("{who}{what}"));
    aim.partition().into_iter().fold(failure, |failure, partition| failure.with("partition", partition))
}
