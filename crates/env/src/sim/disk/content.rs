//! The bytes of one file as sparse 4 KiB blocks. Blocks are shared between copies until written to, so that
//! remembering an old state of a file costs a pointer per block.
//!
//! Invariant: bytes of the last block beyond the length are zero; no block lies wholly beyond the length.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// What the page cache writes back at once.
pub(super) const BLOCK_BYTES: usize = 4096;
/// What a medium writes as a whole or not at all.
pub(super) const SECTOR_BYTES: usize = 512;
const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTOR_BYTES), "a block is torn between sectors");

pub(super) type Block = Arc<[u8; BLOCK_BYTES]>;

static ZEROS: LazyLock<Block> = LazyLock::new(|| Arc::new([0; BLOCK_BYTES]));

#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Blocks that take space; holes do not.
    pub(super) fn allocated(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn is_allocated(&self, number: u64) -> bool {
        self.blocks.contains_key(&number)
    }

    pub(super) fn block(&self, number: u64) -> Block {
        Arc::clone(self.blocks.get(&number).unwrap_or(&ZEROS))
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let wanted = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for piece in pieces(offset, wanted) {
            let target = &mut buf[piece.at..piece.at + piece.len];
            match self.blocks.get(&piece.block) {
                Some(block) => target.copy_from_slice(&block[piece.within..piece.within + piece.len]),
                None => target.fill(0),
            }
        }
        wanted
    }

    pub(super) fn write_at(&mut self, buf: &[u8], offset: u64) {
        for piece in pieces(offset, buf.len()) {
            let source = &buf[piece.at..piece.at + piece.len];
            let block = self.blocks.entry(piece.block).or_insert_with(|| Arc::clone(&ZEROS));
            // Files are pre-written with zeros, often: those share one block.
            if source == &ZEROS[..] {
                *block = Arc::clone(&ZEROS);
            } else {
                Arc::make_mut(block)[piece.within..piece.within + piece.len].copy_from_slice(source);
            }
        }
        if !buf.is_empty() {
            self.len = self.len.max(offset + buf.len() as u64);
        }
    }

    pub(super) fn set_block(&mut self, number: u64, block: Block) {
        self.blocks.insert(number, block);
    }

    /// Makes block `number` what it is in `other`, a hole included. The length stays.
    pub(super) fn copy_block(&mut self, number: u64, other: &Content) {
        match other.blocks.get(&number) {
            Some(block) => self.blocks.insert(number, Arc::clone(block)),
            None => self.blocks.remove(&number),
        };
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.len = len;
        self.blocks.split_off(&len.div_ceil(BLOCK_BYTES as u64));
        let within = (len % BLOCK_BYTES as u64) as usize;
        if within > 0
            && let Some(last) = self.blocks.get_mut(&block_of(len))
            && last[within..].iter().any(|byte| *byte != 0)
        {
            Arc::make_mut(last)[within..].fill(0);
        }
    }

    pub(super) fn flip_bit(&mut self, byte: u64, bit: u8) {
        if let Some(block) = self.blocks.get_mut(&block_of(byte)) {
            Arc::make_mut(block)[(byte % BLOCK_BYTES as u64) as usize] ^= 1 << bit;
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).expect("a simulated file fits into memory")];
        self.read_at(&mut bytes, 0);
        bytes
    }
}

pub(super) fn block_of(offset: u64) -> u64 {
    offset / BLOCK_BYTES as u64
}

/// The part of a byte range that lies in one block.
pub(super) struct Piece {
    pub(super) block: u64,
    /// Offset inside the block.
    pub(super) within: usize,
    /// Offset inside the range.
    pub(super) at: usize,
    pub(super) len: usize,
}

/// Splits `len` bytes from `offset` at block borders.
pub(super) fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        let from = offset + at as u64;
        let within = (from % BLOCK_BYTES as u64) as usize;
        let piece = Piece { block: block_of(from), within, at, len: (len - at).min(BLOCK_BYTES - within) };
        at += piece.len;
        Some(piece)
    })
}
