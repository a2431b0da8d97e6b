//! A node's partitions and what each must hold.

use chronos_store::{Command, Outcome};

use super::commands::Wish;
use super::node::{Node, USED};
use super::oracle::Oracle;

pub(crate) struct Run {
    pub(crate) oracles: Vec<Oracle>,
    next_id: u128,
}

impl Run {
    pub(crate) fn new() -> Run {
        Run { oracles: USED.iter().map(|number| Oracle::new(*number)).collect(), next_id: 0 }
    }

    pub(crate) fn commands(&mut self, at: usize, wishes: &[Wish]) -> Vec<Command> {
        wishes.iter().map(|wish| wish.command(&self.oracles[at], &mut self.next_id)).collect()
    }

    /// Appends an entry and compares the outcomes.
    pub(crate) async fn entry(&mut self, node: &Node, at: usize, wishes: &[Wish]) {
        let commands = self.commands(at, wishes);
        let outcomes = node.append(at, &commands).await.unwrap();
        assert_eq!(outcomes, self.acknowledged(at, &commands));
    }

    /// From now on these commands must be there.
    pub(crate) fn acknowledged(&mut self, at: usize, commands: &[Command]) -> Vec<Outcome> {
        commands.iter().map(|command| self.oracles[at].apply(command)).collect()
    }

    pub(crate) fn check(&self, node: &Node) {
        for (at, oracle) in self.oracles.iter().enumerate() {
            oracle.check(node.partition(at));
        }
    }
}
