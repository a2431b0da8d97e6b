//! The tenants and forks of a generation: each with entities, ids and postings of its own.

use chronos_domain::xxh64::xxh64;
use chronos_domain::{Space, TenantId};
use hashbrown::HashTable;

use crate::generation::Head;
use crate::ids::Ids;
use crate::names::Names;
use crate::pages::Pages;
use crate::postings::Marked;

/// The number of a space within its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpaceNo(u32);

/// What one tenant and fork has stored in a generation.
#[derive(Debug)]
pub(crate) struct SpaceTable {
    pub(crate) tenant: TenantId,
    pub(crate) fork: chronos_domain::ForkId,
    /// Every entity with an event in this generation.
    pub(crate) heads: Names<Head>,
    pub(crate) ids: Ids,
    pub(crate) marked: Marked,
    /// The numbers of its chunks.
    pub(crate) chunks: Pages<usize>,
}

impl SpaceTable {
    fn is(&self, space: Space<'_>) -> bool {
        self.fork == space.fork && self.tenant.as_str() == space.tenant
    }
}

/// All spaces of a generation.
#[derive(Debug)]
pub(crate) struct Spaces {
    numbers: HashTable<u32>,
    tables: Vec<SpaceTable>,
}

impl Spaces {
    pub(crate) const fn new() -> Spaces {
        Spaces { numbers: HashTable::new(), tables: Vec::new() }
    }

    pub(crate) fn get(&self, space: Space<'_>) -> Option<&SpaceTable> {
        self.number(space).map(|number| self.table(number))
    }

    pub(crate) fn table(&self, number: SpaceNo) -> &SpaceTable {
        &self.tables[number.0 as usize]
    }

    pub(crate) fn table_mut(&mut self, number: SpaceNo) -> &mut SpaceTable {
        &mut self.tables[number.0 as usize]
    }

    /// The number of a space, new or not.
    pub(crate) fn intern(&mut self, tenant: &TenantId, fork: chronos_domain::ForkId) -> SpaceNo {
        let space = Space { tenant: tenant.as_str(), fork };
        if let Some(number) = self.number(space) {
            return number;
        }
        let number = u32::try_from(self.tables.len()).expect("a partition has fewer than 2^32 spaces");
        self.tables.push(SpaceTable {
            tenant: tenant.clone(),
            fork,
            heads: Names::new(),
            ids: Ids::new(),
            marked: Marked::new(),
            chunks: Pages::new(),
        });
        let tables = &self.tables;
        let rehash = |number: &u32| {
            let table = &tables[*number as usize];
            hash(Space { tenant: table.tenant.as_str(), fork: table.fork })
        };
        self.numbers.insert_unique(hash(space), number, rehash);
        SpaceNo(number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SpaceTable> {
        self.tables.iter()
    }

    fn number(&self, space: Space<'_>) -> Option<SpaceNo> {
        let found = self.numbers.find(hash(space), |number| self.tables[*number as usize].is(space));
        found.map(|number| SpaceNo(*number))
    }
}

fn hash(space: Space<'_>) -> u64 {
    xxh64(space.tenant.as_bytes(), space.fork.get())
}
