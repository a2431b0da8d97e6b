//! Names in the order of their first use, each kept once.

use chronos_domain::xxh64::xxh64;
use hashbrown::HashTable;

/// Up to this many names are found faster by looking at each than by hashing.
const SCANNED_MAX: usize = 8;

/// A growing table of distinct names. Looking up allocates nothing; adding grows three buffers.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    text: String,
    /// Where each name ends in `text`; it starts where the one before ends.
    ends: Vec<u32>,
    /// Empty while there are few.
    table: HashTable<Entry>,
    /// The number given last: runs of one name are common.
    last: usize,
}

/// A name's number, and its hash so that growing the table need not read the names again.
#[derive(Debug)]
struct Entry {
    hash: u64,
    number: u32,
}

impl Dictionary {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All names in a row.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Lengths of the names in bytes, in order.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(|i| self.get(i).len())
    }

    /// The number of a name, if it is here.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if self.len() > self.last && self.get(self.last) == name {
            return Some(self.last);
        }
        if self.len() <= SCANNED_MAX {
            return (0..self.len()).find(|i| self.get(*i) == name);
        }
        let hash = hash(name);
        let same = |entry: &Entry| entry.hash == hash && self.get(entry.number as usize) == name;
        self.table.find(hash, same).map(|entry| entry.number as usize)
    }

    /// The number of a name, which is added if it is new.
    pub(crate) fn intern(&mut self, name: &str) -> usize {
        self.last = match self.find(name) {
            Some(number) => number,
            None => self.add(name),
        };
        self.last
    }

    fn add(&mut self, name: &str) -> usize {
        let number = self.len();
        self.text.push_str(name);
        self.ends.push(self.text.len() as u32);
        if number == SCANNED_MAX {
            (0..number).for_each(|i| self.put_in_table(i));
        }
        if number >= SCANNED_MAX {
            self.put_in_table(number);
        }
        number
    }

    fn put_in_table(&mut self, number: usize) {
        let entry = Entry { hash: hash(self.get(number)), number: number as u32 };
        self.table.insert_unique(entry.hash, entry, |entry| entry.hash);
    }

    fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.text[start..self.ends[i] as usize]
    }
}

fn hash(name: &str) -> u64 {
    xxh64(name.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_number_of_their_first_use_however_many_there_are() {
        let names: Vec<String> = (0..100).map(|i| format!("name-{i}")).collect();
        let mut dictionary = Dictionary::default();
        for round in 0..2 {
            for (i, name) in names.iter().enumerate() {
                assert_eq!(dictionary.find(name).is_some(), round == 1);
                assert_eq!(dictionary.intern(name), i);
            }
        }
        assert_eq!(dictionary.len(), 100);
        assert_eq!(dictionary.text(), names.concat());
        assert!(dictionary.lengths().eq(names.iter().map(String::len)));
        assert_eq!(dictionary.find("name-100"), None);
    }
}
