//! What a backup that is made ready waits for, partition by partition, in words for whoever waits for it.

use std::collections::BTreeMap;
use std::fmt;

use chronos_cluster::NodeId;
use chronos_domain::PartitionId;
use chronos_domain::limits::PARTITIONS;
use parking_lot::Mutex;

/// How far each partition is.
#[derive(Default)]
pub(crate) struct Steps(Mutex<BTreeMap<PartitionId, Step>>);

/// What comes next of one partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Its leader, if one is known, has to show that nothing can be recorded before the backup any more.
    Confirmed(Option<NodeId>),
    /// What is applied on this node goes into parts.
    IntoParts,
    /// One of the nodes that hold it does both.
    Elsewhere(Vec<NodeId>),
    /// Nothing.
    Ready,
}

impl Steps {
    pub(crate) fn at(&self, id: PartitionId, step: Step) {
        self.0.lock().insert(id, step);
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_step: BTreeMap<Step, Vec<String>> = BTreeMap::new();
        for (id, step) in &*self.0.lock() {
            by_step.entry(step.clone()).or_default().push(id.to_string());
        }
        let ready = by_step.remove(&Step::Ready).unwrap_or_default().len();
        write!(f, "{ready} of {PARTITIONS} partitions are ready to be copied")?;
        for (step, ids) in by_step {
            let partitions = if ids.len() == 1 { "partition" } else { "partitions" };
            write!(f, "; of {partitions} {} {step}", ids.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(None) => f.write_str("a leader is looked for"),
            Self::Confirmed(Some(leader)) => write!(f, "{leader}, which leads, has to confirm what there is"),
            Self::IntoParts => f.write_str("what is not in parts on this node goes into parts"),
            Self::Elsewhere(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
                write!(f, "{}, where it is held, has to get it into parts", nodes.join(" or "))
            }
            Self::Ready => f.write_str("everything is ready"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_of_which_partition_what_is_missing_and_of_which_node() {
        let steps = Steps::default();
        let n = NodeId::new;
        for id in PartitionId::all() {
            let step = match id.get() {
                0 | 7 => Step::Confirmed(Some(n(2))),
                3 => Step::Confirmed(None),
                4 => Step::Elsewhere(vec![n(4), n(5)]),
                5 | 6 => Step::IntoParts,
                _ => Step::Ready,
            };
            steps.at(id, step);
        }
        let expected = "26 of 32 partitions are ready to be copied; of partition 3 a leader is looked for; of partitions 0, 7 \
                        n2, which leads, has to confirm what there is; of partitions 5, 6 what is not in parts on this node \
                        goes into parts; of partition 4 n4 or n5, where it is held, has to get it into parts";
        assert_eq!(steps.to_string(), expected);
    }
}
