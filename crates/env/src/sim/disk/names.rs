//! Directories: the names readers see, the names on the medium, and the changes in between.
//!
//! A change (create, rename, remove) sets one or two *slots* (a name in a directory) and becomes durable as a
//! whole. Changes to one slot become durable in their order; changes that share no slot in any order. So a power
//! cut can lose the older of two creations and keep the younger, but never half a rename.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::inode::Inode;
use super::mercy::Mercy;
use crate::{Entry, EntryKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirId(u64);

const ROOT: DirId = DirId(0);

#[derive(Clone)]
pub(super) enum Node {
    File(Arc<Inode>),
    Dir(DirId),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    dir: DirId,
    name: String,
}

type Tree = BTreeMap<DirId, BTreeMap<String, Node>>;
type Change = Vec<(Slot, Option<Node>)>;

pub(super) struct Names {
    live: Tree,
    durable: Tree,
    pending: Vec<Change>,
    next_id: u64,
}

impl Names {
    pub(super) fn new() -> Names {
        let root = Tree::from([(ROOT, BTreeMap::new())]);
        Names { live: root.clone(), durable: root, pending: Vec::new(), next_id: ROOT.0 + 1 }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        walk(&self.live, path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(walk(&self.live, path)?.is_some())
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<Arc<Inode>> {
        match self.find(path)? {
            Node::File(inode) => Ok(inode),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Whether that is the file of this id. What is no file, or not there, is not.
    pub(super) fn leads_to(&self, path: &Path, id: u64) -> bool {
        self.file(path).is_ok_and(|inode| inode.id() == id)
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        let slot = self.slot(path)?;
        if self.get(&slot).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Inode::new(self.new_id(), path.to_owned());
        self.change(vec![(slot, Some(Node::File(Arc::clone(&inode))))]);
        Ok(inode)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut above: Vec<_> = path.ancestors().filter(|dir| dir.parent().is_some()).collect();
        while let Some(dir) = above.pop() {
            let slot = self.slot(dir)?;
            match self.get(&slot) {
                Some(Node::Dir(_)) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let id = DirId(self.new_id());
                    self.live.insert(id, BTreeMap::new());
                    self.durable.insert(id, BTreeMap::new());
                    self.change(vec![(slot, Some(Node::Dir(id)))]);
                }
            }
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (source, target) = (self.slot(from)?, self.slot(to)?);
        if source == target {
            return Ok(());
        }
        if to.starts_with(from) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a directory cannot move into itself"));
        }
        match (&node, self.get(&target)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::File(_), Some(Node::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Dir(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Dir(_), Some(Node::Dir(_))) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
        self.change(vec![(source, None), (target, Some(node.clone()))]);
        self.tell_paths(&node, to);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let slot = self.slot(path)?;
        if let Node::Dir(id) = self.find(path)?
            && !self.live[&id].is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(vec![(slot, None)]);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entries = self.live[&self.dir(path)?].iter();
        Ok(entries.map(|(name, node)| describe(name.clone(), node)).collect())
    }

    /// Makes every pending change in `dir` durable, and those they build on.
    pub(super) fn sync(&mut self, dir: &Path) -> io::Result<()> {
        let dir = self.dir(dir)?;
        let mut needed = BTreeSet::new();
        let (mut due, mut waiting) = (Vec::new(), Vec::new());
        // Youngest first: what a due change builds on is older than it.
        for change in self.pending.drain(..).rev() {
            if change.iter().any(|(slot, _)| slot.dir == dir || needed.contains(slot)) {
                needed.extend(change.iter().map(|(slot, _)| slot.clone()));
                due.push(change);
            } else {
                waiting.push(change);
            }
        }
        waiting.reverse();
        self.pending = waiting;
        due.into_iter().rev().for_each(|change| apply(&mut self.durable, change));
        Ok(())
    }

    /// The power goes: `mercy` decides which pending changes, and what of each file, had reached the medium; readers
    /// then see the medium.
    pub(super) fn power_cut(&mut self, mercy: &Mercy) {
        self.inodes().values().for_each(|inode| inode.image().power_cut(mercy));
        let mut broken = BTreeSet::new();
        for change in std::mem::take(&mut self.pending) {
            let stands = change.iter().all(|(slot, _)| !broken.contains(slot));
            if stands && mercy.spares() {
                apply(&mut self.durable, change);
            } else {
                broken.extend(change.into_iter().map(|(slot, _)| slot));
            }
        }
        self.show_durable();
    }

    /// A deep copy of what is on the medium.
    pub(super) fn fork(&self) -> Names {
        let mut durable = self.durable.clone();
        for node in durable.values_mut().flat_map(BTreeMap::values_mut) {
            if let Node::File(inode) = node {
                *inode = inode.fork();
            }
        }
        let mut fork = Names { live: Tree::new(), durable, pending: Vec::new(), next_id: self.next_id };
        fork.show_durable();
        fork
    }

    /// Takes a name away behind the cache's back, from the medium too, with everything below it.
    pub(super) fn damage_remove(&mut self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        let slot = self.slot(path)?;
        self.pending.retain(|change| change.iter().all(|(changed, _)| *changed != slot));
        for tree in [&mut self.live, &mut self.durable] {
            apply(tree, vec![(slot.clone(), None)]);
        }
        Ok(())
    }

    /// Every file that readers see, by path.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Arc<Inode>> {
        files_below(&self.live)
    }

    /// Every file that has a durable name, by that name.
    pub(super) fn durable_files(&self) -> BTreeMap<PathBuf, Arc<Inode>> {
        files_below(&self.durable)
    }

    /// Every file that has a name or may get one back by a power cut, by id.
    fn inodes(&self) -> BTreeMap<u64, Arc<Inode>> {
        let named = self.live.values().chain(self.durable.values()).flat_map(BTreeMap::values);
        let changing = self.pending.iter().flatten().filter_map(|(_, node)| node.as_ref());
        let files = named.chain(changing).filter_map(|node| match node {
            Node::File(inode) => Some((inode.id(), Arc::clone(inode))),
            Node::Dir(_) => None,
        });
        files.collect()
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn dir(&self, path: &Path) -> io::Result<DirId> {
        match self.find(path)? {
            Node::Dir(id) => Ok(id),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn slot(&self, path: &Path) -> io::Result<Slot> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root has no name"));
        };
        let name = name.to_str().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a simulated disk takes names in UTF-8 only")
        })?;
        Ok(Slot { dir: self.dir(parent)?, name: name.to_owned() })
    }

    fn get(&self, slot: &Slot) -> Option<&Node> {
        self.live[&slot.dir].get(&slot.name)
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.live, change.clone());
        self.pending.push(change);
    }

    /// A directory whose own name was lost takes its files with it: they are in the tree, but no path leads there.
    fn show_durable(&mut self) {
        self.live = self.durable.clone();
        for (path, inode) in self.files() {
            inode.image().path = path;
        }
    }

    fn tell_paths(&self, node: &Node, path: &Path) {
        match node {
            Node::File(inode) => path.clone_into(&mut inode.image().path),
            Node::Dir(id) => {
                for (name, node) in &self.live[id] {
                    self.tell_paths(node, &path.join(name));
                }
            }
        }
    }
}

fn walk(tree: &Tree, path: &Path) -> io::Result<Option<Node>> {
    let mut node = Node::Dir(ROOT);
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        let Node::Dir(dir) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
        match name.to_str().and_then(|name| tree[&dir].get(name)) {
            Some(next) => node = next.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

fn apply(tree: &mut Tree, change: Change) {
    for (slot, node) in change {
        let dir = tree.get_mut(&slot.dir).expect("a slot names a directory that was made");
        match node {
            Some(node) => dir.insert(slot.name, node),
            None => dir.remove(&slot.name),
        };
    }
}

fn files_below(tree: &Tree) -> BTreeMap<PathBuf, Arc<Inode>> {
    let mut files = BTreeMap::new();
    let mut next = vec![(PathBuf::from("/"), ROOT)];
    while let Some((path, dir)) = next.pop() {
        for (name, node) in &tree[&dir] {
            match node {
                Node::File(inode) => drop(files.insert(path.join(name), Arc::clone(inode))),
                Node::Dir(id) => next.push((path.join(name), *id)),
            }
        }
    }
    files
}

fn describe(name: String, node: &Node) -> Entry {
    match node {
        Node::File(inode) => Entry { name, kind: EntryKind::File, len: inode.image().live().len() },
        Node::Dir(_) => Entry { name, kind: EntryKind::Dir, len: 0 },
    }
}
