//! A cluster of real processes, attacked by the same plan as a simulated one.
//!
//! Every node is the product's own binary. As root it has a network namespace, a disk (an ext4 image), a control group and a
//! clock of its own, so that everything [`chronos_inject`] knows can be done to it; otherwise an address of loopback and a
//! plain directory. What this machine cannot do is named before the run begins, and counted as not run, never as survived.
//!
//! Invariants: whatever was made on the machine is gone when [`run`] returns, and after a run that was killed when the next
//! one begins; a history is judged as one of the simulation is.

mod binary;
mod cluster;
mod figures;
mod life;
mod place;
mod report;
mod run;
mod seat;
mod settings;
mod standing;
mod strike;

pub use binary::binary;
pub use figures::{Figures, Pace, Spread};
pub use report::Report;
pub use run::run;
pub use settings::{Look, NodeLook, Settings, Watch};
pub use standing::{Rounded, Standing};

use std::error::Error;

/// Why something could not be done at all.
pub type Problem = Box<dyn Error + Send + Sync>;

/// Does something that blocks, on a thread that may.
#[expect(clippy::disallowed_methods, reason = "what is done to the machine blocks, and nobody simulates it")]
async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(act).await {
        Ok(done) => done,
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}
