//! What a log lacks that was not begun by a group.

use chronos_wal::{Fault, Log};
use tokio::sync::oneshot;

use super::codec::encode_vote;
use super::types::Vote;
use crate::node::NodeId;

/// Sees to it that a log with entries has a vote that is at least as great as their term: one that was restored from a
/// backup, or written before there were groups, has none, and a term must never begin twice. Durable when it returns.
///
/// # Errors
/// What the log says.
pub(crate) async fn found(log: &Log, node: NodeId) -> Result<(), Fault> {
    let state = log.state();
    let Some(last) = state.last.filter(|_| state.vote.is_none()) else { return Ok(()) };
    let (tell, told) = oneshot::channel();
    let vote = encode_vote(&Vote::new(last.term, node));
    log.save_vote(vote, Box::new(move |saved| drop(tell.send(saved))));
    told.await.unwrap_or(Err(Fault::Closed))
}
