//! What this node tells others that repair a replica.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_wal::Mark;
use futures::future::BoxFuture;

use super::Stage;
use super::census::{Sealed, Standing, Word, malformed};
use crate::consensus::Phase;
use crate::groups::{Groups, WeakGroups};
use crate::node::NodeId;
use crate::peer::{Handler, Message, Refusal};
use crate::raft::{WatchReceiver, term_of};

/// What do you know of the group, and have you lost anything?
pub(super) const CENSUS: u8 = 88;
/// What is your digest at this position?
pub(super) const DIGEST: u8 = 89;

/// Answers for as long as the groups are there.
pub(crate) struct Answers(pub(crate) WeakGroups);

impl Handler for Answers {
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let groups = self.0.upgrade();
        Box::pin(async move {
            let groups = groups.ok_or_else(|| absent("this node stops"))?;
            let id = PartitionId::of_group(message.group).ok_or_else(|| malformed("the group"))?;
            match message.kind {
                CENSUS => Ok(groups.word(id).await?.encode()),
                DIGEST => groups.sealed(id, &message.body).await.map(Sealed::encode),
                other => {
                    Err(Refusal::new(Refusal::MALFORMED, format!("there is no message of kind {other}")))
                }
            }
        })
    }
}

fn absent(why: impl Into<String>) -> Refusal {
    Refusal::new(Refusal::ABSENT, why)
}

impl Groups {
    /// What this replica says of itself. It says nothing while it does not know: whoever asks must wait.
    async fn word(&self, id: PartitionId) -> Result<Word, Refusal> {
        let stage = self.repairs().wards.lock().get(&id).map(|case| case.ward.stage);
        match stage {
            None => self.word_of_group(id).await,
            Some(Stage::Examined) => Err(absent(format!("the replica of partition {id} is being examined"))),
            Some(Stage::PartsWanted | Stage::Diverged) => Ok(self.word_of_log(id, Standing::Whole)),
            Some(Stage::Withheld | Stage::CatchingUp) => Ok(self.word_of_log(id, Standing::Withholding)),
        }
    }

    /// The core itself is asked for its term: what it writes down may lag behind what it has asked others for.
    async fn word_of_group(&self, id: PartitionId) -> Result<Word, Refusal> {
        let group = self.group(id).map_err(|why| absent(why.as_ref()))?;
        let Phase::Serving(running) = group.consensus.phase_now() else {
            return Err(absent(format!("the group of partition {id} does not run here now")));
        };
        let vote = running.raft.with_raft_state(|state| *state.vote_ref()).await;
        let term = vote.map_err(|fatal| absent(fatal.to_string()))?.leader_id.term;
        let metrics = running.raft.metrics().borrow_watched().clone();
        let voters = metrics.membership_config.membership().get_joint_config().clone();
        let configs: Vec<BTreeSet<NodeId>> = voters.into_iter().filter(|voters| !voters.is_empty()).collect();
        // What was discarded on purpose was promised, too.
        let is_withheld = self.ballots().are_withheld(id);
        let standing = if is_withheld { Standing::Withholding } else { Standing::Whole };
        let word = self.word_of_log(id, standing);
        let members = metrics.membership_config.nodes().map(|(node, ())| *node).collect();
        Ok(Word { leads: metrics.state.is_leader(), term: term.max(word.term), configs, members, ..word })
    }

    /// What the log on disk says. Nobody can act upon it but this replica, which does not now.
    fn word_of_log(&self, id: PartitionId, standing: Standing) -> Word {
        let state = self.log(id).state();
        let term = state.vote.as_ref().and_then(term_of).unwrap_or(0);
        let last = state.last.unwrap_or(Mark { index: 0, term: 0 });
        Word {
            standing,
            leads: false,
            term: term.max(last.term),
            last,
            configs: Vec::new(),
            members: BTreeSet::new(),
        }
    }

    async fn sealed(&self, id: PartitionId, body: &Bytes) -> Result<Sealed, Refusal> {
        let at = Sealed::decode(body).ok_or_else(|| malformed("the question for a digest"))?.position;
        let partition = self.partition(id).map_err(|why| absent(why.as_ref()))?;
        let digest = self.env().tasks.blocking(move || partition.digest(Some(at))).await;
        let digest = digest.map_err(|fault| Refusal::new(Refusal::FAILED, fault.to_string()))?;
        Ok(Sealed { position: digest.position, digest: digest.digest.0 })
    }
}
