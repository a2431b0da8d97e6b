//! Wounds: places in a stopped node's directory that no longer hold what was written there.
//!
//! A place is chosen by what it is before it is chosen by where it is, so that the few bytes of votes and marks are hit as
//! surely as the many of events. Only what is needed is hit: spare segments, whose content nobody ever reads, are left
//! alone, as are the identity of the node and the lock, which are the business of [`super::stranger`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::frames::frames;
use crate::demo::dice::Dice;

/// What a place is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// An entry of a log, in a segment.
    Entry,
    /// A vote, in a segment.
    Vote,
    /// What a log says of itself, in a segment: how far it is committed, purged or cut.
    LogState,
    /// The header of a segment.
    SegmentHeader,
    /// How far a lane is synced (`flushed`), and where its newest segment begins (`rolled`).
    Mark,
    /// Which lanes there are (`LANES`).
    Lanes,
    /// Which parts a partition has (`MANIFEST` and its twin).
    Manifest,
    /// The events of a part (`.parquet`).
    Events,
    /// The indexes of a part: ids, entities and their heads (`.index`).
    Index,
}

impl Kind {
    /// Entries and events, which are most of what is kept, stand here more than once.
    const DRAWN: [Self; 12] = [
        Self::Entry,
        Self::Entry,
        Self::Vote,
        Self::LogState,
        Self::SegmentHeader,
        Self::Mark,
        Self::Lanes,
        Self::Manifest,
        Self::Events,
        Self::Events,
        Self::Index,
        Self::Index,
    ];

    /// Whether it is in the write-ahead log, which has few files.
    const fn is_of_the_log(self) -> bool {
        !matches!(self, Self::Manifest | Self::Events | Self::Index)
    }

    /// As people read it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Entry => "entries of the log",
            Self::Vote => "votes",
            Self::LogState => "commits, purges, truncations",
            Self::SegmentHeader => "headers of segments",
            Self::Mark => "flushed marks",
            Self::Lanes => "list of lanes",
            Self::Manifest => "manifests",
            Self::Events => "events of parts",
            Self::Index => "indexes and heads of parts",
        }
    }
}

/// What is done to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Blow {
    /// One bit is turned.
    Flip,
    /// A block becomes zeros.
    Zero,
    /// The file ends there.
    Truncate,
    /// The file is gone.
    Delete,
}

impl Blow {
    const DRAWN: [Self; 10] = [
        Self::Flip,
        Self::Flip,
        Self::Flip,
        Self::Flip,
        Self::Flip,
        Self::Zero,
        Self::Zero,
        Self::Zero,
        Self::Truncate,
        Self::Delete,
    ];
}

/// One place that was damaged.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Wound {
    pub(crate) kind: Kind,
    pub(crate) blow: Blow,
    /// Below the data directory.
    pub(crate) file: PathBuf,
    pub(crate) at: u64,
}

/// A stretch of a file.
#[derive(Clone, Debug)]
struct Place {
    file: PathBuf,
    from: u64,
    bytes: u64,
}

/// Zeroed at once, at most: a sector, a page, a cluster of a file system.
const BLOCKS: [u64; 3] = [64, 512, 4096];

/// Tries for one wound, of which the most fail only when nothing is left to be hurt.
const TRIES_MAX: usize = 10_000;

/// Damages so many places below `data`. Fewer only when nothing is left to be damaged.
pub(crate) fn inflict(data: &Path, places: usize, dice: &mut Dice) -> io::Result<Vec<Wound>> {
    let map = survey(data)?;
    let mut wounds = Vec::new();
    for _ in 0..TRIES_MAX {
        if wounds.len() == places {
            break;
        }
        let kind = dice.pick(&Kind::DRAWN);
        let Some(of_kind) = map.get(&kind) else { continue };
        let place = &of_kind[dice.below(of_kind.len() as u64) as usize];
        let blow = dice.pick(&Blow::DRAWN);
        // A log of which nothing is left keeps the node from starting, which is another act; and of few files that are all
        // gone, no other place could be hurt.
        let is_cut =
            |wound: &Wound| wound.kind.is_of_the_log() && !matches!(wound.blow, Blow::Flip | Blow::Zero);
        let would_cut = kind.is_of_the_log() && !matches!(blow, Blow::Flip | Blow::Zero);
        if would_cut && wounds.iter().any(is_cut) {
            continue;
        }
        if let Some(at) = strike(data, place, blow, dice)? {
            wounds.push(Wound { kind, blow, file: place.file.clone(), at });
        }
    }
    Ok(wounds)
}

/// Does it somewhere in the stretch, and says where; `None` when nothing would change.
fn strike(data: &Path, place: &Place, blow: Blow, dice: &mut Dice) -> io::Result<Option<u64>> {
    let path = data.join(&place.file);
    let Ok(file) = File::options().read(true).write(true).open(&path) else { return Ok(None) };
    let len = file.metadata()?.len();
    let at = place.from + dice.below(place.bytes);
    if at >= len {
        return Ok(None);
    }
    let changed = match blow {
        Blow::Flip => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            byte[0] ^= 1 << dice.below(8);
            file.write_all_at(&byte, at)?;
            true
        }
        Blow::Zero => {
            let block = dice.pick(&BLOCKS);
            zero(&file, at / block * block, block.min(len - at / block * block))?
        }
        Blow::Truncate => {
            file.set_len(at)?;
            true
        }
        Blow::Delete => {
            fs::remove_file(&path)?;
            true
        }
    };
    Ok(changed.then_some(at))
}

/// Whether anything was there.
fn zero(file: &File, from: u64, bytes: u64) -> io::Result<bool> {
    let mut block = vec![0; bytes as usize];
    file.read_exact_at(&mut block, from)?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(false);
    }
    block.fill(0);
    file.write_all_at(&block, from)?;
    Ok(true)
}

/// Everything that can be hurt.
fn survey(data: &Path) -> io::Result<BTreeMap<Kind, Vec<Place>>> {
    let mut map: BTreeMap<Kind, Vec<Place>> = BTreeMap::new();
    for file in files_below(data)? {
        let path = data.join(&file);
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let whole = |kind| -> io::Result<_> {
            let bytes = fs::metadata(&path)?.len();
            Ok(vec![(kind, Place { file: file.clone(), from: 0, bytes })])
        };
        let found = match name {
            "LANES" => whole(Kind::Lanes)?,
            "flushed" | "rolled" => whole(Kind::Mark)?,
            "MANIFEST" | "MANIFEST.previous" => whole(Kind::Manifest)?,
            _ if name.ends_with(".parquet") => whole(Kind::Events)?,
            _ if name.ends_with(".index") => whole(Kind::Index)?,
            _ if name.ends_with(".seg") => frames(&fs::read(&path)?)
                .into_iter()
                .map(|(kind, from, bytes)| (kind, Place { file: file.clone(), from, bytes }))
                .collect(),
            _ => Vec::new(),
        };
        for (kind, place) in found.into_iter().filter(|(_, place)| place.bytes > 0) {
            map.entry(kind).or_default().push(place);
        }
    }
    Ok(map)
}

/// All files, in one order everywhere, so that a seed names places.
fn files_below(data: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut dirs) = (Vec::new(), vec![data.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                dirs.push(entry.path());
            } else if let Ok(below) = entry.path().strip_prefix(data) {
                files.push(below.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wound_changes_what_was_there_and_a_seed_names_its_places() {
        let fill = || {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir_all(home.path().join("parts/07")).unwrap();
            fs::create_dir_all(home.path().join("wal/lane-00")).unwrap();
            for (name, bytes) in
                [("parts/07/MANIFEST", 900), ("parts/07/a.index", 5000), ("parts/07/a.parquet", 90_000)]
            {
                fs::write(home.path().join(name), vec![7; bytes]).unwrap();
            }
            fs::write(home.path().join("wal/lane-00/flushed"), vec![1; 8192]).unwrap();
            fs::write(home.path().join("wal/lane-00/spare-000001.tmp"), vec![0; 512]).unwrap();
            fs::write(home.path().join("IDENTITY"), vec![3; 64]).unwrap();
            home
        };
        let (one, two) = (fill(), fill());
        let hurt = |home: &Path| {
            let before: Vec<_> = files_below(home).unwrap();
            let wounds = inflict(home, 1, &mut Dice::new(5)).unwrap();
            assert_eq!(wounds.len(), 1);
            assert!(before.contains(&wounds[0].file));
            format!("{wounds:?}")
        };
        assert_eq!(hurt(one.path()), hurt(two.path()));
        let wounds = inflict(one.path(), 300, &mut Dice::new(6)).unwrap();
        assert!(wounds.iter().all(|wound| {
            !wound.file.ends_with("IDENTITY") && wound.file.extension().is_none_or(|it| it != "tmp")
        }));
        let kinds: std::collections::BTreeSet<_> = wounds.iter().map(|wound| wound.kind).collect();
        assert!(kinds.len() >= 3, "{kinds:?}");
    }
}
