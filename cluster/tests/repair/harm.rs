//! What happens to files on a machine that is off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_env::Entropy;
use chronos_env::sim::{Host, SimDisk, World};

use crate::node::{Node, append, converge, three};

/// Files that hold something, each with the end of it.
fn files(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let files = disk
        .snapshot()
        .into_iter()
        .filter(|(path, _)| path.starts_with("/data") && path.extension().is_none_or(|end| end != "tmp"));
    let used = files.map(|(path, bytes)| {
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        (path, (bytes.len() - zeros) as u64)
    });
    used.filter(|(_, used)| *used > 0).collect()
}

/// Damages so many random places: bits flip anywhere, now and then a file is cut or lost.
pub(crate) fn strike(disk: &SimDisk, dice: &Entropy, places: u64) -> Vec<String> {
    (0..places).filter_map(|_| strike_once(disk, dice)).collect()
}

fn strike_once(disk: &SimDisk, dice: &Entropy) -> Option<String> {
    let files = files(disk);
    let (path, used) = files.get(dice.below(files.len().max(1) as u64) as usize)?;
    let at = dice.below(*used);
    // A node of whose log nothing is left is not started at all (`OpenError::LogMissing`).
    let is_last_of_log = is_log(path) && files.iter().filter(|(path, _)| is_log(path)).count() == 1;
    let what = match dice.below(12) {
        0 if !is_last_of_log => {
            disk.damage_remove(path).unwrap();
            "lost".to_owned()
        }
        1 => {
            disk.damage_truncate(path, at).unwrap();
            format!("cut at {at}")
        }
        _ => {
            disk.flip_bit(path, at, dice.below(8) as u8).unwrap();
            format!("bit at {at}")
        }
    };
    Some(format!("{}: {what}", path.display()))
}

fn is_log(path: &Path) -> bool {
    path.starts_with("/data/wal")
}

/// Flips a bit in every file whose name ends so.
pub(crate) fn spoil(disk: &SimDisk, ending: &str) -> usize {
    let files: Vec<_> =
        files(disk).into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(ending)).collect();
    files.iter().for_each(|(path, used)| disk.flip_bit(path, used / 2, 1).unwrap());
    files.len()
}

/// Takes everything of the write-ahead log away that was written last: what a disk may do that forgets.
pub(crate) fn remove_wal(disk: &SimDisk) {
    for (path, _) in files(disk) {
        if is_log(&path) && path.extension().is_some_and(|end| end == "seg") {
            disk.damage_remove(&path).unwrap();
        }
    }
}

/// Leaves nothing that tells what there was: of the log a stump without marks, and parts that nobody names.
pub(crate) fn make_forget(disk: &SimDisk) {
    for (path, used) in files(disk) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            "flushed" | "LANES" => disk.damage_truncate(&path, 0).unwrap(),
            _ if name.ends_with(".seg") => disk.damage_truncate(&path, 100).unwrap(),
            _ if name.starts_with("MANIFEST") => disk.flip_bit(&path, used / 2, 1).unwrap(),
            _ => {}
        }
    }
}

/// What a machine has on its disk.
pub(crate) type Image = BTreeMap<PathBuf, Vec<u8>>;

/// Takes an image of a machine's disk.
pub(crate) fn image_of(disk: &SimDisk) -> Image {
    disk.snapshot().into_iter().filter(|(path, _)| path.starts_with("/data")).collect()
}

/// Sets a machine back to an earlier image of its disk: everything on it is whole, and old.
pub(crate) fn set_back(host: &Host, to: &Image) {
    let (disk, machine) = (host.disk(), host.env().disk);
    for path in image_of(&disk).into_keys().filter(|path| !to.contains_key(path)) {
        disk.damage_remove(&path).unwrap();
    }
    for (path, bytes) in to {
        machine.create_dir_all(path.parent().unwrap()).unwrap();
        machine.write_atomic(path, bytes).unwrap();
    }
}

/// The first and the second have acknowledged the events from 30 to 60 while the third was away. Then one of the two is killed,
/// and set back to an image of before. The other one, which is alone now.
pub(crate) async fn one_of_two_is_set_back(world: &World, number: u64) -> Node {
    let [first, second, third] = three(world, 30).await;
    let host = world.host(&format!("n{number}"));
    let image = image_of(&host.disk());
    third.kill();
    let pair = [first, second];
    append(&pair, 30..60).await;
    converge(&pair, 60).await;
    // Whatever a heartbeat says, of what is on whose disk, has been heard.
    pair[0].env.clock.sleep(Duration::from_secs(1)).await;
    let [first, second] = pair;
    let (killed, other) = if number == first.number { (first, second) } else { (second, first) };
    killed.kill();
    set_back(&host, &image);
    other
}
