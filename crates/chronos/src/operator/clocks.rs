//! Nodes whose clocks are not those of the others.

use std::time::Duration;

use chronos_client::cluster::Node;
use chronos_domain::limits::CLOCK_OFFSET_MICROS_MAX;

use super::page::Tone;
use super::units;

/// Whether a node's clock is too far from what a majority's clocks say, and in which direction.
pub(super) fn off(node: &Node) -> Option<(Tone, String)> {
    let offset =
        node.clock_offset_micros.filter(|offset| offset.saturating_abs() > CLOCK_OFFSET_MICROS_MAX)?;
    let by = units::ago(Duration::from_micros(offset.unsigned_abs()));
    let (direction, meanwhile) = if offset > 0 {
        ("ahead of", "what it leads is stamped by theirs meanwhile")
    } else {
        ("behind", "where it leads, events are stamped late and reads as of now refused meanwhile")
    };
    let text = format!(
        "{}'s clock is {by} {direction} the other nodes': synchronise the clocks of all nodes (chrony, ntpd, \
         systemd-timesyncd); {meanwhile}",
        node.node
    );
    Some((Tone::Warn, text))
}

#[cfg(test)]
mod tests {
    use super::super::cluster::{concerns, status};
    use super::super::{json, sample};
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_of_with_how_far_and_what_to_do() {
        let mut off = sample::healthy();
        off.nodes[1].clock_offset_micros = Some(5_000_000);
        off.nodes[2].clock_offset_micros = Some(-60_000_001);
        let shown = status(&off, None).plain();
        let expected = "\
n2's clock is 5.0 s ahead of the other nodes': synchronise the clocks of all nodes (chrony, ntpd, systemd-timesyncd); what it leads is stamped by theirs meanwhile
n3's clock is 60 s behind the other nodes': synchronise the clocks of all nodes (chrony, ntpd, systemd-timesyncd); where it leads, events are stamped late and reads as of now refused meanwhile
";
        assert!(shown.ends_with(expected), "{shown}");
        let object = json::status(&off, None);
        assert_eq!((&object["healthy"], &object["available"]), (&false.into(), &true.into()));
        assert_eq!(object["nodes"][1]["clock_offset_micros"], 5_000_000);
    }

    #[test]
    fn a_clock_that_is_within_the_bound_or_not_known_is_no_concern() {
        for offset in [None, Some(CLOCK_OFFSET_MICROS_MAX), Some(-CLOCK_OFFSET_MICROS_MAX)] {
            let mut status = sample::healthy();
            status.nodes[1].clock_offset_micros = offset;
            assert_eq!(concerns(&status), []);
        }
    }
}
