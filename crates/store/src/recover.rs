//! Opening a partition: what the log holds beyond the parts is read and applied again.

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::CrashPoints;
use chronos_wal::{Log, ReadError};
use parking_lot::RwLock;

use crate::apply;
use crate::entry::{self, Entry};
use crate::fault::Fault;
use crate::state::State;

pub(crate) const MID: &str = "store.recover.mid";

/// Log bytes read at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Applies every entry of the log that the state has not seen.
pub(crate) fn replay(
    id: PartitionId,
    log: &Log,
    crash: &CrashPoints,
    state: &RwLock<State>,
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
    let mut applied = kept;
    while applied < last {
        let entries = log.read(applied.next().get(), BATCH_BYTES).map_err(|error| Fault::read(id, error))?;
        if entries.is_empty() {
            return Err(Fault::corrupt(id, format!("its log ends after entry {applied} of {last}")));
        }
        for logged in entries {
            let entry = entry::decode(&logged.payload).map_err(|malformed| {
                Fault::corrupt(id, format!("log entry {}: {malformed}", logged.index))
            })?;
            check(&state.read(), logged.index, &entry).map_err(|what| Fault::corrupt(id, what))?;
            apply::entry(state, LogIndex::new(logged.index), &entry.commands)?;
            applied = LogIndex::new(logged.index);
        }
        crash.hit(MID);
    }
    Ok(())
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
