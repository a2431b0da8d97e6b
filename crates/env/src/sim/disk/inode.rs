//! One file: what readers see (the page cache), what is on the medium, and what lies between.
//!
//! Between them we remember, per block, each content it had since the last sync, because the system may have
//! written back any of them and a power cut shows which. A shrinking truncate divides these: a content from before
//! it cannot be on the medium together with it, nor one from after it without it, as far as the bytes it cut go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::content::{BLOCK_BYTES, Block, Content, SECTOR_BYTES, block_of, pieces};
use super::mercy::Mercy;

/// How many un-synced contents of one block are remembered. The newest count: forgetting one only takes a possible
/// outcome away.
const VERSIONS_MAX: usize = 8;

/// A file, whatever it is called; lives as long as a name or a handle leads to it.
pub(super) struct Inode {
    id: u64,
    image: Mutex<Image>,
}

impl Inode {
    pub(super) fn new(id: u64, path: PathBuf) -> Arc<Inode> {
        Arc::new(Inode { id, image: Mutex::new(Image { path, ..Image::default() }) })
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock()
    }

    /// A file of its own with the durable content of this one.
    pub(super) fn fork(&self) -> Arc<Inode> {
        let image = self.image.lock();
        let path = image.path.clone();
        let (live, durable) = (image.durable.clone(), image.durable.clone());
        Arc::new(Inode { id: self.id, image: Mutex::new(Image { path, live, durable, ..Image::default() }) })
    }
}

#[derive(Default)]
pub(super) struct Image {
    /// The present name, or the last one.
    pub(super) path: PathBuf,
    live: Content,
    durable: Content,
    unsynced: Unsynced,
}

/// What happened since the last sync, numbered by `clock`.
#[derive(Default)]
struct Unsynced {
    clock: u64,
    versions: BTreeMap<u64, Vec<Version>>,
    grown: Vec<Resized>,
    shrunk: Vec<Resized>,
}

struct Version {
    at: u64,
    block: Block,
}

struct Resized {
    at: u64,
    len: u64,
}

impl Image {
    pub(super) fn live(&self) -> &Content {
        &self.live
    }

    pub(super) fn durable(&self) -> &Content {
        &self.durable
    }

    pub(super) fn write_at(&mut self, buf: &[u8], offset: u64) {
        let before = self.live.len();
        self.live.write_at(buf, offset);
        let at = self.unsynced.tick();
        for piece in pieces(offset, buf.len()) {
            self.unsynced.remember(at, piece.block, self.live.block(piece.block));
        }
        if self.live.len() > before {
            self.unsynced.grown.push(Resized { at, len: self.live.len() });
        }
    }

    pub(super) fn truncate(&mut self, len: u64) {
        let before = self.live.len();
        self.live.set_len(len);
        let at = self.unsynced.tick();
        if len > before {
            self.unsynced.grown.push(Resized { at, len });
        } else if len < before {
            self.unsynced.shrunk.push(Resized { at, len });
            self.remember_last_block();
        }
    }

    pub(super) fn sync(&mut self) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for shrunk in &unsynced.shrunk {
            self.durable.set_len(shrunk.len.min(self.durable.len()));
        }
        self.durable.set_len(self.live.len());
        for number in unsynced.versions.keys() {
            self.durable.copy_block(*number, &self.live);
        }
    }

    /// What a failed sync does: the cache is called clean, and what was dirty is gone.
    pub(super) fn drop_dirty(&mut self) {
        self.unsynced = Unsynced::default();
        self.live = self.durable.clone();
    }

    /// The power goes: `mercy` decides what of the un-synced had reached the medium.
    pub(super) fn power_cut(&mut self, mercy: &Mercy) {
        self.durable = self.unsynced.survivors(&self.durable, mercy);
        self.drop_dirty();
    }

    pub(super) fn flip_bit(&mut self, byte: u64, bit: u8) {
        self.live.flip_bit(byte, bit);
        self.durable.flip_bit(byte, bit);
    }

    /// Cuts the file behind the page cache's back. What is still dirty below `len` stays dirty.
    pub(super) fn damage_truncate(&mut self, len: u64) {
        if len >= self.live.len().max(self.durable.len()) {
            return;
        }
        self.live.set_len(len.min(self.live.len()));
        self.durable.set_len(len.min(self.durable.len()));
        let at = self.unsynced.tick();
        let boundary_was_dirty = self.unsynced.versions.contains_key(&block_of(len));
        self.unsynced.versions.split_off(&block_of(len));
        self.unsynced.grown.clear();
        self.unsynced.shrunk.clear();
        let resized = Resized { at, len: self.live.len() };
        match self.live.len().cmp(&self.durable.len()) {
            std::cmp::Ordering::Greater => self.unsynced.grown.push(resized),
            std::cmp::Ordering::Less => self.unsynced.shrunk.push(resized),
            std::cmp::Ordering::Equal => {}
        }
        if boundary_was_dirty {
            self.remember_last_block();
        }
    }

    /// Exchanges everything but the names.
    pub(super) fn swap(&mut self, other: &mut Image) {
        std::mem::swap(self, other);
        std::mem::swap(&mut self.path, &mut other.path);
    }

    fn remember_last_block(&mut self) {
        let number = block_of(self.live.len());
        if self.live.is_allocated(number) {
            let at = self.unsynced.tick();
            self.unsynced.remember(at, number, self.live.block(number));
        }
    }
}

impl Unsynced {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn remember(&mut self, at: u64, number: u64, block: Block) {
        let versions = self.versions.entry(number).or_default();
        if versions.len() == VERSIONS_MAX {
            versions.remove(0);
        }
        versions.push(Version { at, block });
    }

    fn survivors(&self, durable: &Content, mercy: &Mercy) -> Content {
        let (kept, lost) = self.shrunk.split_at(mercy.how_many(self.shrunk.len()));
        let mut content = durable.clone();
        for shrunk in kept {
            content.set_len(shrunk.len);
        }
        let len = self.surviving_len(content.len(), kept, lost, mercy);
        for (number, versions) in &self.versions {
            let possible = versions.iter().filter(|version| version.fits(*number, kept, lost));
            let durable = content.block(*number);
            let block = torn(Arc::clone(&durable), possible.map(|version| &version.block), mercy);
            // A hole that nothing reached stays a hole.
            if !Arc::ptr_eq(&block, &durable) {
                content.set_block(*number, block);
            }
        }
        content.set_len(len);
        content
    }

    fn surviving_len(&self, base: u64, kept: &[Resized], lost: &[Resized], mercy: &Mercy) -> u64 {
        let from = kept.last().map_or(0, |shrunk| shrunk.at);
        let to = lost.first().map_or(u64::MAX, |shrunk| shrunk.at);
        let possible: Vec<_> = self.grown.iter().filter(|grown| (from..to).contains(&grown.at)).collect();
        match mercy.how_many(possible.len()) {
            0 => base,
            nth => possible[nth - 1].len,
        }
    }
}

impl Version {
    /// Whether this content of block `number` may be on the medium when of the shrinks exactly `kept` are.
    fn fits(&self, number: u64, kept: &[Resized], lost: &[Resized]) -> bool {
        let touched = |shrunk: &&Resized| (number + 1) * BLOCK_BYTES as u64 > shrunk.len;
        kept.iter().filter(touched).all(|shrunk| self.at > shrunk.at)
            && lost.iter().filter(touched).all(|shrunk| self.at < shrunk.at)
    }
}

/// Each sector of the block on its own: as it was on the medium, or as one of the versions has it.
fn torn<'a>(mut block: Block, versions: impl Iterator<Item = &'a Block>, mercy: &Mercy) -> Block {
    let versions: Vec<_> = versions.collect();
    if let Some(whole) = mercy.whole_block(versions.len()) {
        return if whole == 0 { block } else { Arc::clone(versions[whole - 1]) };
    }
    for sector in 0..BLOCK_BYTES / SECTOR_BYTES {
        let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        match mercy.how_many(versions.len()) {
            0 => {}
            nth => Arc::make_mut(&mut block)[range.clone()].copy_from_slice(&versions[nth - 1][range]),
        }
    }
    block
}
