//! Equal things once, numbered in the order of coming.

use chronos_domain::xxh64::xxh64;
use hashbrown::HashTable;

/// Names of groups: the same name in two groups is two names. A group is the number of a space.
#[derive(Default)]
pub(super) struct Interner {
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<usize>,
    groups: Vec<u32>,
    table: HashTable<u32>,
}

impl Interner {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn name(&self, number: u32) -> &str {
        &self.text[span(&self.ends, number)]
    }

    pub(super) fn group(&self, number: u32) -> u32 {
        self.groups[number as usize]
    }

    /// The name's number: the next one if it is new.
    pub(super) fn intern(&mut self, group: u32, name: &str) -> u32 {
        let hash = xxh64(name.as_bytes(), u64::from(group));
        let same = |number: &u32| self.group(*number) == group && self.name(*number) == name;
        if let Some(number) = self.table.find(hash, same) {
            return *number;
        }
        let number = u32::try_from(self.len()).expect("a part has fewer than 2^32 names of a kind");
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.groups.push(group);
        let Interner { text, ends, groups, table } = self;
        table.insert_unique(hash, number, |number| {
            xxh64(text[span(ends, *number)].as_bytes(), u64::from(groups[*number as usize]))
        });
        number
    }
}

/// Sets of tags.
#[derive(Default)]
pub(super) struct Sets {
    tags: Vec<u32>,
    /// Where each set ends in `tags`.
    ends: Vec<usize>,
    table: HashTable<u32>,
}

impl Sets {
    pub(super) fn get(&self, number: u32) -> &[u32] {
        &self.tags[span(&self.ends, number)]
    }

    /// The number of the set of these tags, in this order: the next one if it is new.
    pub(super) fn intern(&mut self, set: &[u32]) -> u32 {
        let hash = hash_set(set);
        if let Some(number) = self.table.find(hash, |number| self.get(*number) == set) {
            return *number;
        }
        let number = u32::try_from(self.ends.len()).expect("a part has fewer than 2^32 rows");
        self.tags.extend_from_slice(set);
        self.ends.push(self.tags.len());
        let Sets { tags, ends, table } = self;
        table.insert_unique(hash, number, |number| hash_set(&tags[span(ends, *number)]));
        number
    }

    /// Gives each tag another number, and puts every set in the order of those.
    pub(super) fn renumber(&mut self, numbers: &[u32]) {
        let mut start = 0;
        for end in &self.ends {
            let set = &mut self.tags[start..*end];
            set.iter_mut().for_each(|tag| *tag = numbers[*tag as usize]);
            set.sort_unstable();
            start = *end;
        }
        self.table.clear();
    }
}

fn span(ends: &[usize], number: u32) -> std::ops::Range<usize> {
    let number = number as usize;
    number.checked_sub(1).map_or(0, |before| ends[before])..ends[number]
}

fn hash_set(set: &[u32]) -> u64 {
    let mix =
        |hash: u64, tag: &u32| (hash ^ u64::from(*tag)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    set.iter().fold(set.len() as u64, mix)
}
