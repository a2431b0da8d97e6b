//! What nodes said against answering.

use std::collections::BTreeMap;

use chronos_client::Failure;
use chronos_client::cluster::NodeId;

/// What was said last of each node. Of one that does not answer the same is to be said of every partition: for people once
/// is enough.
#[derive(Default)]
pub(crate) struct Said(BTreeMap<NodeId, String>);

impl Said {
    /// Why the node has not answered, unless that was said of it just before.
    pub(crate) fn why(&mut self, node: NodeId, failure: &Failure) -> String {
        let why = failure.to_string();
        match self.0.insert(node, why.clone()) {
            Some(before) if before == why => "as said above".to_owned(),
            _ => why,
        }
    }
}
