//! The TCP connections that are open in a place, as `/proc/net/tcp` and `/proc/net/tcp6` list them.

use std::net::{Ipv4Addr, SocketAddrV4};

/// How the kernel numbers the state of a connection that both sides agreed on.
const ESTABLISHED: &str = "01";

/// Own and other end of each open connection.
pub(super) fn open_connections(listed: &str) -> Vec<(SocketAddrV4, SocketAddrV4)> {
    listed.lines().filter_map(connection).collect()
}

fn connection(line: &str) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let mut columns = line.split_whitespace().skip(1);
    let (own, other) = (end(columns.next()?)?, end(columns.next()?)?);
    (columns.next()? == ESTABLISHED).then_some((own, other))
}

/// How `tcp6` writes what comes before an IPv4 address, on a machine of either byte order.
const MAPPED: [&str; 2] = ["0000000000000000FFFF0000", "00000000000000000000FFFF"];

/// From `0100007F:1F90`: an address in the byte order of the machine, and a port. A socket that takes both families has its
/// IPv4 connections among those of IPv6.
fn end(column: &str) -> Option<SocketAddrV4> {
    let (address, port) = column.split_once(':')?;
    let address = MAPPED.iter().find_map(|prefix| address.strip_prefix(prefix)).unwrap_or(address);
    if address.len() != 8 {
        return None;
    }
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn open_connections_are_read_and_listeners_are_not() {
        let listed = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n   \
            0: 010012C6:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n   \
            1: 010012C6:9C40 020012C6:0007 01 00000000:00000000 02:000A7214 00000000     0        0 2 2\n";
        let expected = ("198.18.0.1:40000".parse().unwrap(), "198.18.0.2:7".parse().unwrap());
        assert_eq!(open_connections(listed), [expected]);
    }

    #[test]
    fn the_connections_of_this_process_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listed = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        assert!(open_connections(&listed).contains(&ends(&near)));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_connection_to_a_socket_of_both_families_is_found() {
        let line =
            "   0: 0000000000000000FFFF0000020012C6:0007 0000000000000000FFFF0000010012C6:9C40 01 0:0\n";
        let expected = ("198.18.0.2:7".parse().unwrap(), "198.18.0.1:40000".parse().unwrap());
        assert_eq!(open_connections(line), [expected]);
        let v6 = "   0: 00000000000000000000000001000000:0007 00000000000000000000000001000000:9C40 01 0:0\n";
        assert_eq!(open_connections(v6), []);
    }

    fn ends(stream: &std::net::TcpStream) -> (SocketAddrV4, SocketAddrV4) {
        let end = |end| match end {
            std::net::SocketAddr::V4(end) => end,
            std::net::SocketAddr::V6(end) => panic!("{end}"),
        };
        (end(stream.local_addr().unwrap()), end(stream.peer_addr().unwrap()))
    }
}
