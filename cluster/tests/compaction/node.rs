//! The groups of one node and the log below them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_cluster::{CompactError, Config, Groups, ScrubConfig};
use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_env::sim::World;
use chronos_store::CutLimits;
use chronos_wal::Wal;

pub(crate) const WAL: &str = "/data/wal";
pub(crate) const PARTS: &str = "/data/parts";
pub(crate) const SEGMENT_BYTES: u64 = 128 << 10;
/// Far beyond anything a healthy node needs of virtual time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Node {
    pub(crate) env: Env,
    pub(crate) groups: Groups,
    pub(crate) wal: Wal,
}

/// Generations of a dozen events, so that eight of them come soon.
pub(crate) fn config() -> Config {
    let store = chronos_store::Config::new(PathBuf::from(PARTS), 7);
    let cuts = CutLimits { events: 12, bytes: 6_000 };
    let store = chronos_store::Config { cuts, cache_bytes: 16 << 10, ..store };
    // Looking for damage has tests of its own.
    let scrub = ScrubConfig { background: false, ..ScrubConfig::default() };
    Config { scrub, ..Config::new(store) }
}

impl Node {
    pub(crate) async fn start(world: &World) -> Result<Node, String> {
        Node::start_with(world, config()).await
    }

    pub(crate) async fn start_with(world: &World, config: Config) -> Result<Node, String> {
        let env = world.env();
        let log = chronos_wal::Config {
            segment_bytes: SEGMENT_BYTES,
            ..chronos_wal::Config::new(PathBuf::from(WAL), 7)
        };
        let (wal, _) = Wal::open(&env, log).map_err(|error| error.to_string())?;
        let groups = Groups::start(&env, &wal, &config).await;
        Ok(Node { env, groups, wal })
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.env.clock.monotonic() + PATIENCE
    }

    /// Compacts every partition now.
    pub(crate) async fn compact(&self) -> Result<(), CompactError> {
        let all: Vec<_> = PartitionId::all().collect();
        self.groups.compact(&all, self.deadline()).await
    }

    pub(crate) async fn stop(self) {
        self.groups.stop().await;
        drop(self.groups);
        self.wal.close().await;
    }
}

pub(crate) fn world(seed: u64) -> World {
    let world = World::new(seed);
    world.env().disk.create_dir_all(Path::new("/data")).unwrap();
    world.env().disk.sync_dir(Path::new("/")).unwrap();
    world
}

/// Segment files of the log, spares included.
pub(crate) fn segment_files(world: &World) -> usize {
    let is_segment = |(path, len): &(PathBuf, u64)| path.starts_with(WAL) && *len == SEGMENT_BYTES;
    world.disk().files().iter().filter(|file| is_segment(file)).count()
}

/// Fails when a directory of parts holds a file that its manifest does not name, or lacks one.
pub(crate) fn check_files(world: &World, groups: &Groups) {
    let there: BTreeSet<PathBuf> = world
        .disk()
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with(PARTS))
        .collect();
    let mut named = BTreeSet::new();
    for id in PartitionId::all() {
        let manifest = groups.partition(id).expect("every partition is served").shelf().manifest.clone();
        let dir = Path::new(PARTS).join(format!("p{:02}", id.get()));
        let files = manifest.parts.iter().flat_map(|part| [part.parquet_name(), part.index_name()]);
        let manifests = ["MANIFEST", "MANIFEST.previous"].map(str::to_owned);
        let manifests = (manifest.sequence > 0).then_some(manifests).into_iter().flatten();
        named.extend(files.chain(manifests).map(|name| dir.join(name)));
    }
    let leaked: Vec<_> = there.difference(&named).collect();
    let lost: Vec<_> = named.difference(&there).collect();
    assert!(leaked.is_empty() && lost.is_empty(), "leaked {leaked:?}, lost {lost:?}");
}
