//! The events of one partition on their way: one block being filled, one in flight.

use std::sync::Arc;

use chronos_block::{Compression, Draft, Packer};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use super::SessionOptions;
use super::split;
use super::ticket::{Resolved, Ticket};
use crate::client::Client;
use crate::many::bytes;
use crate::outcome::AppendError;
use crate::pace::Deadline;

pub(super) struct Lane {
    options: SessionOptions,
    state: Mutex<State>,
    /// Wakes the worker: there is an event, or a block is full, or must not wait longer.
    work: Notify,
    /// Wakes who waits for room or for the end of everything pushed.
    progress: Notify,
}

struct State {
    packer: Packer,
    /// Resolves the tickets of the block being filled.
    resolve: watch::Sender<Resolved>,
    /// When the block being filled has waited long enough; none while it is empty.
    due: Option<Deadline>,
    /// Send what there is, without waiting for more.
    urgent: bool,
    /// The session is gone; nothing more will come.
    closed: bool,
    /// How many blocks were begun, and how many are resolved.
    begun: u64,
    resolved: u64,
}

impl State {
    fn is_full(&self, options: &SessionOptions) -> bool {
        self.packer.events() >= options.batch_events || self.packer.bytes() >= options.batch_bytes
    }

    fn has_room(&self, options: &SessionOptions, event: &Draft) -> bool {
        let fits = self.packer.bytes() + bytes(event) <= options.batch_bytes;
        self.packer.events() == 0 || (fits && !self.is_full(options))
    }
}

impl Lane {
    pub(super) fn start(client: Client, permits: Arc<Semaphore>, options: SessionOptions) -> Arc<Self> {
        let state = State {
            packer: Packer::new(),
            resolve: watch::Sender::new(None),
            due: None,
            urgent: false,
            closed: false,
            begun: 0,
            resolved: 0,
        };
        let lane = Arc::new(Self {
            options,
            state: Mutex::new(state),
            work: Notify::new(),
            progress: Notify::new(),
        });
        let worker = lane.clone().run(client, permits);
        #[expect(
            clippy::disallowed_methods,
            reason = "an SDK runs outside of a node; tokio::spawn is seeded in simulations"
        )]
        drop(tokio::spawn(worker));
        lane
    }

    /// Cancel-safe: an event whose push is given up was not taken.
    pub(super) async fn push(&self, event: Draft) -> Result<Ticket, AppendError> {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.has_room(&self.options, &event) {
                    return self.take(&mut state, event);
                }
                state.urgent = true;
            }
            self.work.notify_one();
            progress.await;
        }
    }

    fn take(&self, state: &mut State, event: Draft) -> Result<Ticket, AppendError> {
        let place = state.packer.events();
        state.packer.push(event)?;
        if place == 0 {
            state.begun += 1;
            state.due = Some(Deadline::after(self.options.linger));
        }
        if place == 0 || state.is_full(&self.options) {
            self.work.notify_one();
        }
        Ok(Ticket { block: state.resolve.subscribe(), place })
    }

    /// Returns when every block begun before is resolved.
    pub(super) async fn flush(&self) {
        let begun = {
            let mut state = self.state.lock();
            state.urgent = state.due.is_some();
            state.begun
        };
        self.work.notify_one();
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.state.lock().resolved >= begun {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_one();
    }

    /// Sends block after block until the session is gone and everything is sent.
    async fn run(self: Arc<Self>, client: Client, permits: Arc<Semaphore>) {
        while self.filled().await {
            let permit = permits.acquire().await.expect("the semaphore is never closed");
            let (packer, resolve) = self.cut();
            let block = packer.finish(Compression::None).expect("a block that holds events");
            let outcome = split::append(&client, block).await;
            drop(permit);
            resolve.send_replace(Some(Arc::new(outcome)));
            self.state.lock().resolved += 1;
            self.progress.notify_waiters();
        }
    }

    /// Waits for a block that should be sent now; false when there will be none.
    async fn filled(&self) -> bool {
        loop {
            let due = {
                let state = self.state.lock();
                let ready = state.urgent || state.closed || state.is_full(&self.options);
                match state.due {
                    Some(_) if ready => return true,
                    None if state.closed => return false,
                    due => due,
                }
            };
            match due {
                None => self.work.notified().await,
                Some(due) if due.bound(self.work.notified()).await.is_none() => return true,
                Some(_) => {}
            }
        }
    }

    /// Takes the block that was filled, and begins a new one, for which there is room again.
    fn cut(&self) -> (Packer, watch::Sender<Resolved>) {
        let mut state = self.state.lock();
        state.urgent = false;
        state.due = None;
        let packer = std::mem::take(&mut state.packer);
        let resolve = std::mem::replace(&mut state.resolve, watch::Sender::new(None));
        self.progress.notify_waiters();
        (packer, resolve)
    }
}
