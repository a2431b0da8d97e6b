//! An open file of a simulated disk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::content::pieces;
use super::inode::{Image, Inode};
use super::{Op, SimDisk, State};
use crate::{File, OpenMode};

pub(super) struct SimFile {
    disk: SimDisk,
    inode: Arc<Inode>,
    mode: OpenMode,
    /// The disk's life in which it was opened: it dies with it.
    life: u64,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, inode: Arc<Inode>, mode: OpenMode, life: u64) -> SimFile {
        SimFile { disk, inode, mode, life }
    }

    fn perform<T>(
        &self,
        name: &'static str,
        args: &[u64],
        call: impl FnOnce(&mut State, &Inode) -> io::Result<T>,
    ) -> io::Result<T> {
        // The name of now, not the one it was opened under: tests aim faults at names that exist.
        let path = self.inode.image().path.clone();
        self.disk.perform(&Op { name, path: &path, args }, Some(self.life), |state| call(state, &self.inode))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.perform("read", &[offset, buf.len() as u64], |state, inode| {
            let image = inode.image();
            if state.faults.read_fails(&image.path.to_string_lossy()) {
                return Err(Errno::IO.into());
            }
            Ok(image.live().read_at(buf, offset))
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let args = [offset, buf.len() as u64, u64::from(crc32fast::hash(buf))];
        self.perform("write", &args, |state, inode| {
            if self.mode == OpenMode::Read {
                return Err(Errno::BADF.into());
            }
            state.writable()?;
            write(state, inode, buf, offset)
        })
    }

    fn owes(&self) -> Duration {
        self.disk.sync_takes()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.perform("sync", &[], |state, inode| {
            let mut image = inode.image();
            if state.faults.sync_fails(&image.path.to_string_lossy()) {
                image.drop_dirty();
                return Err(Errno::IO.into());
            }
            if !state.faults.lies() {
                image.sync();
            }
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.perform("truncate", &[len], |state, inode| {
            if self.mode == OpenMode::Read {
                return Err(Errno::INVAL.into());
            }
            state.writable()?;
            inode.image().truncate(len);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.perform("measure", &[], |_, inode| Ok(inode.image().live().len()))
    }

    fn has_name(&self) -> io::Result<bool> {
        self.perform("count the names of", &[], |state, inode| {
            let path = inode.image().path.clone();
            Ok(state.names.leads_to(&path, inode.id()))
        })
    }
}

fn write(state: &mut State, inode: &Inode, buf: &[u8], offset: u64) -> io::Result<()> {
    let path = inode.image().path.to_string_lossy().into_owned();
    if state.faults.write_fails(&path) {
        return Err(Errno::IO.into());
    }
    let offset = state.faults.write_lands_at(&path).unwrap_or(offset);
    if offset.checked_add(buf.len() as u64).is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(Errno::INVAL.into());
    }
    let left = state.blocks_left();
    let mut image = inode.image();
    let fits = bytes_that_fit(&image, left, offset, buf.len());
    image.write_at(&buf[..fits], offset);
    if state.bytes_per_second.is_some() {
        state.bytes_owed += fits as u64;
    }
    if fits == buf.len() { Ok(()) } else { Err(Errno::NOSPC.into()) }
}

/// How much of a write of `len` bytes there is room for, with `blocks_left` to allocate.
fn bytes_that_fit(image: &Image, blocks_left: Option<u64>, offset: u64, len: usize) -> usize {
    let Some(mut left) = blocks_left else { return len };
    for piece in pieces(offset, len) {
        if image.live().is_allocated(piece.block) {
            continue;
        }
        if left == 0 {
            return piece.at;
        }
        left -= 1;
    }
    len
}
