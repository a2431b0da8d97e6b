//! Which events of which entities are erased.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronos_domain::{EntityId, ForkId, TenantId, Version};

/// Of every truncated entity, the version from which on its events are kept. Clones share it until one changes.
///
/// All of them are in memory and in every manifest: about 100 bytes each, for entities that were truncated at least
/// once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones(Arc<BTreeMap<TenantId, Forks>>);

type Forks = BTreeMap<ForkId, BTreeMap<EntityId, Version>>;

impl Tombstones {
    /// The version before which the entity's events are erased; zero when it was never truncated.
    pub fn get(&self, tenant: &str, fork: ForkId, entity: &str) -> Version {
        let forks = self.0.get(tenant);
        let entities = forks.and_then(|forks| forks.get(&fork));
        entities.and_then(|entities| entities.get(entity)).copied().unwrap_or(Version::ZERO)
    }

    /// Erases the entity's events before version `before`. A truncation never takes back an earlier one: returns
    /// false, and changes nothing, when as much was erased already.
    pub fn insert(&mut self, tenant: &TenantId, fork: ForkId, entity: &EntityId, before: Version) -> bool {
        if self.get(tenant.as_str(), fork, entity.as_str()) >= before {
            return false;
        }
        let forks = Arc::make_mut(&mut self.0).entry(tenant.clone()).or_default();
        forks.entry(fork).or_default().insert(entity.clone(), before);
        true
    }

    /// All of them, by tenant, fork and entity.
    pub fn iter(&self) -> impl Iterator<Item = (&TenantId, ForkId, &EntityId, Version)> {
        self.0.iter().flat_map(|(tenant, forks)| {
            forks.iter().flat_map(move |(fork, entities)| {
                entities.iter().map(move |(entity, before)| (tenant, *fork, entity, *before))
            })
        })
    }

    /// Those that `earlier` does not know, or knows with a lower version, with the version it knows.
    pub fn since<'a>(
        &'a self,
        earlier: &'a Tombstones,
    ) -> impl Iterator<Item = (&'a TenantId, ForkId, &'a EntityId, Version, Version)> {
        let shared = Arc::ptr_eq(&self.0, &earlier.0);
        let all = (!shared).then(|| self.iter()).into_iter().flatten();
        all.filter_map(|(tenant, fork, entity, before)| {
            let known = earlier.get(tenant.as_str(), fork, entity.as_str());
            (known < before).then_some((tenant, fork, entity, known, before))
        })
    }

    /// How many entities were truncated.
    pub fn len(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    /// Whether nothing was ever truncated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
