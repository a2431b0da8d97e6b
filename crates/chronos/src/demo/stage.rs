//! The stage of a demo: a cluster of its own and a way to it.

use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Consistency, Placement, Read};
use chronos_domain::PartitionId;

use super::ledger::Ledger;
use super::outage::{Felt, Pulse};
use super::proof::{Findings, Proof, Seen};
use super::script::Script;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::ingest::intake::Intake;

/// How long a request of a demo may take, whose disk may be a slow one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The stage.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) connection: Connection,
    pub(crate) pulse: Arc<Pulse>,
}

impl Stage {
    /// Starts the cluster and waits until its replicas are spread.
    pub(crate) async fn set(nodes: usize) -> Outcome<(Self, Placement)> {
        let stage = Self::on(Fleet::found(nodes, Ground::loopback()).await?, PATIENCE).await?;
        let placement = stage.fleet.settled().await?;
        Ok((stage, placement))
    }

    /// On a cluster that is there, with requests that may take so long.
    pub(crate) async fn on(fleet: Fleet, patience: Duration) -> Outcome<Self> {
        let connection = fleet.connection(patience).await?;
        Ok(Self { fleet, connection, pulse: Arc::default() })
    }

    /// Where appends go, and are felt.
    pub(crate) fn sink(&self) -> Felt {
        Felt { sink: self.connection.sink(), pulse: self.pulse.clone() }
    }

    /// Reads back everything and compares it with what was promised. A replica that was cut off just now may be behind, so
    /// whichever answers must have come as far as the promises.
    pub(crate) async fn prove(&self, ledger: &Ledger) -> Outcome<Vec<(PartitionId, Findings)>> {
        let mut proof = Proof::of(ledger.promises());
        for partition in PartitionId::all() {
            let promised = Consistency::AtLeast(ledger.token());
            let mut events = self.connection.read(Read::partition(partition).consistency(promised)).await?;
            while let Some(event) = events.next().await? {
                proof.see(&Seen {
                    event_id: event.event_id,
                    entity_id: event.entity_id.as_str(),
                    partition: event.partition,
                    position: event.position,
                    version: event.version,
                });
            }
        }
        Ok(proof.conclude())
    }
}

/// Feeds the script up to an event, without what is acknowledged already.
pub(crate) async fn feed(sink: &Felt, script: &Script, up_to: u64, ledger: &Arc<Ledger>) -> Outcome {
    let promised = ledger.clone();
    let mut items = script.items(up_to, move |ordinal| promised.has(ordinal));
    let mut intake = Intake::start(sink, ledger, script.batch_size());
    while let Some(handful) = items.recv().await {
        for item in handful? {
            intake.take(item).await?;
        }
    }
    intake.finish().await
}

/// Whole and tenths of seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
