//! The fast wire: a kernel bridge with a pair of virtual network cards for each node.

use super::{Namespace, Peer, Subnet};
use crate::error::Result;
use crate::owner::Mark;
use crate::tool::IP;

/// Joins `namespaces` (those of node 1, 2, …) and the host by a bridge.
pub(crate) fn lay_bridge(mark: Mark, subnet: Subnet, namespaces: &[Namespace]) -> Result<()> {
    let bridge = mark.device('b', 0);
    IP.line(&format!("link add {bridge} type bridge"))?;
    IP.line(&format!("addr add {}/24 dev {bridge}", subnet.address(Peer::Host)))?;
    IP.line(&format!("link set {bridge} up"))?;
    for (number, namespace) in (1..).zip(namespaces) {
        let plug = mark.device('v', number);
        IP.line(&format!("link add {plug} type veth peer name eth0 netns {}", namespace.name()))?;
        IP.line(&format!("link set {plug} master {bridge} up"))?;
        namespace.ip(&format!("addr add {}/24 dev eth0", subnet.address(Peer::Node(number))))?;
        namespace.ip("link set eth0 up")?;
    }
    Ok(())
}
