//! The connections between nodes, in the form of the registry. Their names are here, beside what they count.

use chronos_cluster::peer::{Denial, Peers, Why};
use prometheus::proto::MetricFamily;

use super::family::{counter, counters, gauges};

/// All of them, as read at one moment.
pub(super) fn families(peers: &Peers) -> Vec<MetricFamily> {
    let stats = peers.stats();
    let why = |name: &str| vec![("why", name.to_owned())];
    let links = peers
        .status()
        .into_iter()
        .map(|link| (vec![("node", link.node.to_string())], f64::from(u8::from(link.state == Some(Ok(()))))));
    let strangers = [
        ("tls", stats.strangers_tls),
        ("garbage", stats.strangers_garbage),
        ("other service", stats.strangers_other_service),
        ("silent", stats.strangers_silent),
        ("too many", stats.connections_too_many),
    ];
    let mut families = vec![
        gauges("chronos_peer_link_up", "1 where requests to another node go through.", links),
        counters(
            "chronos_peer_turned_away_total",
            "Nodes that were turned away, at this node's port or because of what answered at theirs.",
            Why::ALL.map(|one| (why(one.name()), stats.turned_away(one))),
        ),
        counter(
            "chronos_peer_turned_away_by_others_total",
            "Times that another node turned this one away.",
            stats.turned_away_by_others,
        ),
        counters(
            "chronos_peer_strangers_total",
            "Connections at the port for nodes that were none of a node.",
            strangers.map(|(name, count)| (why(name), count)),
        ),
        counter("chronos_peer_joins_total", "Requests to join that were granted.", stats.joins_admitted),
        counters(
            "chronos_peer_joins_denied_total",
            "Requests to join that were denied.",
            Denial::ALL.map(|one| (why(one.name()), stats.denied(one))),
        ),
        counter("chronos_peer_links_made_total", "Links to other nodes that came up.", stats.links_up),
        counter(
            "chronos_peer_links_failed_total",
            "Attempts to make a link that failed.",
            stats.links_failed,
        ),
        counter("chronos_peer_links_lost_total", "Links that were up and broke.", stats.links_lost),
        counter("chronos_peer_frames_sent_total", "Frames of requests sent.", stats.frames_sent),
        counter("chronos_peer_requests_sent_total", "Requests sent to other nodes.", stats.requests_sent),
        counter("chronos_peer_request_bytes_sent_total", "Bytes of these.", stats.request_bytes_sent),
        counter(
            "chronos_peer_requests_handled_total",
            "Requests handled for others.",
            stats.requests_handled,
        ),
        counter(
            "chronos_peer_requests_abandoned_total",
            "Requests of others given up.",
            stats.requests_abandoned,
        ),
        counter("chronos_peer_answers_late_total", "Answers nobody waited for any more.", stats.answers_late),
        counter(
            "chronos_peer_handler_panics_total",
            "Requests of others that ended in a panic.",
            stats.handlers_panicked,
        ),
        counter(
            "chronos_peer_bulk_sent_bytes_total",
            "Bytes of files sent to other nodes.",
            stats.bulk_bytes_sent,
        ),
        counter(
            "chronos_peer_bulk_received_bytes_total",
            "Bytes of files received.",
            stats.bulk_bytes_received,
        ),
    ];
    // The registry takes no name without numbers, and a node may know no other.
    families.retain(|family| !family.get_metric().is_empty());
    families
}
