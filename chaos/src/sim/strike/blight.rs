//! Rot that leaves no good copy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_env::Entropy;

use super::Striker;
use crate::sim::cluster::SimCluster;

/// Bytes by which a place is known again: more than any two places have in common by chance.
const LIKENESS: usize = 24;
/// Draws of a place, of which most fall on bytes that were never written.
const DRAWS: u32 = 10_000;

/// Some bytes of a file that were written.
struct Place {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Striker {
    /// Draws a place on the first of these nodes' disks, and turns a bit of it there and of all that is like it on the
    /// others.
    pub(super) async fn blight(&self, nodes: &[u32], while_down: bool, lasts: Duration, dice: &Entropy) {
        if while_down {
            for node in nodes {
                *self.held.lock().down.entry(*node).or_default() += 1;
                self.cluster.kill_now(*node);
            }
        }
        let first = nodes[dice.below(nodes.len() as u64) as usize];
        if let Some(place) = self.some_place(first, dice) {
            let bit = (dice.below(LIKENESS as u64) as usize, dice.below(8) as u8);
            nodes.iter().for_each(|node| self.spoil(*node, &place, bit, dice));
        }
        self.wait(lasts).await;
        if while_down {
            self.up(nodes);
        }
    }

    /// Some bytes that were written: mostly of a log or a part, which are few of the files and most of what is kept.
    fn some_place(&self, node: u32, dice: &Entropy) -> Option<Place> {
        let end = [".seg", ".seg", ".seg", ".parquet", ".index", ""][dice.below(6) as usize];
        let mut files = self.cluster.host(node).disk().snapshot();
        files.retain(|path, content| {
            let is_such = path.starts_with(SimCluster::DATA) && path.to_string_lossy().ends_with(end);
            is_such && content.iter().any(|byte| *byte != 0)
        });
        let nth = dice.below(files.len().max(1) as u64) as usize;
        let (path, content) = files.into_iter().nth(nth)?;
        let at = written(&content, dice)?;
        let from = at.min(content.len().saturating_sub(LIKENESS));
        Some(Place { path, bytes: content[from..content.len().min(from + LIKENESS)].to_vec() })
    }

    fn spoil(&self, node: u32, place: &Place, (byte, bit): (usize, u8), dice: &Entropy) {
        let disk = self.cluster.host(node).disk();
        let byte = byte % place.bytes.len();
        // A file that has just gone away has nothing to rot.
        let flip = |path: &Path, at: usize| drop(disk.flip_bit(path, at as u64, bit));
        let snapshot = disk.snapshot();
        let mut is_found = false;
        for (path, content) in snapshot.iter().filter(|(path, _)| path.starts_with(SimCluster::DATA)) {
            for at in find_all(content, &place.bytes) {
                is_found = true;
                flip(path, at + byte);
            }
        }
        if let Some(content) = snapshot.get(&place.path).filter(|_| !is_found)
            && let Some(at) = written(content, dice)
        {
            flip(&place.path, at);
        }
    }
}

/// Some byte that is not zero.
fn written(content: &[u8], dice: &Entropy) -> Option<usize> {
    let mut draws =
        (0..DRAWS).filter(|_| !content.is_empty()).map(|_| dice.below(content.len() as u64) as usize);
    draws.find(|at| content[*at] != 0)
}

/// Where some bytes stand.
fn find_all<'a>(content: &'a [u8], bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    content.windows(bytes.len()).enumerate().filter(move |(_, window)| *window == bytes).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_found_wherever_it_is() {
        let found: Vec<_> = find_all(b"abcabcab", b"abc").collect();
        assert_eq!(found, [0, 3]);
        assert_eq!(find_all(b"ab", b"abc").count(), 0);
    }

    #[test]
    fn a_place_is_one_that_was_written() {
        let mut content = vec![0; 1000];
        assert_eq!(written(&content, &Entropy::seeded(1)), None);
        content[77] = 1;
        assert_eq!(written(&content, &Entropy::seeded(1)), Some(77));
        assert_eq!(written(&[], &Entropy::seeded(1)), None);
    }
}
