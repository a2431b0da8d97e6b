//! What this machine can do: found out by doing it on a small scale, not by looking for programs, since a program may be
//! there that its kernel does not obey.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cage::DiskRate;
use crate::clock::{Clocks, find_library};
use crate::disk::IMAGE_BYTES_MIN;
use crate::error::{Error, Result, While};
use crate::fault::Fault;
use crate::ground::{Ground, Layout, Wire};
use crate::net::Peer;
use crate::shim::SYNC_FAILS;

/// Whether a kind of fault can be brought about here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Able,
    /// It cannot.
    Unable {
        /// What is missing, and what to install where that helps.
        why: String,
    },
}

/// What a probe found: an ability for each kind of fault.
#[derive(Clone, Debug)]
pub struct Abilities(BTreeMap<Fault, Ability>);

impl Abilities {
    /// Whether `fault` can be brought about.
    pub fn of(&self, fault: Fault) -> &Ability {
        &self.0[&fault]
    }

    /// Every kind with its ability, in the order of the catalogue.
    pub fn all(&self) -> impl Iterator<Item = (Fault, &Ability)> {
        self.0.iter().map(|(fault, ability)| (*fault, ability))
    }

    /// The kinds that cannot be brought about, each with the reason.
    pub fn unable(&self) -> impl Iterator<Item = (Fault, &str)> {
        self.all().filter_map(|(fault, ability)| match ability {
            Ability::Able => None,
            Ability::Unable { why } => Some((fault, why.as_str())),
        })
    }
}

/// Something that a machine must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Bridge,
    Rules,
    RandomLoss,
    Resets,
    Shaping,
    SwitchWire,
    OwnDisk,
    PowerCut,
    PlaceOnDisk,
    DiskStall,
    FileSystemError,
    MemoryGroup,
    DiskGroup,
    FreezerGroup,
    FakeTime,
    Compiler,
}

/// Tries everything once, on grounds below `scratch` with `cache` as in [`Layout`]. Takes a few seconds as root.
pub fn probe(scratch: &Path, cache: &Path) -> Abilities {
    let mut tried: BTreeMap<Need, Option<String>> = BTreeMap::new();
    judge(|need| {
        tried
            .entry(need)
            .or_insert_with(|| need.check(scratch, cache).err().map(|error| error.to_string()))
            .clone()
    })
}

/// Each kind is possible when nothing that it needs is refused; else the first refusal says why.
fn judge(mut refusal: impl FnMut(Need) -> Option<String>) -> Abilities {
    let ability = |fault: Fault| match fault.needs().iter().find_map(|need| refusal(*need)) {
        None => Ability::Able,
        Some(why) => Ability::Unable { why },
    };
    let mut ability = ability;
    Abilities(Fault::ALL.iter().map(|fault| (*fault, ability(*fault))).collect())
}

impl Need {
    fn check(self, scratch: &Path, cache: &Path) -> Result<()> {
        match self {
            Need::FakeTime => return find_library().map(drop),
            Need::Compiler => return SYNC_FAILS.build(cache).map(drop),
            _ if !rustix::process::geteuid().is_root() => return Err(Error::Unfit("root is needed".into())),
            _ => {}
        }
        let ground = Ground::lay(&self.layout(scratch, cache))?;
        self.try_on(&ground)
    }

    /// The smallest ground on which it can be tried.
    fn layout(self, scratch: &Path, cache: &Path) -> Layout {
        let (wire, disk, caged) = match self {
            Need::Bridge | Need::Rules | Need::RandomLoss | Need::Resets | Need::Shaping => {
                (Wire::Bridge, false, false)
            }
            Need::SwitchWire => (Wire::Switch, false, false),
            Need::DiskGroup => (Wire::Loopback, true, true),
            Need::MemoryGroup | Need::FreezerGroup => (Wire::Loopback, false, true),
            Need::OwnDisk | Need::PowerCut | Need::PlaceOnDisk | Need::DiskStall | Need::FileSystemError => {
                (Wire::Loopback, true, false)
            }
            Need::FakeTime | Need::Compiler => (Wire::Loopback, false, false),
        };
        let disk_bytes = disk.then_some(IMAGE_BYTES_MIN);
        let (under, cache) = (scratch.to_owned(), cache.to_owned());
        Layout { under, cache, nodes: 1, wire, disk_bytes, caged, clocks: Clocks::True, seed: 0 }
    }

    fn try_on(self, ground: &Ground) -> Result<()> {
        let (node, host) = ([Peer::Node(1)], [Peer::Host]);
        let site = ground.site(1);
        match self {
            Need::Bridge | Need::SwitchWire => site.namespace()?.inside(|| ()),
            Need::Rules => ground.links()?.partition(&node, &host)?.heal(),
            Need::RandomLoss => ground.links()?.lose(&host, &node, 1)?.heal(),
            Need::Resets => ground.links()?.reset(&host, &node)?.heal(),
            Need::Shaping => ground.links()?.slow(Peer::Node(1), 1_000_000)?.heal(),
            Need::OwnDisk => site.disk()?.remount(),
            Need::PowerCut => ground.cut_power(&[1]).map(drop),
            Need::PlaceOnDisk => {
                let file = site.data().join("probe");
                std::fs::write(&file, "probe").during(|| format!("writing {}", file.display()))?;
                site.disk()?.rot(&file, 0, 1).map(drop)
            }
            Need::DiskStall => site.disk()?.stall()?.heal(),
            Need::FileSystemError => site.disk()?.fail_read_only(),
            Need::MemoryGroup => site.limit_memory(64 << 20)?.heal(),
            Need::DiskGroup => {
                site.slow_disk(DiskRate { write_bytes: Some(1 << 20), read_bytes: None })?.heal()
            }
            Need::FreezerGroup => site.freeze()?.heal(),
            Need::FakeTime | Need::Compiler => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_needs_nothing_is_always_possible() {
        let nothing_works = judge(|need| Some(format!("no {need:?}")));
        assert_eq!(nothing_works.of(Fault::Kill), &Ability::Able);
        assert_eq!(nothing_works.of(Fault::Truncated), &Ability::Able);
    }

    #[test]
    fn the_first_thing_that_is_missing_is_the_reason() {
        let no_shaping = judge(|need| (need == Need::Shaping).then(|| "no tbf".to_owned()));
        assert_eq!(no_shaping.unable().collect::<Vec<_>>(), [(Fault::SlowLink, "no tbf")]);
        let no_root = judge(|need| Some(format!("no {need:?}")));
        assert_eq!(no_root.of(Fault::SlowLink), &Ability::Unable { why: "no Bridge".into() });
    }

    #[test]
    fn every_kind_of_fault_has_an_ability() {
        assert_eq!(judge(|_| None).all().count(), Fault::ALL.len());
    }
}
