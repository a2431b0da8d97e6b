//! What follows when it is known, and not only suspected, that a leader's process has ended.
//!
//! A follower that has heard of its leader trusts it for a while (the lease): it casts no vote for anybody else and asks
//! for none, because a leader of which nothing is heard may be alive all the same. Where the connection to the leader's
//! process broke and nobody listens at its port any more, that process is gone, and the trust has no object. So the lease
//! ends, and nothing else changes: a follower still waits for its own election timeout, drawn at random, since it last
//! heard of the leader; it still asks beforehand whether it could win; and the others grant it that, because they have
//! lost the same connection, or when their own lease is over.
//!
//! This is safe even where the evidence is wrong (somebody else's port was looked at, or the leader is back already).
//! Who may be elected is decided by terms, votes and logs; the lease only keeps elections from being held needlessly.
//! Nothing here reads under it: a linearizable read asks a quorum ([`read_index`](super::read_index)). What may be lost
//! is one election, and a leader that is well and is heard of again before the timeout does not even lose that.

use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;

use super::Raft;
use crate::node::NodeId;

/// Ends this node's trust in `leader`, if that is whom the group follows here; says whether it was. It is what
/// a leader says itself when it hands over, here to nobody in particular.
pub(crate) async fn bereave(raft: &Raft, leader: NodeId) -> bool {
    let (follows, vote) = {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        (metrics.current_leader == Some(leader) && !metrics.state.is_leader(), metrics.vote)
    };
    if !follows || !vote.is_committed() {
        return false;
    }
    chronos_env::sometimes!("raft.lease_of_dead_leader_ended");
    // To the one that is gone: nobody is told to ask for votes at once.
    raft.handle_transfer_leader(TransferLeaderRequest::new(vote, leader, None)).await.is_ok()
}
