//! The ground of a run: as much as this machine can give, and no more than the plan needs.

use std::path::Path;

use chronos_inject::{Abilities, Ability, Clocks, Fault as Able, Ground, Layout, Wire, probe};

use super::{Problem, Settings};
use crate::plan::{Fault, Plan};

/// A ground, and what cannot be done on it.
pub(super) struct Place {
    pub(super) ground: Ground,
    /// Kinds of faults that this machine cannot have, each with the reason.
    pub(super) unable: Vec<String>,
    /// What the nodes were given, for the report.
    pub(super) given: String,
}

impl Place {
    /// Finds out what this machine can do, and lays the ground for a plan. Takes some seconds.
    ///
    /// # Errors
    /// When it cannot be laid although everything that it needs could be had a moment before.
    pub(super) fn lay(plan: &Plan, settings: &Settings) -> Result<Place, Problem> {
        Place::lay_by(plan, settings, Ground::lay)
    }

    /// The same, over disks that are kept.
    ///
    /// # Errors
    /// As [`Place::lay`], and when the machine cannot give nodes disks and links of their own.
    pub(super) fn lay_kept(plan: &Plan, settings: &Settings, kept: &Path) -> Result<Place, Problem> {
        Place::lay_by(plan, settings, |layout| Ground::lay_kept(layout, kept))
    }

    fn lay_by(
        plan: &Plan,
        settings: &Settings,
        lay: impl FnOnce(&Layout) -> chronos_inject::Result<Ground>,
    ) -> Result<Place, Problem> {
        let scratch = &settings.scratch;
        let cache = scratch.join("chronos-chaos-cache");
        std::fs::create_dir_all(&cache).map_err(|error| format!("making {}: {error}", cache.display()))?;
        let abilities = probe(scratch, &cache);
        let layout = layout(plan, settings, &cache, &abilities)?;
        let given = format!(
            "{:?}, {}, {}, clocks {:?}",
            layout.wire,
            if layout.disk_bytes.is_some() { "own disks" } else { "plain directories" },
            if layout.caged { "control groups" } else { "no control groups" },
            layout.clocks,
        );
        let ground = lay(&layout)?;
        let unable = abilities.unable().map(|(fault, why)| format!("{fault}: {why}")).collect();
        Ok(Place { ground, unable, given })
    }
}

fn layout(plan: &Plan, settings: &Settings, cache: &Path, able: &Abilities) -> Result<Layout, Problem> {
    let can = |fault: Able| *able.of(fault) == Ability::Able;
    let wire = match () {
        () if needs_switch(plan) && can(Able::Delay) => Wire::Switch,
        () if can(Able::Partition) => Wire::Bridge,
        () => Wire::Loopback,
    };
    let nodes = u8::try_from(plan.nodes).map_err(|_| format!("{} nodes are too many", plan.nodes))?;
    Ok(Layout {
        under: settings.scratch.clone(),
        cache: cache.to_owned(),
        nodes,
        wire,
        disk_bytes: can(Able::DiskFull).then_some(settings.disk_bytes),
        caged: can(Able::Freeze) || can(Able::MemoryLimit),
        // A clock that can be moved reads a file at every look: only where that is wanted.
        clocks: if needs_clocks(plan) && can(Able::ClockJump) { Clocks::Wall } else { Clocks::True },
        seed: plan.seed,
    })
}

/// A kernel's bridge is faster, and cannot do these.
fn needs_switch(plan: &Plan) -> bool {
    plan.episodes.iter().any(|episode| {
        matches!(
            episode.fault,
            Fault::Delay { .. } | Fault::Duplicate { .. } | Fault::Reorder { .. } | Fault::Corrupt { .. }
        )
    })
}

fn needs_clocks(plan: &Plan) -> bool {
    plan.episodes
        .iter()
        .any(|episode| matches!(episode.fault, Fault::ClockStep { .. } | Fault::ClockDrift { .. }))
}
