//! Starting things that run beside the caller. One [`Task`] type for all of them, whatever drives it.
//!
//! Invariants: dropping a [`Task`] lets the work go on; a panic inside never passes unseen, it arrives as [`Died`];
//! when a task has resolved, everything its future owned has been dropped (locks released, files closed).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinError, JoinHandle};

/// A handle that starts tasks. Clones start tasks of the same process.
#[derive(Clone, Debug)]
pub struct Tasks(World);

#[derive(Clone, Debug)]
enum World {
    Real,
    Sim(Option<Running>),
}

/// The tasks of one simulated process, so that they can end with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Arc<Mutex<Crowd>>);

#[derive(Debug, Default)]
struct Crowd {
    is_killed: bool,
    is_paused: bool,
    /// Whoever wanted to take a step meanwhile.
    held: Vec<Waker>,
    tasks: Vec<AbortHandle>,
    /// When there are so many, those that ended are forgotten.
    tidy_at: usize,
}

impl Running {
    fn add(&self, task: AbortHandle) {
        let mut crowd = self.0.lock();
        if crowd.is_killed {
            task.abort();
            return;
        }
        if crowd.tasks.len() >= crowd.tidy_at {
            crowd.tasks.retain(|task| !task.is_finished());
            crowd.tidy_at = 64.max(crowd.tasks.len() * 2);
        }
        crowd.tasks.push(task);
    }

    /// No task of the process takes another step, nor does any it would start.
    pub(crate) fn kill(&self) {
        let mut crowd = self.0.lock();
        crowd.is_killed = true;
        crowd.held.clear();
        crowd.tasks.drain(..).for_each(|task| task.abort());
    }

    /// No task of the process takes another step before [`Running::resume`].
    pub(crate) fn pause(&self) {
        self.0.lock().is_paused = true;
    }

    /// Whatever would have happened meanwhile happens now.
    pub(crate) fn resume(&self) {
        let mut crowd = self.0.lock();
        crowd.is_paused = false;
        crowd.held.drain(..).for_each(Waker::wake);
    }

    /// Whether a step has to wait; then whoever would take it is woken when it need not any more.
    fn holds(&self, cx: &Context<'_>) -> bool {
        let mut crowd = self.0.lock();
        if crowd.is_paused {
            crowd.held.push(cx.waker().clone());
        }
        crowd.is_paused
    }
}

/// A task of a process that can be paused.
struct Pausable<F> {
    process: Running,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.process.holds(cx) {
            return Poll::Pending;
        }
        self.work.as_mut().poll(cx)
    }
}

impl Tasks {
    pub(crate) fn real() -> Tasks {
        Tasks(World::Real)
    }

    pub(crate) fn sim(process: Option<Running>) -> Tasks {
        Tasks(World::Sim(process))
    }

    /// Runs `f` beside the caller, on the runtime the caller runs on. Inside [`Tasks::dedicated`] that is the
    /// dedicated thread's own runtime: the task ends when that thread does.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, f: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Task::joining(name.to_owned(), self.started(f))
    }

    /// Starts it as what it is: a task of a simulated process shares its fate.
    fn started<F>(&self, f: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let World::Sim(Some(process)) = &self.0 else { return spawn(f) };
        let handle = spawn(Pausable { process: process.clone(), work: Box::pin(f) });
        process.add(handle.abort_handle());
        handle
    }

    /// Runs `f` on a thread of its own, so that it may block (on the disk, say) without holding anyone up. In a
    /// simulation it is an ordinary task, because there a disk call takes no time. The future has a timer but no
    /// network. May be called from anywhere in the real world, from inside [`crate::sim::World::run`] in a
    /// simulated one.
    ///
    /// If the system has no thread to give, the task resolves to [`Died`] at once.
    pub fn dedicated<F>(&self, name: String, f: F) -> Task<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match self.0 {
            World::Real => dedicated_thread(name, f),
            World::Sim(_) => Task::joining(name, self.started(f)),
        }
    }

    /// Runs a blocking call without holding up the other tasks of this thread; in a simulation, right here. Once
    /// started the call runs to its end even if the returned future is dropped. A panic in `f` goes on in the caller.
    pub async fn blocking<T, F>(&self, f: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.0 {
            World::Real => run_blocking(f).await,
            World::Sim(_) => f(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the rest of the workspace spawns")]
fn spawn<F>(f: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(f)
}

#[expect(clippy::disallowed_methods, reason = "this is where the rest of the workspace blocks")]
async fn run_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(f).await {
        Ok(value) => value,
        Err(end) if end.is_panic() => std::panic::resume_unwind(end.into_panic()),
        // The runtime is being torn down before the call began: nobody will poll this future again.
        Err(_) => std::future::pending().await,
    }
}

/// The thread drives its runtime until the future is gone, however it went: `gone` is owned by the task itself, so
/// that return, panic and abort all drop it.
fn dedicated_thread<F>(name: String, f: F) -> Task<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without network asks nothing of the system");
    let (gone, went) = tokio::sync::oneshot::channel::<()>();
    let handle = runtime.spawn(async move {
        let _gone = gone;
        f.await;
    });
    let drive = move || {
        runtime.block_on(async {
            let _ = went.await;
        });
    };
    match std::thread::Builder::new().name(name.clone()).spawn(drive) {
        Ok(_detached) => Task::joining(name, handle),
        Err(error) => Task::stillborn(Died { task: name, how: format!("could not start a thread: {error}") }),
    }
}

/// Work that runs beside the caller. Await it for its result; dropping it lets the work go on.
#[must_use = "a task that nobody watches may die unseen"]
pub struct Task<T> {
    name: String,
    state: State<T>,
}

enum State<T> {
    Joining(JoinHandle<T>),
    Stillborn(Died),
}

impl<T> Task<T> {
    fn joining(name: String, handle: JoinHandle<T>) -> Task<T> {
        Task { name, state: State::Joining(handle) }
    }

    fn stillborn(died: Died) -> Task<T> {
        Task { name: died.task.clone(), state: State::Stillborn(died) }
    }

    /// Asks the work to stop at its next await point; it then resolves to [`Died`]. A task that has already ended
    /// keeps its result.
    pub fn abort(&self) {
        if let State::Joining(handle) = &self.state {
            handle.abort();
        }
    }

    /// Whether the work has ended, well or not.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Joining(handle) => handle.is_finished(),
            State::Stillborn(_) => true,
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Died>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Task { name, state } = &mut *self;
        match state {
            State::Joining(handle) => {
                Pin::new(handle).poll(cx).map(|end| end.map_err(|error| Died::from_join(name, error)))
            }
            State::Stillborn(died) => Poll::Ready(Err(died.clone())),
        }
    }
}

/// A task ended without a result: it panicked, was aborted, or went down with its runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died {
    /// The name it was started under.
    pub task: String,
    /// What happened, with the panic's message if there was one.
    pub how: String,
}

impl Died {
    fn from_join(task: &str, error: JoinError) -> Died {
        let how = match error.try_into_panic() {
            Ok(panic) => format!("panicked: {}", panic_text(panic.as_ref())),
            Err(_) => "was aborted".to_owned(),
        };
        Died { task: task.to_owned(), how }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} {}", self.task, self.how)
    }
}

impl std::error::Error for Died {}
