//! `chronos prove`

use std::path::{Path, PathBuf};

use chronos_client::{EventId, Hash, Moment, Proof};
use chronos_proof::Subject;
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::moment;
use crate::output::{Format, Out};

const EXAMPLES: &str = "\
A proof is a small JSON file: the event, and the hashes that lead from it to the digest of its partition's history (an \
RFC 6962 inclusion proof). Whoever trusts a digest that `chronos digest` printed can check it without a server, and \
needs nothing else.

Examples:
  chronos prove 01890a5d-ac96-774b-bcce-b302099a8057 --out proof.json
  chronos prove 01890a5d-ac96-774b-bcce-b302099a8057 --at 2024-05-01T12:00:00Z --out proof.json
  chronos prove --check proof.json --digest 5d1f…                # no server is asked

Exit codes of --check: 0 the event belongs to that history, 4 it does not, or the file was changed. \
Exit code 3 when there is no such event.";

/// Prove that an event belongs to the history of a digest, or check such a proof
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Prove {
    /// The event to prove
    #[arg(value_name = "EVENT_ID", value_parser = parse_id, required_unless_present = "check")]
    event_id: Option<EventId>,
    /// Against the digest of then: a time or a token
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of, conflicts_with = "check")]
    at: Option<Moment>,
    /// Where to write the proof [default: standard output]
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Check this proof instead
    #[arg(long, value_name = "FILE", requires = "digest", conflicts_with = "event_id")]
    check: Option<PathBuf>,
    /// The digest to check against
    #[arg(long, value_name = "DIGEST", requires = "check")]
    digest: Option<Hash>,
}

fn parse_id(text: &str) -> Result<EventId, String> {
    EventId::parse(text).map_err(|invalid| invalid.to_string())
}

impl Prove {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match (self.check, self.digest, self.event_id) {
            (Some(file), Some(digest), _) => check(&file, digest, context.output),
            (_, _, Some(event)) => {
                let proof = Connection::open(context).await?.prove(event, self.at).await?;
                write(&proof, self.out.as_deref(), context.output)
            }
            _ => Err(Failure::usage("give the id of an event, or --check FILE --digest DIGEST")),
        }
    }
}

fn write(proof: &Proof, to: Option<&Path>, format: Format) -> Outcome {
    let mut out = Out::new(format);
    let Some(file) = to else {
        out.bytes(proof.to_json().as_bytes())?;
        return out.finish();
    };
    std::fs::write(file, proof.to_json())
        .map_err(|e| Failure::failed(format!("cannot write {}: {e}", file.display())))?;
    match format {
        Format::Table => out.line(format!(
            "{}: position {} of {} in partition {}, digest {}",
            file.display(),
            proof.position(),
            proof.size(),
            proof.partition(),
            proof.digest()
        ))?,
        Format::Json => out.object(&summary(proof))?,
    }
    out.finish()
}

fn check(file: &Path, digest: Hash, format: Format) -> Outcome {
    let text =
        std::fs::read(file).map_err(|e| Failure::failed(format!("cannot read {}: {e}", file.display())))?;
    let named = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    let proof = Proof::from_json(&text).map_err(|e| Failure::new(Exit::Rejected, named(&e)))?;
    proof.check(digest).map_err(|e| Failure::new(Exit::Rejected, named(&e)))?;
    let mut out = Out::new(format);
    match format {
        Format::Table => out.line(format!("proven: {}", told(&proof)))?,
        Format::Json => out.object(&summary(&proof))?,
    }
    out.finish()
}

fn told(proof: &Proof) -> String {
    let place = format!("position {} of partition {}", proof.position(), proof.partition());
    match proof.subject() {
        Subject::Event(event) => format!(
            "event {} ({}, version {} of {}) stands at {place}",
            event.event_id, event.event_type, event.version, event.entity_id
        ),
        Subject::Erased { leaf } => {
            format!("an event stood at {place} that has been erased; its hash is {leaf}")
        }
    }
}

fn summary(proof: &Proof) -> serde_json::Value {
    json!({
        "partition": proof.partition().get(),
        "position": proof.position().get(),
        "size": proof.size().get(),
        "digest": proof.digest().to_string(),
    })
}
