//! A node from when it is ready until its process should end.

use std::future::Future;
use std::io;
use std::time::Duration;

use chronos_env::Listener;
use tokio::sync::watch;

use crate::node::Node;
use crate::serve::{serve, serve_admin};

/// How long callers may still be told after a fatal fault that their requests are in doubt.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a node ended that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It can no longer acknowledge anything. It was not closed: what is on disk is recovered at the next start.
    #[error("stopped: {0}")]
    Faulted(String),
    /// It cannot be reached.
    #[error("cannot serve: {0}")]
    Unreachable(#[from] io::Error),
}

/// Serves clients, and operators where there is a port for them, until `stopped` resolves or the node has a fatal fault; then
/// lets what is open end, and stops the node.
///
/// # Errors
/// When it was not `stopped` that ended it.
pub async fn run(
    node: Node,
    clients: impl Into<Listener>,
    operators: Option<impl Into<Listener>>,
    stopped: impl Future<Output = ()>,
) -> Result<(), Ended> {
    let (clients, operators) = (clients.into(), operators.map(Into::into));
    let clock = node.edge().env.clock.clone();
    let shutdown = async {
        tokio::select! {
            biased; // a fault is the graver reason
            _ = node.faulted() => {}
            () = stopped => {}
        }
    };
    let served = tokio::select! {
        biased; // an orderly end wins over the deadline of a faulted one
        served = serve_both(&node, clients, operators, shutdown) => served,
        () = async { node.faulted().await; clock.sleep(LAST_WORDS).await } => Ok(()),
    };
    // Either way: if there is a fault by now, that is the story.
    tokio::select! {
        biased;
        reason = node.faulted() => return Err(Ended::Faulted(reason)),
        () = std::future::ready(()) => {}
    }
    node.stop().await;
    Ok(served?)
}

async fn serve_both(
    node: &Node,
    clients: Listener,
    operators: Option<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let Some(operators) = operators else { return serve(node, clients, shutdown).await };
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // The sender lives until both have ended.
        let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
    };
    let stopping = async {
        shutdown.await;
        stop.send_replace(true);
        Ok(())
    };
    let (clients, operators) =
        (serve(node, clients, until(stopped.clone())), serve_admin(node, operators, until(stopped)));
    tokio::try_join!(stopping, clients, operators).map(|_| ())
}
