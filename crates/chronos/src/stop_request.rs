//! Being asked to stop, from outside of the process.

use std::io;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::{Failure, Outcome};

/// Resolves when somebody asks the process to stop: SIGTERM and SIGINT mean the same. From the call on, neither ends the
/// process by itself.
pub(crate) fn signalled() -> Outcome<impl Future<Output = ()>> {
    let watch = |kind| signal(kind).map_err(|e| Failure::failed(format!("cannot watch for signals: {e}")));
    let (mut terminate, mut interrupt) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            biased; // both mean the same
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Does `work` unless the process is asked to stop before it is done. Work that is given up is dropped, which has to clean up
/// after it: servers end and directories go.
///
/// # Errors
/// Those of the work, and that it was interrupted.
pub(crate) async fn or_interrupted<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let stopped = signalled()?;
    tokio::select! {
        biased; // whoever interrupts does not want to see the end
        () = stopped => Err(Failure::failed("interrupted; everything was cleaned up")),
        done = Box::pin(work) => done,
    }
}

/// Resolves when standard input ends: whoever held the other end of the pipe closed it, or is gone in whatever way.
pub(crate) async fn stdin_ended() {
    let (ended, end) = oneshot::channel();
    // A thread and not the runtime's: one that waits for input must not hold up the end of the process.
    thread::spawn(move || {
        // An input that cannot be read is as gone as one that ended.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    // The sender is only dropped after it has sent.
    let _ = end.await;
}
