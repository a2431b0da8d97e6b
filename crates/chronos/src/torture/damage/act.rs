//! One node, and two of three.

use std::path::Path;
use std::time::{Duration, Instant};

use chronos_client::{Append, Client, Options};
use chronos_env::Env;
use chronos_store::{Damage, Report as Verified};

use super::report::{Healed, Hurt, Left, Majority, Noticed};
use super::truth::{Heard, Truth};
use super::wound::{Wound, inflict};
use super::{AFTERWARDS, Ward, admin, heal};
use crate::connect::Connection;
use crate::demo::proof;
use crate::failure::{Failure, Outcome};
use crate::operator::failed;

/// After so long two damaged nodes have mended what can be mended.
const MENDED_WITHIN: Duration = Duration::from_secs(20);
/// How long an append is tried in a cluster of which the most is damaged.
const APPEND_MAX: Duration = Duration::from_secs(3);
/// How long a read is.
const READ_MAX: Duration = Duration::from_secs(2);

impl Ward {
    /// Damages a node, has it mended, and holds everything against the truth.
    pub(super) async fn one_node(&mut self, places: usize, events: u64) -> Outcome<Healed> {
        let at = self.dice.below(self.stage.fleet.len() as u64) as usize;
        let (name, node) = (self.stage.fleet.name(at).to_owned(), heal::number(self, at).await?);
        let others = admin(&self.stage.fleet, |other| other != at)?;
        self.stage.fleet.kill(at).await?;
        let hurt = self.hurt(at, places)?;
        self.say(&format!("{name} was killed, and damaged in {} places", hurt.wounds));
        let started = self.stage.fleet.restart(at).await?;
        let healing = heal::heal(&others, node).await?;
        let (itself, ordered) = (healing.by_itself.as_secs_f64(), healing.by_order.len());
        self.say(&format!("{name} serves again after {itself:.1} s, by order {ordered} partitions more"));
        self.feed_more((events * AFTERWARDS / 100).max(1)).await?;
        let found = proof::total(&self.stage.prove(&self.ledger).await?);
        let agreement = self.stage.fleet.agreement(&self.ledger.token()).await?;
        for partition in agreement.broken() {
            self.say(&agreement.describe(&self.stage.fleet, partition));
        }
        let online = heal::findings(&self.admin).await?;
        online.iter().for_each(|finding| self.say(&format!("found online: {finding}")));
        heal::compact(&self.admin).await?;
        let offline = self.verified_offline().await?;
        Ok(Healed {
            node: name,
            hurt,
            start_ms: started.as_millis() as u64,
            healed_ms: healing.by_itself.as_millis() as u64,
            not_served: healing.seen,
            mended_by_order: ordered,
            acknowledged: found.acknowledged,
            lost: found.lost,
            duplicates: found.duplicates,
            gaps: found.gaps,
            digests_compared: agreement.replicas(),
            digests_different: agreement.broken().len(),
            online_findings: online.len(),
            left: offline,
        })
    }

    /// Stops all nodes, reads what they have on disk, and starts them again.
    pub(super) async fn verified_offline(&mut self) -> Outcome<Left> {
        let fleet = &mut self.stage.fleet;
        fleet.stop_all().await?;
        let mut left = Left::default();
        for at in 0..fleet.len() {
            let report = look(&fleet.data(at))?;
            for damage in &report.damages {
                match damage.partition {
                    Some(_) => left.damages += 1,
                    None => left.scars += 1,
                }
                eprintln!("{}: still there: {damage}", fleet.name(at));
            }
            report.pending.iter().for_each(|pending| eprintln!("{}: unfinished: {pending}", fleet.name(at)));
            left.damages += report.pending.len();
        }
        for at in 0..fleet.len() {
            fleet.restart(at).await?;
        }
        fleet.settled().await?;
        Ok(left)
    }

    /// Damages a node that does not run, and looks whether every place is noticed.
    fn hurt(&mut self, at: usize, places: usize) -> Outcome<Hurt> {
        let data = self.stage.fleet.data(at);
        let before = look(&data)?;
        if let Some(damage) = before.damages.iter().find(|damage| damage.partition.is_some()) {
            return Err(Failure::failed(format!("{} was damaged before: {damage}", data.display())));
        }
        let wounds = inflict(&data, places, &mut self.dice)
            .map_err(|e| Failure::failed(format!("cannot damage {}: {e}", data.display())))?;
        let report = look(&data)?;
        let noticed: Vec<Noticed> =
            wounds.iter().map(|wound| noticed(wound, &data, &report.damages)).collect();
        for (wound, _) in wounds.iter().zip(&noticed).filter(|(_, noticed)| **noticed == Noticed::Not) {
            let (blow, at, file) = (wound.blow, wound.at, wound.file.display());
            self.say(&format!("NOT NOTICED: {blow:?} at byte {at} of {file}"));
        }
        Ok(Hurt::of(&wounds, &noticed))
    }

    /// Damages two of three nodes; from then on every answer must be the truth or an error.
    pub(super) async fn two_nodes(&mut self, places: usize) -> Outcome<Majority> {
        let spared = self.dice.below(self.stage.fleet.len() as u64) as usize;
        let hurt: Vec<usize> = (0..self.stage.fleet.len()).filter(|at| *at != spared).collect();
        for at in &hurt {
            self.stage.fleet.kill(*at).await?;
        }
        let mut wounds = Vec::new();
        for at in &hurt {
            wounds.push(self.hurt(*at, places)?);
        }
        for at in &hurt {
            self.stage.fleet.restart(*at).await?;
        }
        let mut truth = Truth::of(self.ledger.promises());
        let mut heard = Heard::default();
        let reader = self.stage.fleet.connection(READ_MAX).await?;
        let start = Instant::now();
        // From the first moment on, while what can be mended is being mended, and afterwards.
        while start.elapsed() < MENDED_WITHIN {
            self.ask_all(&truth, &mut heard, &reader).await;
        }
        let appends = self.append_everywhere(&mut truth).await?;
        self.ask_all(&truth, &mut heard, &reader).await;
        heard.wrong.iter().for_each(|wrong| self.say(&format!("WRONG: {wrong}")));
        let status = admin(&self.stage.fleet, |at| at == spared)?.status().await.map_err(failed)?;
        let led = status.partitions.iter().filter(|partition| partition.leader.is_some()).count();
        let names = hurt.iter().map(|at| self.stage.fleet.name(*at).to_owned()).collect();
        Ok(Majority::new(names, wounds, led, &heard, &appends))
    }

    async fn ask_all(&self, truth: &Truth, heard: &mut Heard, reader: &Connection) {
        for at in 0..self.stage.fleet.len() {
            truth.ask(&self.stage.fleet.address(at), heard).await;
        }
        truth.ask_through(reader, heard).await;
    }

    /// One append to each partition: what is acknowledged belongs to the truth from then on.
    async fn append_everywhere(&self, truth: &mut Truth) -> Outcome<Appends> {
        let options = Options { deadline: APPEND_MAX, ..Options::default() };
        let addresses = self.stage.fleet.addresses().join(",");
        let client = Client::connect_with(&addresses, options).map_err(Failure::usage)?;
        let mut appends = Appends::default();
        for entity in truth.one_entity_each() {
            let append = Append::to(entity.as_str()).event("torture.probe", "{}");
            match client.append(append).await {
                Ok(stored) => {
                    appends.acknowledged += 1;
                    truth.add(&stored, &entity);
                }
                Err(error) => {
                    appends.refused += 1;
                    appends.example.get_or_insert_with(|| error.to_string());
                    truth.may_have_grown(&entity);
                }
            }
        }
        Ok(appends)
    }
}

/// What became of appends.
#[derive(Default)]
pub(super) struct Appends {
    pub(super) acknowledged: usize,
    pub(super) refused: usize,
    pub(super) example: Option<String>,
}

fn look(data: &Path) -> Outcome<Verified> {
    chronos_store::verify(&Env::real().disk, data)
        .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))
}

/// Whether something is said of the file; or at least of what it is a part of: where a manifest cannot be read, or a segment
/// is gone, nobody knows what else there should be, and all of it is given up.
fn noticed(wound: &Wound, data: &Path, damages: &[Damage]) -> Noticed {
    let file = data.join(&wound.file);
    if damages.iter().any(|damage| damage.file == file) {
        return Noticed::Named;
    }
    let dir = file.parent().unwrap_or(data);
    let is_of_its_partition = |damage: &Damage| {
        damage.partition.is_some_and(|id| dir.file_name().is_some_and(|name| *name == *format!("p{id:02}")))
    };
    let is_gone = !file.exists();
    let is_of_its_lane =
        |damage: &Damage| is_gone && (damage.file == dir || damage.file.parent() == Some(dir));
    match damages.iter().any(|damage| is_of_its_partition(damage) || is_of_its_lane(damage)) {
        true => Noticed::WithTheRest,
        false => Noticed::Not,
    }
}
