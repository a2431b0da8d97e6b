//! Opening a partition, or going back to what its disk holds: what the log holds beyond the parts is read and applied
//! again, as far as it is committed.

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::CrashPoints;
use chronos_wal::{Log, Mark, ReadError};
use parking_lot::RwLock;

use crate::apply;
use crate::entry::{self, Entry};
use crate::fault::Fault;
use crate::members::Members;
use crate::state::State;

pub(crate) const MID: &str = "store.recover.mid";

/// Log bytes read at a time.
const BATCH_BYTES: usize = 4 << 20;

/// How far a log is applied again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upto {
    /// As far as the log says that it is committed; whoever knows of more applies it.
    Committed,
    /// As far as this entry, which is known to be committed.
    Entry(LogIndex),
    /// To its end: every entry is known to be committed, because no other node has a say.
    End,
}

/// Whether log and parts fit together; then applies the entries of the log that the state has not seen.
pub(crate) fn replay(
    id: PartitionId,
    log: &Log,
    crash: &CrashPoints,
    state: &RwLock<State>,
    upto: Upto,
) -> Result<(), Fault> {
    let recovered = log.state();
    let kept = state.read().applied();
    let purged = LogIndex::new(recovered.purged.map_or(0, |mark| mark.index));
    let last = LogIndex::new(recovered.last.map_or(0, |mark| mark.index));
    if purged > kept {
        return Err(Fault::corrupt(
            id,
            format!("its log starts after entry {purged}, but its parts hold entries only up to {kept}"),
        ));
    }
    if last < kept {
        return Err(Fault::corrupt(
            id,
            format!("its log ends with entry {last}, but its parts hold entries up to {kept}"),
        ));
    }
    probe_end(id, log, last)?;
    let to = match upto {
        Upto::Committed => last.min(LogIndex::new(recovered.committed)),
        Upto::Entry(committed) => last.min(committed),
        Upto::End => last,
    };
    catch_up(id, log, crash, state, to)
}

/// Applies the entries up to `to` that the state has not seen. They must be committed.
pub(crate) fn catch_up(
    id: PartitionId,
    log: &Log,
    crash: &CrashPoints,
    state: &RwLock<State>,
    to: LogIndex,
) -> Result<(), Fault> {
    let mut applied = state.read().applied();
    while applied < to {
        let entries = log.read(applied.next().get(), BATCH_BYTES).map_err(|error| Fault::read(id, error))?;
        if entries.is_empty() {
            return Err(Fault::corrupt(id, format!("its log ends after entry {applied} of {to}")));
        }
        for logged in entries.into_iter().take_while(|logged| logged.index <= to.get()) {
            let entry = entry::decode(&logged.payload).map_err(|malformed| {
                Fault::corrupt(id, format!("log entry {}: {malformed}", logged.index))
            })?;
            check(&state.read(), logged.index, &entry).map_err(|what| Fault::corrupt(id, what))?;
            apply::any(state, Mark { index: logged.index, term: logged.term }, &entry)?;
            applied = LogIndex::new(logged.index);
        }
        crash.hit(MID);
    }
    Ok(())
}

/// The last entry behind `applied` that names the members of the group.
pub(crate) fn members_after(id: PartitionId, log: &Log, applied: LogIndex) -> Result<Option<Members>, Fault> {
    let last = log.state().last.map_or(0, |mark| mark.index);
    let (mut next, mut found) = (applied.next().get(), None);
    while next <= last {
        for logged in log.read(next, BATCH_BYTES).map_err(|error| Fault::read(id, error))? {
            next = logged.index + 1;
            if entry::names_members(&logged.payload) {
                let mark = Mark { index: logged.index, term: logged.term };
                found = Some(Members { mark, payload: logged.payload });
            }
        }
    }
    Ok(found)
}

/// Asks for the entry after the last one. A healthy log says that it is not there; one that has lost its end may
/// look merely shorter, and says so only when it is read.
fn probe_end(id: PartitionId, log: &Log, last: LogIndex) -> Result<(), Fault> {
    match log.read(last.next().get(), 1) {
        Err(ReadError::NotHere { .. }) => Ok(()),
        Err(error) => Err(Fault::read(id, error)),
        Ok(_) => {
            Err(Fault::corrupt(id, format!("its log goes on after entry {last}, which it calls its last")))
        }
    }
}

/// Whether an entry can be the next one. The proposer wrote down the position it had applied, so a replay that has
/// not reached that position has lost something on the way.
pub(crate) fn check(state: &State, index: u64, entry: &Entry) -> Result<(), String> {
    let expected = state.applied().next();
    if index != expected.get() {
        return Err(format!("log entry {expected} is missing; the next one is {index}"));
    }
    let (known, head) = (entry.known_head, state.numbers().head());
    if known > head {
        return Err(format!(
            "log entry {index} was written when position {known} was applied, but replay has reached only {head}"
        ));
    }
    Ok(())
}
