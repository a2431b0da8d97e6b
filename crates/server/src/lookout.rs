//! Whether the data directory is still where it was.
//!
//! A file that is removed lives on for whoever has it open. A node whose directory was deleted, moved away or covered by a
//! mount would go on as if nothing had happened, and acknowledge what no start will find again. So its files are looked for
//! by their names as long as it runs. Once they are not there the log takes nothing any more, as after a write that failed,
//! and the node ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronos_env::{Env, Task};
use chronos_store::DataDir;
use tokio::sync::watch;

use crate::edge::Edge;

/// The directory is looked for this often: what was acknowledged since the last look is lost with it.
const LOOK: Duration = Duration::from_secs(1);

/// Looks as long as the node runs.
pub(crate) struct Lookout {
    stop: watch::Sender<bool>,
    task: Task<()>,
}

impl Lookout {
    /// Begins to look.
    pub(crate) fn keep(data: &Arc<DataDir>, edge: &Arc<Edge>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let looking = look(Arc::clone(data), Arc::clone(edge), stopped);
        Self { stop, task: edge.env.tasks.spawn("lookout", looking) }
    }

    /// Ends it; it holds nothing any more when this returns.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        // One that died looks no more, either.
        let _ = self.task.await;
    }
}

async fn look(data: Arc<DataDir>, edge: Arc<Edge>, mut stopped: watch::Receiver<bool>) {
    let env = edge.env.clone();
    let mut is_told = false;
    loop {
        tokio::select! {
            biased; // who ends looks no more
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = env.clock.sleep(LOOK) => {}
        }
        match missing(&env, &data).await {
            Ok(None) => is_told = false,
            Ok(Some(file)) => {
                if let Some(wal) = edge.wal() {
                    wal.poison(&lost(&data.path, &file));
                }
                return;
            }
            // It may be there all the same, and what cannot be written will say so.
            Err(error) if !is_told => {
                tracing::warn!(%error, "whether the data directory is still there cannot be found out");
                is_told = true;
            }
            Err(_) => {}
        }
    }
}

async fn missing(env: &Env, data: &Arc<DataDir>) -> io::Result<Option<PathBuf>> {
    let (disk, data) = (Arc::clone(&env.disk), Arc::clone(data));
    env.tasks.blocking(move || data.missing(disk.as_ref())).await
}

fn lost(dir: &Path, file: &Path) -> String {
    format!(
        "the data directory {} was deleted, moved or replaced while this node served it ({} is not there any more), and what \
         is written is found by no start: put it back where it was; if it is lost, a node of several begins with an empty \
         one and --join, one that was alone with a backup (chronos restore)",
        dir.display(),
        file.display()
    )
}
