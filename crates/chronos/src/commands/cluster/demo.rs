//! `chronos cluster demo`

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use chronos_client::Placement;
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::fleet::ground::Ground;
use crate::fleet::{Fleet, balance};
use crate::output::{Format, Out};
use crate::stop_request;
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Real processes on this machine, in a temporary directory, on the usual ports where those are free. Stays until Ctrl-C and \
cleans up. Kill a node from another terminal and watch: a node that died is started again after five seconds.

Examples:
  chronos cluster demo
  chronos cluster demo --nodes 5
  chronos append order-7 order.placed '{\"total\":42}'     # in another terminal
  kill -9 PID                                            # a number of the table";

/// How often the nodes are looked at.
const LOOK_STEP: Duration = Duration::from_secs(1);

/// How long a node stays dead.
const DEAD_FOR: Duration = Duration::from_secs(5);

/// How long one look may take: a node that was killed or halted does not answer.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Run a cluster on this machine until Ctrl-C, and watch it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
}

/// One node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Seen {
    name: String,
    process: Option<u32>,
    address: String,
    admin: String,
    state: &'static str,
    /// Partitions it leads, of 32.
    leads: usize,
    /// Partitions it holds, of 32.
    holds: usize,
    /// Events it has applied, over all partitions it holds; nothing when it does not answer.
    events: Option<u64>,
}

impl Demo {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let stopped = stop_request::signalled()?;
        if context.output == Format::Table {
            say(&format!("starting {} nodes …", self.nodes))?;
        }
        let mut fleet = None;
        tokio::select! {
            biased; // whoever interrupts does not want to see more
            () = stopped => {}
            ended = Box::pin(watch(self.nodes.into(), context.output, &mut fleet)) => ended?,
        }
        if let Some(mut fleet) = fleet {
            // A cluster that had its leaders handed over has nothing to recover, but nobody will start this one again.
            let _ = fleet.stop_all().await;
        }
        if context.output == Format::Table {
            say("\nall nodes stopped, directories removed")?;
        }
        Ok(())
    }
}

/// Starts the cluster and shows it, for ever.
async fn watch(nodes: usize, format: Format, into: &mut Option<Fleet>) -> Outcome {
    let fleet = into.insert(Fleet::found(nodes, Ground::usual()).await?);
    if format == Format::Table {
        say(&format!("directories in {}; Ctrl-C stops everything\n", fleet.home().display()))?;
    }
    let mut screen = Screen::new(format);
    let way = fleet.connection(LOOK_MAX).await?;
    let mut died = vec![None; nodes];
    loop {
        let start = Instant::now();
        for (at, died) in died.iter_mut().enumerate() {
            revive(fleet, at, died).await?;
        }
        screen.show(look(fleet, &way).await)?;
        tokio::time::sleep(LOOK_STEP.saturating_sub(start.elapsed())).await;
    }
}

/// Starts a node again that has been dead for long enough.
async fn revive(fleet: &mut Fleet, at: usize, died: &mut Option<Instant>) -> Outcome {
    if fleet.is_up(at) {
        *died = None;
        return Ok(());
    }
    if died.get_or_insert_with(Instant::now).elapsed() >= DEAD_FOR {
        *died = None;
        fleet.restart(at).await?;
    }
    Ok(())
}

async fn look(fleet: &mut Fleet, way: &Connection) -> Vec<Seen> {
    let asked = tokio::time::timeout(LOOK_MAX, way.placement()).await;
    let placement: Option<Placement> = asked.ok().and_then(Result::ok);
    let mut events = Vec::new();
    for at in 0..fleet.len() {
        let asked = tokio::time::timeout(LOOK_MAX, fleet.events(at)).await;
        events.push(asked.ok().and_then(Result::ok));
    }
    let leads = placement.as_ref().map(balance::leaders).unwrap_or_default();
    let holds = |at: usize| {
        let holding = |placement: &Placement| {
            let replicas = placement.partitions.iter().flat_map(|placed| &placed.replicas);
            replicas.filter(|node| fleet.seat_of(**node, placement) == Some(at)).count()
        };
        placement.as_ref().map(holding).unwrap_or_default()
    };
    let holds: Vec<usize> = (0..fleet.len()).map(holds).collect();
    let seen = |(at, events): (usize, Option<u64>)| {
        let (address, up) = (fleet.address(at), fleet.is_up(at));
        Seen {
            name: fleet.name(at).to_owned(),
            process: up.then(|| fleet.process(at)).flatten(),
            admin: fleet.admin_address(at),
            state: match (up, events) {
                (false, _) => "dead",
                (true, None) => "silent",
                (true, Some(_)) => "up",
            },
            leads: leads.get(address.as_str()).copied().unwrap_or_default(),
            holds: holds[at],
            address,
            events,
        }
    };
    events.into_iter().enumerate().map(seen).collect()
}

/// Where nodes are shown: in place on a terminal, otherwise whenever something has changed.
struct Screen {
    format: Format,
    in_place: bool,
    last: Vec<Seen>,
}

impl Screen {
    fn new(format: Format) -> Self {
        Self { format, in_place: format == Format::Table && io::stdout().is_terminal(), last: Vec::new() }
    }

    fn show(&mut self, seen: Vec<Seen>) -> Outcome {
        if seen == self.last {
            return Ok(());
        }
        let mut out = Out::new(self.format);
        match self.format {
            Format::Json => seen.iter().try_for_each(|node| out.object(node))?,
            Format::Table => {
                if self.in_place && !self.last.is_empty() {
                    // Up to where the table began, and nothing of the old one below.
                    out.bytes(format!("\x1b[{}A\x1b[J", self.last.len() + 1).as_bytes())?;
                }
                out.table(&table(&seen))?;
            }
        }
        self.last = seen;
        out.finish()
    }
}

fn table(seen: &[Seen]) -> Table {
    let left = |name| (name, Align::Left);
    let right = |name| (name, Align::Right);
    let columns = [
        left("NODE"),
        right("PID"),
        left("CLIENTS"),
        left("OPERATORS"),
        left("STATE"),
        right("LEADS"),
        right("HOLDS"),
        right("EVENTS"),
    ];
    let mut table = Table::new(&columns);
    for node in seen {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([
            node.name.clone(),
            or_dash(node.process.map(|process| process.to_string())),
            node.address.clone(),
            node.admin.clone(),
            node.state.to_owned(),
            node.leads.to_string(),
            node.holds.to_string(),
            or_dash(node.events.map(grouped)),
        ]);
    }
    table
}

fn say(line: &str) -> Outcome {
    let mut out = Out::new(Format::Table);
    out.line(line)?;
    out.finish()
}
