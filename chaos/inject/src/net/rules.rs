//! What is wrong on which link, and the nftables text that makes it so.
//!
//! The rules of a place are rendered whole each time and loaded in one transaction, so no moment sees half of them, and
//! ending one fault cannot disturb another that hits the same link.
//!
//! Invariant: a rule acts where packets arrive. Dropping them where they leave would tell the sender.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::Ipv4Addr;

use super::Peer;

/// What happens to packets of one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// They vanish.
    Drop,
    /// So many of a thousand vanish, by the kernel's dice.
    Lose { per_mille: u16 },
    /// Those of one TCP connection vanish, known by its ports.
    DropConnection { from_port: u16, to_port: u16 },
    /// Those of TCP are answered by a reset and vanish.
    Reset,
}

/// A fault on the way of packets from one peer to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) from: Peer,
    pub(crate) to: Peer,
    pub(crate) wrong: Wrong,
}

/// A fault in force, to be found again when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId(u64);

/// All faults in force on the links of a ground.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    in_force: BTreeMap<RuleId, Rule>,
    begun: u64,
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> RuleId {
        self.begun += 1;
        self.in_force.insert(RuleId(self.begun), rule);
        RuleId(self.begun)
    }

    pub(crate) fn remove(&mut self, id: RuleId) {
        self.in_force.remove(&id);
    }

    /// The whole ruleset of the place `to`: loaded, it replaces the table that an earlier one made.
    pub(crate) fn render(&self, table: &str, to: Peer, address: impl Fn(Peer) -> Ipv4Addr) -> String {
        // Named before it is deleted, since what is not there cannot be deleted.
        let mut text = format!("table ip {table} {{}}\ndelete table ip {table}\n");
        let mut rules = self.in_force.values().filter(|rule| rule.to == to).peekable();
        if rules.peek().is_some() {
            let _ = writeln!(text, "table ip {table} {{\n  chain arrive {{");
            let _ = writeln!(text, "    type filter hook input priority 0; policy accept;");
            for rule in rules {
                let _ = writeln!(text, "    ip saddr {} {}", address(rule.from), rule.wrong.text());
            }
            text.push_str("  }\n}\n");
        }
        text
    }
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Wrong::Drop => "drop".into(),
            Wrong::DropConnection { from_port, to_port } => {
                format!("tcp sport {from_port} tcp dport {to_port} drop")
            }
            Wrong::Lose { per_mille } => format!("numgen random mod 1000 < {per_mille} drop"),
            // A reset that is reset would go on for ever.
            Wrong::Reset => "tcp flags & rst != rst reject with tcp reset".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: Peer) -> Ipv4Addr {
        match peer {
            Peer::Node(number) => Ipv4Addr::new(198, 18, 0, number),
            Peer::Host => Ipv4Addr::new(198, 18, 0, 254),
        }
    }

    fn rule(from: Peer, wrong: Wrong) -> Rule {
        Rule { from, to: Peer::Node(1), wrong }
    }

    #[test]
    fn a_place_gets_its_own_rules_in_the_order_of_their_begin() {
        let mut rules = Rules::default();
        rules.add(rule(Peer::Node(2), Wrong::Lose { per_mille: 300 }));
        rules.add(rule(Peer::Host, Wrong::Drop));
        rules.add(Rule { from: Peer::Node(1), to: Peer::Node(2), wrong: Wrong::Reset });
        let expected = "table ip t {}\ndelete table ip t\ntable ip t {\n  chain arrive {\n    \
            type filter hook input priority 0; policy accept;\n    \
            ip saddr 198.18.0.2 numgen random mod 1000 < 300 drop\n    \
            ip saddr 198.18.0.254 drop\n  }\n}\n";
        assert_eq!(rules.render("t", Peer::Node(1), address), expected);
        rules.add(rule(Peer::Node(3), Wrong::DropConnection { from_port: 40_000, to_port: 7 }));
        let more = rules.render("t", Peer::Node(1), address);
        assert!(more.contains("ip saddr 198.18.0.3 tcp sport 40000 tcp dport 7 drop\n"), "{more}");
        let other = rules.render("t", Peer::Node(2), address);
        assert!(
            other.contains("ip saddr 198.18.0.1 tcp flags & rst != rst reject with tcp reset\n"),
            "{other}"
        );
    }

    #[test]
    fn a_place_without_faults_has_no_table() {
        let mut rules = Rules::default();
        let id = rules.add(rule(Peer::Host, Wrong::Drop));
        rules.remove(id);
        assert_eq!(rules.render("t", Peer::Node(1), address), "table ip t {}\ndelete table ip t\n");
    }

    #[test]
    fn two_faults_on_one_link_end_one_by_one() {
        let mut rules = Rules::default();
        let (first, _second) =
            (rules.add(rule(Peer::Host, Wrong::Drop)), rules.add(rule(Peer::Host, Wrong::Drop)));
        rules.remove(first);
        assert!(rules.render("t", Peer::Node(1), address).contains("ip saddr 198.18.0.254 drop"));
    }
}
