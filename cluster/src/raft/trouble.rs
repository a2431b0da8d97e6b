//! What has gone wrong below a group, for whoever watches over it.

use std::sync::Arc;

use tokio::sync::watch;

/// The first thing that went wrong since the group was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// The log had no room for an append of so many bytes. Nothing of it is written, nor of what was appended behind it.
    Full {
        /// Bytes of payload that were refused.
        bytes: usize,
    },
    /// For good, with the reason. Stays, even if the log was full before.
    Failed(Arc<str>),
}

/// Notes it. Clones note on the same slate.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<watch::Sender<Option<Ill>>>);

impl Trouble {
    pub(crate) fn full(&self, bytes: usize) {
        self.0.send_if_modified(|ill| ill.is_none() && ill.replace(Ill::Full { bytes }).is_none());
    }

    /// Gives back the reason as an error for openraft, which then stops the group.
    pub(crate) fn failed(&self, reason: String) -> std::io::Error {
        let failed = Ill::Failed(Arc::from(reason.as_str()));
        self.0.send_if_modified(|ill| {
            let is_first = !matches!(ill, Some(Ill::Failed(_)));
            if is_first {
                *ill = Some(failed);
            }
            is_first
        });
        std::io::Error::other(reason)
    }

    pub(crate) fn now(&self) -> Option<Ill> {
        self.0.borrow().clone()
    }

    /// Resolves when something is wrong. Cancel-safe.
    pub(crate) async fn any(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }
}
