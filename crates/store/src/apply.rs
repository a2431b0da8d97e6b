//! One entry of the log on its way into the state.
//!
//! First, without the lock, the parts are asked what they know about the entry's commands; then, under it, the commands
//! are decided from memory and those facts alone. Whoever applies holds the partition's applier mutex, so that between
//! both steps nothing moves from memory to a part.

use std::borrow::Borrow;
use std::ops::Range;

use chronos_wal::Mark;
use parking_lot::RwLock;

use crate::entry::{Command, Entry, Outcome};
use crate::facts;
use crate::fault::Fault;
use crate::members::Members;
use crate::state::State;

/// Applies one entry. Events are visible, and a cut is made, when it returns.
///
/// # Errors
/// A fault of the disk, or [`Fault::Stopped`] when an earlier entry ended half-way. No later entry may be applied.
///
/// # Panics
/// If `mark` does not follow the last one.
pub(crate) fn entry<C: Borrow<Command>>(
    state: &RwLock<State>,
    mark: Mark,
    commands: &[C],
) -> Result<Vec<Outcome>, Fault> {
    let mut outcomes = Vec::with_capacity(commands.len());
    let mut runs = Runs { commands, at: 0 }.peekable();
    let mut begun = false;
    loop {
        let run = runs.next().unwrap_or_default();
        let commands = &commands[run];
        let facts = facts::find_out(state, commands)?;
        let mut state = state.write();
        if !begun {
            state.check_idle()?;
            state.begin(mark);
            begun = true;
        }
        state.check_whole()?;
        outcomes.append(&mut state.run(commands.iter().map(Borrow::borrow), &facts));
        if runs.peek().is_none() {
            state.end();
            return Ok(outcomes);
        }
    }
}

/// Applies an entry that names the members of the group.
///
/// # Errors
/// [`Fault::Stopped`] when an earlier entry ended half-way.
///
/// # Panics
/// If it does not follow the last one.
pub(crate) fn members(state: &RwLock<State>, members: &Members) -> Result<(), Fault> {
    let mut state = state.write();
    state.check_idle()?;
    state.begin(members.mark);
    state.name_members(members.encode());
    state.end();
    Ok(())
}

/// Applies whatever an entry of the log says.
///
/// # Errors
/// As [`entry`].
///
/// # Panics
/// If it does not follow the last one.
pub(crate) fn any(state: &RwLock<State>, mark: Mark, entry: &Entry) -> Result<Vec<Outcome>, Fault> {
    match &entry.members {
        Some(payload) => {
            members(state, &Members { mark, payload: payload.clone() })?;
            Ok(Vec::new())
        }
        None => self::entry(state, mark, &entry.commands),
    }
}

/// Stretches of commands about which facts can be found out at once. A truncation takes tags away, so a condition that
/// asks for tags after one has to be looked at anew.
struct Runs<'c, C> {
    commands: &'c [C],
    at: usize,
}

impl<C: Borrow<Command>> Iterator for Runs<'_, C> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut truncated = false;
        for command in &self.commands[start..] {
            match command.borrow() {
                Command::Append(append) if truncated && asks_for_tags(append) => break,
                Command::Truncate(_) => truncated = true,
                Command::Append(_) | Command::Cut(_) | Command::Tick(_) => {}
            }
            self.at += 1;
        }
        (self.at > start).then_some(start..self.at)
    }
}

fn asks_for_tags(append: &crate::entry::AppendCommand) -> bool {
    let condition = chronos_domain::Batch::condition(&append.block);
    condition.is_some_and(|condition| condition.fail_if.iter().any(|item| !item.tags.is_empty()))
}
