//! The way in: events one by one, batches out to the lanes.

use std::sync::Arc;

use chronos_domain::TenantId;

use super::Item;
use super::cut::{Cutter, Size};
use super::pump::Pump;
use super::settle::{Sink, Witness};
use crate::failure::{Failure, Outcome};

/// One run, for a source of any kind.
pub(crate) struct Intake<W> {
    cutter: Cutter,
    pump: Pump,
    witness: Arc<W>,
}

impl<W: Witness> Intake<W> {
    /// Everything goes to `sink`, every event's end to `witness`.
    pub(crate) fn start<S: Sink>(sink: &S, witness: &Arc<W>, size: Size) -> Self {
        let cutter = Cutter::new(TenantId::default_tenant(), size);
        Self { cutter, pump: Pump::start(sink, witness), witness: witness.clone() }
    }

    /// Takes the next event; waits while its partition is behind.
    ///
    /// # Errors
    /// The run is over: a lane failed, or the witness does not go on after a refused event.
    pub(crate) async fn take(&mut self, item: Item) -> Outcome {
        if let Some(batch) = self.cutter.make_room(&item) {
            self.pump.push(batch).await?;
        }
        let line = item.line;
        match self.cutter.add(item) {
            Ok(()) => Ok(()),
            Err(rejection) => self.witness.refused(line, &Failure::from(&rejection)),
        }
    }

    /// Sends what was taken and waits until all of it is settled.
    ///
    /// # Errors
    /// The first failure of any lane.
    pub(crate) async fn finish(self) -> Outcome {
        for batch in self.cutter.finish() {
            self.pump.push(batch).await?;
        }
        self.pump.finish().await
    }
}
