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
