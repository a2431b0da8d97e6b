//! Opening a partition: the log is read from its first entry to its last and applied again.

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::CrashPoints;
use chronos_wal::{Log, ReadError};

use crate::entry::{self, Entry};
use crate::fault::Fault;
use crate::state::State;

pub(crate) const MID: &str = "store.recover.mid";

/// Log bytes read at a time.
const BATCH_BYTES: usize = 4 << 20;

/// Applies every entry of the log to a fresh state.
pub(crate) fn replay(
    id: PartitionId,
    log: &Log,
    crash: &CrashPoints,
    state: &mut State,
) -> Result<(), Fault> {
    let recovered = log.state();
    if let Some(purged) = recovered.purged {
        // Nothing is purged before its events are in parts, and there are no parts yet.
        return Err(Fault::corrupt(id, format!("its log starts after entry {}", purged.index)));
    }
    let last = LogIndex::new(recovered.last.map_or(0, |mark| mark.index));
    probe_end(id, log, last)?;
    while state.applied() < last {
        let entries =
            log.read(state.applied().next().get(), BATCH_BYTES).map_err(|error| Fault::read(id, error))?;
        if entries.is_empty() {
            return Err(Fault::corrupt(
                id,
                format!("its log ends after entry {} of {last}", state.applied()),
            ));
        }
        for logged in entries {
            let entry = entry::decode(&logged.payload).map_err(|malformed| {
                Fault::corrupt(id, format!("log entry {}: {malformed}", logged.index))
            })?;
            check(state, logged.index, &entry).map_err(|what| Fault::corrupt(id, what))?;
            state.apply(LogIndex::new(logged.index), &entry.commands);
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
