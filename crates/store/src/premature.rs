//! Expectations that are looked at before a command is in the log: what a planted defect does instead of what is right
//! ([`chronos_bugs::Bug::M7`]).

use chronos_block::Block;
use chronos_domain::{Append, Batch, Condition, ContentHash, EventId, Expectation, Verdict};

use crate::entry::{AppendCommand, Command, Outcome};
use crate::facts;
use crate::partition::Partition;

impl Partition {
    /// How an append would be rejected if it were applied now; `None` where it would not be.
    pub fn foresee(&self, command: &Command) -> Option<Outcome> {
        let append = command.append()?;
        let facts = facts::find_out(&self.shared.state, std::slice::from_ref(command)).ok()?;
        let verdict = self.shared.state.read().foresee(append, &facts.into_iter().next().unwrap_or_default());
        matches!(verdict, Verdict::Rejected(_)).then_some(Outcome::Append(verdict))
    }
}

impl AppendCommand {
    /// The command as apply takes it where nobody looks at expectations any more.
    pub(crate) fn unchecked<'a>(&'a self, batch: &'a Unchecked<'a>) -> Append<'a, Unchecked<'a>> {
        Append { space: self.space(), recorded_at: self.recorded_at, batch }
    }
}

/// A request that expects nothing.
pub(crate) struct Unchecked<'b>(pub(crate) &'b Block);

impl Batch for Unchecked<'_> {
    fn entities(&self) -> usize {
        self.0.entities()
    }

    fn entity(&self, e: usize) -> &str {
        self.0.entity(e)
    }

    fn expectation(&self, _: usize) -> Expectation {
        Expectation::Any
    }

    fn condition(&self) -> Option<&Condition> {
        self.0.condition()
    }

    fn events(&self) -> usize {
        self.0.events()
    }

    fn event_entity(&self, i: usize) -> usize {
        self.0.event_entity(i)
    }

    fn event_id(&self, i: usize) -> EventId {
        self.0.event_id(i)
    }

    fn content(&self, i: usize) -> ContentHash {
        self.0.content(i)
    }
}
