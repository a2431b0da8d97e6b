use super::*;

fn directory_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
    dir
}

#[test]
fn a_file_is_cut_and_never_made_longer() {
    let dir = directory_with(&[("a", b"0123456789")]);
    let file = dir.path().join("a");
    truncate_file(&file, 4).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"0123");
    assert!(truncate_file(&file, 4).is_err());
    truncate_file(&file, 0).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn a_torn_tail_keeps_its_length_and_loses_its_bytes() {
    let dir = directory_with(&[("a", b"0123456789")]);
    let file = dir.path().join("a");
    zero_tail(&file, 3).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"0123456\0\0\0");
    assert!(zero_tail(&file, 11).is_err());
}

#[test]
fn two_files_trade_places() {
    let dir = directory_with(&[("a", b"of a"), ("b", b"of b")]);
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    swap_files(&a, &b).unwrap();
    assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"of b".to_vec(), b"of a".to_vec()));
    assert!(swap_files(&a, &dir.path().join("c")).is_err());
}

#[test]
fn two_blocks_trade_places_unless_nothing_would_change() {
    let dir = directory_with(&[("a", b"aabbaacc")]);
    let file = dir.path().join("a");
    swap_blocks(&file, 2, 1, 3).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"aaccaabb");
    assert!(swap_blocks(&file, 2, 0, 2).unwrap_err().to_string().ends_with("they are equal"));
    assert!(swap_blocks(&file, 2, 0, 4).is_err());
}

#[test]
fn a_stranger_follows_from_the_seed_and_replaces_nobody() {
    let dir = directory_with(&[("known", b"")]);
    let add = |name, seed| add_stranger(dir.path(), name, 100, &mut Dice::new(seed));
    let (one, same, other) = (add("x", 1).unwrap(), add("y", 1).unwrap(), add("z", 2).unwrap());
    assert_eq!(fs::read(&one).unwrap().len(), 100);
    assert_eq!(fs::read(&one).unwrap(), fs::read(same).unwrap());
    assert_ne!(fs::read(&one).unwrap(), fs::read(other).unwrap());
    assert!(add("known", 1).is_err());
}

#[test]
fn a_restored_directory_is_what_it_was() {
    let dir = directory_with(&[("a", b"old"), (".hidden", b"h")]);
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/b"), b"deep").unwrap();
    let place = tempfile::tempdir().unwrap();
    let copied = Copied::take(dir.path(), &place.path().join("copy")).unwrap();
    fs::write(dir.path().join("a"), b"new").unwrap();
    fs::write(dir.path().join("later"), b"l").unwrap();
    remove_file(&dir.path().join("sub/b")).unwrap();
    copied.restore(dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"old");
    assert_eq!(fs::read(dir.path().join("sub/b")).unwrap(), b"deep");
    assert_eq!(fs::read(dir.path().join(".hidden")).unwrap(), b"h");
    assert!(!dir.path().join("later").exists());
}

#[test]
fn a_wiped_directory_is_empty_and_still_there() {
    let dir = directory_with(&[("a", b"1"), (".b", b"2")]);
    wipe(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(wipe(&dir.path().join("nowhere")).is_err());
}
