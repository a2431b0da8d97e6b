//! The files of a part as they are, for whoever copies them.

use crate::checked::read_whole;
use crate::fault::Fault;
use crate::meta::FileMeta;
use crate::part::Part;

/// One of the two files of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartFile {
    /// The events.
    Parquet,
    /// What finds them.
    Index,
}

impl Part {
    /// Which of its files has this name, and what the manifest says of it; `None` for a name of neither.
    pub fn named(&self, name: &str) -> Option<(PartFile, FileMeta)> {
        let meta = &self.meta;
        let files = [
            (meta.parquet_name(), PartFile::Parquet, meta.parquet),
            (meta.index_name(), PartFile::Index, meta.index),
        ];
        files.into_iter().find(|(own, ..)| own == name).map(|(_, file, meta)| (file, meta))
    }

    /// Fills `bytes` with the bytes of a file from `offset` on, even when its name is gone. They are not checked: whoever
    /// copies a file compares the hash of the whole with the one that [`named`](Part::named) gives.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the file ends before; [`Fault::Io`] when the system cannot read.
    pub fn copy(&self, file: PartFile, offset: u64, bytes: &mut [u8]) -> Result<(), Fault> {
        let (handle, path) = match file {
            PartFile::Parquet => self.parquet.handle(),
            PartFile::Index => self.index.handle(),
        };
        read_whole(handle.as_ref(), path, bytes, offset)
    }
}
