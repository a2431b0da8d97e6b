//! Where the bytes of a file lie on its disk, as `filefrag -v` reports it.

use std::path::Path;

use crate::error::{Error, Result};
use crate::tool::FILEFRAG;

/// A run of blocks that is contiguous in the file and on the disk. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    logical: u64,
    physical: u64,
    bytes: u64,
}

/// What `filefrag` flags mean that the bytes are not, or not alone, at the place it says.
const UNKNOWN_PLACE: [&str; 7] =
    ["unknown_loc", "delalloc", "encoded", "encrypted", "inline", "not_aligned", "unwritten"];

/// The byte of the disk that holds byte `at` of `file`, which must be synced.
pub(crate) fn place_on_disk(file: &Path, at: u64) -> Result<u64> {
    let listed = FILEFRAG.on("-s -v", file)?;
    place(&listed, at).ok_or_else(|| {
        let why = "it is beyond the end, in a hole, or not written to the disk yet";
        Error::Unfit(format!("byte {at} of {} has no place on the disk: {why}", file.display()))
    })
}

fn place(listed: &str, at: u64) -> Option<u64> {
    let block = listed.lines().find_map(block_bytes)?;
    let extents = listed.lines().filter_map(|line| extent(line, block));
    let holder =
        extents.into_iter().find(|extent| (extent.logical..extent.logical + extent.bytes).contains(&at))?;
    Some(holder.physical + (at - holder.logical))
}

/// From `File size of F is 100000 (25 blocks of 4096 bytes)`.
fn block_bytes(line: &str) -> Option<u64> {
    let (_, sizes) = line.strip_prefix("File size of ")?.rsplit_once(" of ")?;
    sizes.strip_suffix(" bytes)")?.parse().ok()
}

/// From `   0:        0..      24:       8450..      8474:     25:             last,eof`; `None` for other lines and for
/// extents whose place is not known.
fn extent(line: &str, block: u64) -> Option<Extent> {
    let mut columns = line.split(':').map(str::trim);
    columns.next()?.parse::<u64>().ok()?;
    let start = |range: Option<&str>| range?.split_once("..")?.0.trim().parse::<u64>().ok();
    let (logical, physical) = (start(columns.next())?, start(columns.next())?);
    let blocks: u64 = columns.next()?.parse().ok()?;
    let mut flags = columns.next_back().unwrap_or_default().split(',');
    if flags.any(|flag| UNKNOWN_PLACE.contains(&flag)) {
        return None;
    }
    Some(Extent { logical: logical * block, physical: physical * block, bytes: blocks * block })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "Filesystem type is: ef53
File size of /m/a: b is 32000 (8 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       3:       8450..      8453:      4:            
   1:        4..       5:       9000..      9001:      2:       8454:
   2:        6..       7:          0..         1:      2:             last,unknown_loc,delalloc,eof
/m/a: b: 3 extents found
";

    #[test]
    fn a_byte_is_found_in_its_extent() {
        assert_eq!(place(LISTED, 0), Some(8450 * 4096));
        assert_eq!(place(LISTED, 4 * 4096 - 1), Some(8454 * 4096 - 1));
        assert_eq!(place(LISTED, 4 * 4096), Some(9000 * 4096));
        assert_eq!(place(LISTED, 5 * 4096 + 7), Some(9001 * 4096 + 7));
    }

    #[test]
    fn bytes_without_a_place_have_none() {
        assert_eq!(place(LISTED, 6 * 4096), None, "not written yet");
        assert_eq!(place(LISTED, 8 * 4096), None, "beyond the end");
        assert_eq!(place("Filesystem type is: ef53\n", 0), None);
    }

    #[test]
    fn the_size_of_blocks_is_read_whatever_the_file_is_called() {
        assert_eq!(block_bytes("File size of x of 7 bytes) is 9 (1 block of 1024 bytes)"), Some(1024));
    }

    #[test]
    fn unwritten_room_is_no_place_and_shared_room_is() {
        let line = |flags| {
            extent(&format!("   0:        0..       3:       10..      13:      4:             {flags}"), 1)
        };
        assert_eq!(line("last,unwritten,eof"), None);
        assert_eq!(line("last,eof"), Some(Extent { logical: 0, physical: 10, bytes: 4 }));
        assert_eq!(line("encoded"), None);
    }
}
