//! Machines that ask to become nodes, as the node sees it that is asked.

use std::ops::RangeInclusive;

use chronos_proto::peer::v1::{self, join_response::Answer};

use super::hello::machine_bytes;
use super::inbound::{Inbound, Visitor};
use super::registrar::{Admission, Admitted, Denial, Denied, uuid_bytes, uuid_from};
use super::stats::count;
use crate::Neighbour;
use crate::addresses::Addresses;

/// What came as a request to join.
struct Asked {
    admission: Admission,
    cluster: Option<u128>,
    versions: RangeInclusive<u32>,
}

impl Inbound {
    /// Asks the registrar; the answer is counted and logged.
    pub(super) async fn receive(&self, visitor: &Visitor, request: v1::JoinRequest) -> v1::JoinResponse {
        let address = visitor.address;
        let (name, release) = (request.name.clone(), request.release.clone());
        let is_look = request == v1::JoinRequest::default();
        let answer = match self.decide(visitor, request).await {
            Ok((machine, admitted)) => {
                count(&self.counters.joins_admitted, 1);
                tracing::info!(%address, name, release, machine = %format_args!("{machine:032x}"), node = %admitted.node, "admitted to the cluster");
                Answer::Joined(self.joined(admitted))
            }
            // Who looks for a cluster asks nothing: see `look`.
            Err(denied) if is_look => Answer::Denied(denied.to_wire()),
            Err(denied) => {
                self.counters.denied(denied.why);
                tracing::warn!(%address, name, release, why = denied.why.name(), "not admitted to the cluster: {}", denied.text);
                Answer::Denied(denied.to_wire())
            }
        };
        v1::JoinResponse { answer: Some(answer) }
    }

    async fn decide(&self, visitor: &Visitor, request: v1::JoinRequest) -> Result<(u128, Admitted), Denied> {
        let Asked { admission, cluster, versions } = Asked::from_wire(request)
            .ok_or_else(|| Denied::new(Denial::Malformed, "the request to join makes no sense"))?;
        self.doorman.may_join(cluster, &versions)?;
        let covers = self.guard.covers(visitor.certificate.as_ref(), &admission.addresses.peer);
        covers.map_err(|text| Denied::new(Denial::Certificate, text))?;
        let (machine, patience) = (admission.machine, self.limits.join_patience);
        let admitting = self.registrar.admit(admission);
        match self.env.clock.timeout(patience, admitting).await {
            Ok(decided) => decided.map(|admitted| (machine, admitted)),
            Err(_) => {
                let text = format!("the cluster did not decide within {patience:?}; ask again");
                Err(Denied::new(Denial::NotNow, text))
            }
        }
    }

    fn joined(&self, Admitted { node, members }: Admitted) -> v1::Joined {
        let member = |Neighbour { node, machine, peer }| v1::JoinedMember {
            node: node.get(),
            peer_address: peer,
            machine: machine_bytes(machine),
        };
        let members = members.into_iter().map(member).collect();
        v1::Joined { cluster: uuid_bytes(self.doorman.cluster()), node: node.get(), members }
    }
}

impl Asked {
    fn from_wire(wire: v1::JoinRequest) -> Option<Asked> {
        let machine = uuid_from(&wire.machine).filter(|machine| *machine != 0)?;
        let cluster = if wire.cluster.is_empty() { None } else { Some(uuid_from(&wire.cluster)?) };
        let versions = wire.version_min..=wire.version_max;
        let addresses =
            Addresses { client: wire.client_address, peer: wire.peer_address, admin: wire.admin_address };
        let token = Some(wire.token).filter(|token| !token.is_empty());
        let admission = Admission { machine, token, name: wire.name, addresses, release: wire.release };
        let is_sound = !versions.is_empty() && !admission.addresses.peer.is_empty();
        is_sound.then_some(Asked { admission, cluster, versions })
    }
}
