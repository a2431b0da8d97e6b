//! `chronos cluster config` and `chronos cluster log-level`

use std::collections::BTreeMap;

use chronos_client::cluster::{NodeConfig, NodeId, Setting, SettingChanged};
use chronos_client::{Class, ClusterAdmin};
use chronos_server::telemetry;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::{Exit, Failure, Outcome};
use crate::operator::page::{Page, Tone, is_painted};
use crate::operator::{failed, json as as_json, parse_node};
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
A setting that is marked `live` can be changed while nodes run; all others are read when a node starts, from its flags, \
its environment and its file. A live change is forgotten at the next start of a node, but for `cluster.replication`, which \
the cluster itself keeps.

Exit codes as of every command: 3 for a setting or a node that there is not, 4 for a value that the setting does not take, or \
one that is read at the start only; 2 only for what makes no sense before a node is asked.

Examples:
  chronos cluster config get
  chronos cluster config get compaction
  chronos cluster config set compaction.bytes_per_second 33554432
  chronos cluster config set cluster.transfer_bytes_per_second 8388608
  chronos cluster config set scrub.bytes_per_second_max 8388608 --node n2";

/// Read settings, and change those that can be changed while nodes run
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    /// Print settings, and where nodes differ in them
    Get {
        /// Only settings whose key has this in it
        #[arg(value_name = "KEY")]
        key: Option<String>,
        /// Only of these nodes, such as n2 or 2
        #[arg(long, short, value_name = "NODE", value_delimiter = ',', value_parser = parse_node)]
        node: Vec<NodeId>,
    },
    /// Change a live setting
    Set {
        /// Such as compaction.bytes_per_second
        key: String,
        /// A number, true or false, or a text
        value: String,
        /// Only on these nodes, such as n2 or 2
        #[arg(long, short, value_name = "NODE", value_delimiter = ',', value_parser = parse_node)]
        node: Vec<NodeId>,
    },
}

/// Set what nodes log from now on, until they are started again
#[derive(Args)]
#[command(after_help = "\
Examples:
  chronos cluster log-level debug --node n2
  chronos cluster log-level info,chronos_cluster=debug
  chronos cluster log-level info")]
pub(crate) struct LogLevel {
    /// What is logged: off, error, warn, info, debug or trace, also by part of the program
    filter: String,
    /// Only on these nodes, such as n2 or 2
    #[arg(long, short, value_name = "NODE", value_delimiter = ',', value_parser = parse_node)]
    node: Vec<NodeId>,
}

impl LogLevel {
    pub(super) async fn run(self, admin: &ClusterAdmin, format: Format) -> Outcome {
        telemetry::check(&self.filter).map_err(Failure::usage)?;
        let changed = admin.set_log_level(&self.filter, &self.node).await.map_err(failed)?;
        told("log.filter", &changed, format)
    }
}

impl Config {
    pub(super) async fn run(self, admin: &ClusterAdmin, format: Format) -> Outcome {
        match self.verb {
            None => get(admin, None, &[], format).await,
            Some(Verb::Get { key, node }) => get(admin, key.as_deref(), &node, format).await,
            Some(Verb::Set { key, value, node }) => {
                let changed = admin.set_config(&key, &value, &node).await.map_err(failed)?;
                told(&key, &changed, format)
            }
        }
    }
}

async fn get(admin: &ClusterAdmin, key: Option<&str>, nodes: &[NodeId], format: Format) -> Outcome {
    let configs = admin.config(nodes).await.map_err(failed)?;
    let is_wanted = |setting: &Setting| key.is_none_or(|key| setting.key.contains(key));
    if let Some(key) = key.filter(|_| !configs.iter().any(|of| of.settings.iter().flatten().any(is_wanted))) {
        let text =
            format!("no setting has {key:?} in its name; all there are shows: chronos cluster config get");
        return Err(Failure::new(Exit::NotFound, text));
    }
    let mut out = Out::new(format);
    match format {
        Format::Json => {
            for config in &configs {
                objects(&mut out, config, is_wanted)?;
            }
        }
        Format::Table => {
            for line in page(&configs, is_wanted).lines(is_painted()) {
                out.line(line)?;
            }
        }
    }
    out.finish()?;
    let is_complete = configs.iter().all(|config| config.settings.is_ok());
    if is_complete { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
}

fn objects(out: &mut Out, config: &NodeConfig, is_wanted: impl Fn(&Setting) -> bool) -> Outcome {
    let node = config.node.get();
    let settings = match &config.settings {
        Ok(settings) => settings,
        Err(failure) => return out.object(&as_json::refused(json!({"node": node}), failure)),
    };
    for setting in settings.iter().filter(|setting| is_wanted(setting)) {
        out.object(&json!({
            "node": node,
            "key": setting.key,
            "value": as_json::value(&setting.value),
            "live": setting.is_live,
            "started_with": setting.started_with.as_deref().map(as_json::value),
        }))?;
    }
    Ok(())
}

/// A line for each setting, or several where nodes differ in it.
fn page(configs: &[NodeConfig], is_wanted: impl Fn(&Setting) -> bool) -> Page {
    let mut by_key: BTreeMap<&str, Vec<(NodeId, &Setting)>> = BTreeMap::new();
    for config in configs {
        for setting in config.settings.iter().flatten().filter(|setting| is_wanted(setting)) {
            by_key.entry(&setting.key).or_default().push((config.node, setting));
        }
    }
    let answered = configs.iter().filter(|config| config.settings.is_ok()).count();
    let columns = ["KEY", "VALUE", "CHANGE", "NODES"].map(|name| (name, Align::Left));
    let (mut table, mut tones) = (Table::new(&columns), Vec::new());
    for (key, all) in by_key {
        let mut values: BTreeMap<(&str, Option<&str>), Vec<NodeId>> = BTreeMap::new();
        for (node, setting) in &all {
            let value = (setting.value.as_str(), setting.started_with.as_deref());
            values.entry(value).or_default().push(*node);
        }
        let change = if all[0].1.is_live { "live" } else { "restart" };
        for ((value, started_with), nodes) in values {
            let now = started_with.map_or_else(String::new, |was| format!(" (started with {was})"));
            let who = if nodes.len() == answered { "all".to_owned() } else { list(&nodes) };
            let is_as_expected = nodes.len() == answered || is_each_nodes_own(key);
            tones.push(if is_as_expected { Tone::Plain } else { Tone::Warn });
            table.row([key.to_owned(), format!("{value}{now}"), change.to_owned(), who]);
        }
    }
    let mut page = Page::default();
    page.table(&table, tones);
    for config in configs {
        if let Err(failure) = &config.settings {
            page.line(Tone::Bad, format!("{} did not say: {failure}", config.node));
        }
    }
    page
}

/// Whether nodes differ in a setting because they are different nodes.
fn is_each_nodes_own(key: &str) -> bool {
    let own = ["data", "listen", "cluster.name", "cluster.advertise", "cluster.bootstrap", "cluster.join"];
    own.contains(&key) || key.starts_with("cluster.tls") || key.ends_with("_listen")
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// Why a node does not change a setting that there is none of.
const NOT_FOUND: &str = "NOT_FOUND";

/// What nodes made of a change. A rule that says no says so on every node, and so does who has no such setting.
fn told(key: &str, changed: &[SettingChanged], format: Format) -> Outcome {
    let mut out = Out::new(format);
    match format {
        Format::Json => {
            for one in changed {
                out.object(&as_json::changed(one))?;
            }
        }
        Format::Table => {
            for line in outcomes(key, changed) {
                out.line(line)?;
            }
        }
    }
    out.finish()?;
    let refusals: Vec<_> = changed.iter().filter_map(|one| one.outcome.as_ref().err()).collect();
    match refusals.as_slice() {
        [] => Ok(()),
        all if all.iter().all(|failure| failure.reason == NOT_FOUND) => {
            Err(Failure::already_told(Exit::NotFound))
        }
        all if all.iter().all(|failure| failure.class == Class::Rejected) => {
            Err(Failure::already_told(Exit::Rejected))
        }
        _ => Err(Failure::already_told(Exit::Failed)),
    }
}

/// A line for each outcome, with the nodes that have it.
fn outcomes(key: &str, changed: &[SettingChanged]) -> Vec<String> {
    let mut lines: Vec<(String, Vec<NodeId>)> = Vec::new();
    for one in changed {
        let line = match &one.outcome {
            Ok((before, after, true)) => format!("{key} is {after} now, it was {before}"),
            Ok((before, after, false)) => {
                format!("{key} is {after} now, it was {before}; forgotten at the next start")
            }
            Err(failure) => format!("{key} is not changed: {failure}"),
        };
        match lines.iter_mut().find(|(other, _)| *other == line) {
            Some((_, nodes)) => nodes.push(one.node),
            None => lines.push((line, vec![one.node])),
        }
    }
    lines.into_iter().map(|(line, nodes)| format!("{}: {line}", list(&nodes))).collect()
}

#[cfg(test)]
mod tests {
    use chronos_client::Failure as Refusal;

    use super::*;

    #[test]
    fn what_several_nodes_say_alike_is_told_once() {
        let of = |node, outcome| SettingChanged { node: NodeId::new(node), outcome };
        let no = || Err(Refusal::new(Class::Rejected, "INVALID", "lanes is read when a node starts"));
        assert_eq!(
            outcomes("lanes", &[of(1, no()), of(2, no())]),
            ["n1 n2: lanes is not changed: INVALID: lanes is read when a node starts"]
        );
        let was = |before: &str| Ok((before.to_owned(), "8".to_owned(), false));
        assert_eq!(
            outcomes("x", &[of(1, was("7")), of(2, was("6")), of(3, was("7"))]),
            [
                "n1 n3: x is 8 now, it was 7; forgotten at the next start",
                "n2: x is 8 now, it was 6; forgotten at the next start",
            ]
        );
    }

    #[test]
    fn settings_in_which_nodes_differ_are_told_apart() {
        let setting = |key: &str, value: &str, is_live| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            is_live,
            started_with: None,
        };
        let of = |node, lanes: &str| NodeConfig {
            node: NodeId::new(node),
            settings: Ok(vec![setting("lanes", lanes, false), setting("log.filter", "\"info\"", true)]),
        };
        let mut configs = vec![of(1, "1"), of(2, "2"), of(3, "1")];
        let changed =
            Setting { started_with: Some("\"warn\"".to_owned()), ..setting("log.filter", "\"info\"", true) };
        if let Ok(settings) = &mut configs[2].settings {
            settings[1] = changed;
        }
        let refusal = Refusal::new(Class::Failed, "UNAVAILABLE", "it is down");
        configs.push(NodeConfig { node: NodeId::new(4), settings: Err(refusal) });
        let expected = "\
KEY         VALUE                         CHANGE   NODES
lanes       1                             restart  n1 n3
lanes       2                             restart  n2
log.filter  \"info\"                        live     n1 n2
log.filter  \"info\" (started with \"warn\")  live     n3
n4 did not say: UNAVAILABLE: it is down
";
        assert_eq!(page(&configs, |_| true).plain(), expected);
        assert_eq!(page(&configs[..1], |setting| setting.is_live).plain().lines().count(), 2);
    }
}
