//! TCP as the machine has it.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};

/// A silent connection is probed after so long, then every [`PROBE_EVERY`], and given up after [`PROBES`].
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// Bytes that were sent and not acknowledged for so long end the connection; the system alone would take 15 minutes.
const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

pub(super) async fn listen(on: &str) -> io::Result<TcpListener> {
    TcpListener::bind(on).await
}

pub(super) async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    prepare(&stream)?;
    Ok(stream)
}

#[expect(clippy::disallowed_methods, reason = "the network waits on the machine's own clock")]
pub(super) async fn connect(to: &str, timeout: Duration) -> io::Result<TcpStream> {
    let stream = match tokio::time::timeout(timeout, TcpStream::connect(to)).await {
        Ok(connected) => connected?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {timeout:?}"))),
    };
    prepare(&stream)?;
    Ok(stream)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS_MAX)?;
    Ok(())
}
