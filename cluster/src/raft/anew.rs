//! A replica that was discarded says so to its leader before it says anything else.
//!
//! A leader remembers how far each follower's log reaches, and a follower that answers with less than it once had is, to
//! openraft, a node that lost its disk: it must not go on as if nothing had happened. Here something has happened, on
//! purpose, and whoever did it has seen to it that the node casts no vote meanwhile. So as long as the log of such a
//! replica is empty, it answers no leader of any term before that leader has agreed to begin with it from nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_wal::Log;
use parking_lot::Mutex;

use super::network::FORGET;
use crate::node::NodeId;
use crate::peer::{Link, Message, Refusal};

/// A leader has this long to agree.
const AGREED_WITHIN: Duration = Duration::from_secs(1);

/// A replica that begins with nothing though it once had something. Clones share it.
#[derive(Clone)]
pub(crate) struct Anew(Arc<Inner>);

struct Inner {
    group: u8,
    link: Arc<dyn Link>,
    log: Log,
    /// Leaders that know, with their terms.
    know: Mutex<BTreeSet<(NodeId, u64)>>,
}

impl Anew {
    pub(crate) fn new(group: u8, link: &Arc<dyn Link>, log: &Log) -> Anew {
        let inner = Inner { group, link: Arc::clone(link), log: log.clone(), know: Mutex::default() };
        Anew(Arc::new(inner))
    }

    /// Returns once the leader of a term knows that this replica begins with nothing, if it does.
    ///
    /// # Errors
    /// When the leader has not agreed: it is not to be answered.
    pub(crate) async fn agree(&self, leader: NodeId, term: u64) -> Result<(), Refusal> {
        let Inner { group, link, log, know } = &*self.0;
        if log.state().last.is_some() || know.lock().contains(&(leader, term)) {
            return Ok(());
        }
        let message = Message { group: *group, kind: FORGET, body: Bytes::new() };
        let agreed = link.call(leader, message, AGREED_WITHIN).await;
        agreed.map_err(|error| {
            let text = format!("this replica begins with nothing, and its leader does not know yet: {error}");
            Refusal::new(Refusal::FAILED, text)
        })?;
        know.lock().insert((leader, term));
        Ok(())
    }
}
