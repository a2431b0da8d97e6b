//! The port for other nodes, taken before anybody is let in.

use std::net::SocketAddr;

use chronos_env::{Env, Listener};

use super::security::Guard;
use super::serve::ACCEPT_AGAIN;
use super::{Security, StartError};

/// A port at which other nodes will be listened for: whoever comes waits until [`Peers::start_at`](super::Peers::start_at).
/// A node takes it early, so that it can say where it will be found before it is anybody.
pub struct Port {
    pub(super) listener: Listener,
    address: SocketAddr,
}

impl Port {
    /// Takes the port `on` (`host:port`; port 0 takes a free one).
    ///
    /// # Errors
    /// [`StartError`]: the port cannot be had, or nodes may not talk there as configured.
    pub async fn open(env: &Env, on: &str, security: &Security) -> Result<Port, StartError> {
        // A name tells nothing about where it leads: the address that was taken does.
        let listener = env.net.listen(on).await?;
        let address = listener.local_addr()?;
        Guard::new(security, env)?.may_listen(address)?;
        Ok(Port { listener, address })
    }

    /// Hangs up on whoever comes, as long as this is polled: so others know at once that nobody can be asked here yet.
    pub async fn nobody_yet(&self, env: &Env) {
        loop {
            // What cannot be accepted is tried again: nobody depends on it.
            if self.listener.accept().await.is_err() {
                env.clock.sleep(ACCEPT_AGAIN).await;
            }
        }
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Port at {}", self.address)
    }
}
