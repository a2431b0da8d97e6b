//! Names with a value each: entities with their history, event types and tags with their postings.

use chronos_domain::xxh64::xxh64;
use hashbrown::HashTable;

use crate::pages::Pages;

/// A table from names to values. A name, once seen, keeps its number.
#[derive(Debug)]
pub(crate) struct Names<T> {
    numbers: HashTable<Slot>,
    named: Pages<Named<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    number: u32,
}

#[derive(Debug)]
struct Named<T> {
    name: Box<str>,
    value: T,
}

/// The number of a name within its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameNo(u32);

impl<T: Default> Names<T> {
    pub(crate) const fn new() -> Names<T> {
        Names { numbers: HashTable::new(), named: Pages::new() }
    }

    pub(crate) const fn len(&self) -> usize {
        self.named.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        let hash = hash(name);
        let slot =
            self.numbers.find(hash, |slot| slot.hash == hash && self.name(NameNo(slot.number)) == name)?;
        Some(&self.named[slot.number as usize].value)
    }

    /// The number of a name, new or not.
    pub(crate) fn intern(&mut self, name: &str) -> NameNo {
        let hash = hash(name);
        let known =
            self.numbers.find(hash, |slot| slot.hash == hash && self.name(NameNo(slot.number)) == name);
        if let Some(slot) = known {
            return NameNo(slot.number);
        }
        let number = self.named.push(Named { name: name.into(), value: T::default() });
        let number = u32::try_from(number).expect("a partition in memory has fewer than 2^32 names");
        self.numbers.insert_unique(hash, Slot { hash, number }, |slot| slot.hash);
        NameNo(number)
    }

    pub(crate) fn value_mut(&mut self, number: NameNo) -> &mut T {
        let named = self.named.get_mut(number.0 as usize).expect("a number comes from this table");
        &mut named.value
    }

    /// The name with this number.
    pub(crate) fn name(&self, number: NameNo) -> &str {
        &self.named[number.0 as usize].name
    }
}

fn hash(name: &str) -> u64 {
    xxh64(name.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_value_while_others_come() {
        let mut names: Names<Vec<usize>> = Names::new();
        for round in 0..3 {
            for n in 0..5_000 {
                let number = names.intern(&format!("entity-{n}"));
                assert_eq!(number, NameNo(n));
                names.value_mut(number).push(round);
            }
        }
        assert_eq!(names.len(), 5_000);
        assert_eq!(names.get("entity-4711"), Some(&vec![0, 1, 2]));
        assert_eq!(names.get("entity-5000"), None);
    }

    /// A stream of KurrentDB was hidden by another one whose name had the same hash (#1030).
    #[test]
    fn t_21_a_name_is_not_taken_for_another_one_with_the_same_hash() {
        let mut names = Names::<u32>::new();
        let other = names.intern("other");
        // As it would stand there if both had this hash.
        let hash = hash("name");
        names.numbers.insert_unique(hash, Slot { hash, number: other.0 }, |slot| slot.hash);
        assert_eq!(names.get("name"), None);
        let name = names.intern("name");
        assert_ne!(name, other);
        *names.value_mut(name) = 7;
        assert_eq!((names.get("name"), names.get("other")), (Some(&7), Some(&0)));
    }
}
