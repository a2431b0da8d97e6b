//! The way of one request, from server to server.

use chronos_proto::{Failure, NodeId};

use super::REDIRECTS_MAX;
use super::table::{Aim, Hop, Table, Way};

/// When the next attempt is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Now: somebody else was named, or is left to ask.
    AtOnce,
    /// After a pause.
    Later,
}

/// The way of one request.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) aim: Aim,
    /// How many attempts ended without somebody else being named.
    pub(crate) turn: usize,
    /// Hints followed since the last pause.
    redirects: u32,
    /// Who was named by the last answer.
    named: Option<NodeId>,
}

impl Course {
    pub(crate) const fn new(aim: Aim) -> Self {
        Self { aim, turn: 0, redirects: 0, named: None }
    }

    /// Where the next attempt goes.
    pub(super) fn hop(&self, table: &Table) -> Hop {
        match self.named {
            Some(node) => Hop { way: Way::Node(node), direct: true },
            None => table.hop(self.aim, self.turn),
        }
    }

    /// Who was named by the last answer.
    pub(super) const fn redirected_to(&self) -> Option<NodeId> {
        self.named
    }

    /// Whoever was named cannot be asked.
    pub(super) const fn forget_named(&mut self) {
        self.named = None;
    }

    /// Takes in a failure: `leader` when it named a leader who can be asked, `replicas` as many as there are to ask.
    pub(super) fn failed(&mut self, failure: &Failure, leader: Option<NodeId>, replicas: usize) -> Next {
        self.named = leader.filter(|_| self.redirects < REDIRECTS_MAX);
        if self.named.is_some() {
            self.redirects += 1;
            return Next::AtOnce;
        }
        self.turn += 1;
        // What one replica lacks another may have. Once round, and then there is nothing to do but wait.
        let elsewhere = matches!(failure.reason.as_str(), "NOT_CAUGHT_UP" | "CORRUPT");
        if elsewhere && !self.turn.is_multiple_of(replicas.max(1)) {
            return Next::AtOnce;
        }
        self.redirects = 0;
        Next::Later
    }
}

#[cfg(test)]
mod tests {
    use chronos_domain::PartitionId;
    use chronos_proto::Class;

    use super::*;

    fn course() -> Course {
        Course::new(Aim::Leader(PartitionId::new(5).unwrap()))
    }

    fn failure(reason: &str) -> Failure {
        Failure::new(Class::NotApplied, reason, "no")
    }

    #[test]
    fn nodes_that_point_at_each_other_are_left_in_peace_after_a_few_hops() {
        let (mut course, moved) = (course(), failure("NOT_LEADER"));
        for hop in 0..REDIRECTS_MAX {
            let to = NodeId::new(u64::from(hop % 2) + 1);
            assert_eq!(course.failed(&moved, to, 3), Next::AtOnce);
            assert_eq!(course.redirected_to(), to);
        }
        assert_eq!(course.failed(&moved, NodeId::new(1), 3), Next::Later);
        assert_eq!(course.redirected_to(), None);
        assert_eq!(
            course.failed(&moved, NodeId::new(1), 3),
            Next::AtOnce,
            "after the pause hints count anew"
        );
    }

    #[test]
    fn what_one_replica_lacks_the_others_are_asked_for_at_once_and_then_time_helps() {
        for reason in ["NOT_CAUGHT_UP", "CORRUPT"] {
            let mut course = course();
            let next: Vec<Next> = (0..4).map(|_| course.failed(&failure(reason), None, 3)).collect();
            assert_eq!(next, [Next::AtOnce, Next::AtOnce, Next::Later, Next::AtOnce], "{reason}");
            assert_eq!(course.failed(&failure(reason), None, 1), Next::Later, "nobody else has it");
        }
    }

    #[test]
    fn whatever_else_fails_is_tried_after_a_pause_and_on_another_way() {
        let mut course = course();
        assert_eq!(course.failed(&failure("UNAVAILABLE"), None, 3), Next::Later);
        assert_eq!(course.turn, 1);
    }
}
