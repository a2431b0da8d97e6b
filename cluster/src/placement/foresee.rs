//! What a plan comes to if nothing else happens: every step carried out, every copy arrived.

use super::observed::{Observed, Replica};
use super::plan::plan;
use super::step::{Action, Step};
use crate::system::State;

/// The steps from here to the end, in order, at most so many, and how things are then.
pub(crate) fn foresee(state: &State, seen: &Observed, most: usize) -> (Vec<Step>, Observed) {
    let mut seen = seen.clone();
    let mut steps = Vec::new();
    arrive(&mut seen);
    while steps.len() < most
        && let Some(step) = plan(state, &seen)
    {
        carry_out(&mut seen, &step);
        arrive(&mut seen);
        steps.push(step);
    }
    (steps, seen)
}

/// What is seen once a step is done.
pub(crate) fn carry_out(seen: &mut Observed, step: &Step) {
    let group = seen.groups.get_mut(&step.partition).expect("a step is about a group that was seen");
    match &step.action {
        Action::AddLearner(node) => {
            group.members.learners.insert(*node);
            let lag = Some(u64::MAX);
            group.replicas.insert(*node, Replica { is_sound: true, lag, last: 0, holds: true });
        }
        Action::DropLearner(node) => {
            group.members.learners.remove(node);
        }
        Action::SetVoters(voters) => {
            for node in voters {
                group.members.learners.remove(node);
            }
            group.members.configs = vec![voters.clone()];
        }
        Action::Transfer(to) => group.leader = Some(*to),
        Action::Free { node, .. } => {
            group.replicas.remove(node);
        }
    }
    if !matches!(step.action, Action::Transfer(_) | Action::Free { .. }) {
        group.members.at.index += 1;
    }
}

/// Copies that are on their way arrive.
fn arrive(seen: &mut Observed) {
    let up: Vec<_> = seen.nodes.iter().filter(|(_, node)| node.is_up).map(|(id, _)| *id).collect();
    for group in seen.groups.values_mut() {
        for node in group.members.learners.clone() {
            if let Some(replica) = group.replicas.get_mut(&node).filter(|_| up.contains(&node)) {
                replica.lag = Some(0);
            }
        }
    }
}
