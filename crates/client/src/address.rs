//! Where servers are.

use chronos_domain::Invalid;
use tonic::transport::{Channel, Endpoint};

use crate::options::Options;

/// Largest message either way: an append is at most 8 MiB of events and their tables, a page 4 MiB and one event.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// The addresses of a comma-separated list of `host:port`.
pub(crate) fn list(addresses: &str) -> Result<Vec<String>, Invalid> {
    let addresses = addresses.split(',').map(str::trim).filter(|address| !address.is_empty());
    let addresses: Vec<String> =
        addresses.map(|address| address.strip_prefix("http://").unwrap_or(address).to_owned()).collect();
    if addresses.is_empty() {
        return Err(Invalid::new(
            "address",
            "is empty; give a host:port, or several with commas between them",
        ));
    }
    Ok(addresses)
}

/// A channel to each address of such a list.
pub(crate) fn channels(addresses: &str, options: &Options) -> Result<Vec<Channel>, Invalid> {
    list(addresses)?.iter().map(|address| channel(address, options)).collect()
}

/// A channel to an address. Nothing is connected before it is used.
pub(crate) fn channel(address: &str, options: &Options) -> Result<Channel, Invalid> {
    let invalid = |why: &str| {
        let give = "give host:port, such as 127.0.0.1:7400";
        Invalid::new("address", format!("{address:?} {why}; {give}"))
    };
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        return Err(invalid("has no port"));
    }
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|_| invalid("is no address"))?;
    Ok(endpoint
        .connect_timeout(options.connect_timeout)
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tcp_nodelay(true)
        .connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_a_comma_separated_list() {
        let count = |text: &str| channels(text, &Options::default()).map(|channels| channels.len());
        assert_eq!(count("127.0.0.1:7400"), Ok(1));
        assert_eq!(count("a:1, b:2 ,http://c:3,[::1]:4,"), Ok(4));
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_with_an_example() {
        for text in ["", ",", "localhost", "a:b", "a:70000", "a b:1"] {
            let invalid = channels(text, &Options::default()).map(drop).unwrap_err();
            assert!(invalid.to_string().contains("host:port"), "{text:?}: {invalid}");
        }
    }
}
