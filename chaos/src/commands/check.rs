//! `chaos check`: judges histories.

use std::path::PathBuf;

use chronos_history::referee::{Opinion, linearizable, serializable};
use chronos_history::{Line, check_lines, histories, read};
use serde_json::json;

use super::{Problem, Verdict};

/// Judges histories, by our checker and by two referees that we did not write.
///
/// Exit code: 0 when all are clean, 1 when a promise is broken or something cannot be decided, 2 when a file is no
/// history.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// Files of histories, plain or gzip'ed. A file that begins with line 0 begins a history; those behind it that
    /// do not belong to it.
    #[arg(required = true, value_name = "HISTORY")]
    files: Vec<PathBuf>,
    /// Ask only our own checker: referees take long when a history is.
    #[arg(long)]
    no_referees: bool,
    /// Print one JSON object for each history.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let mut all_clean = true;
        for files in histories(&self.files)? {
            all_clean &= self.judge(&files)?;
        }
        Ok(Verdict::clean_if(all_clean))
    }

    /// Judges one history and says whether it is clean.
    fn judge(&self, files: &[PathBuf]) -> Result<bool, Problem> {
        let lines = read(files)?;
        let report = check_lines(&lines);
        let opinions = if self.no_referees { Vec::new() } else { opinions(&lines) };
        let is_clean = report.is_clean() && opinions.iter().all(|(_, opinion)| !is_against(opinion));
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        if self.json {
            let said = opinions.iter().map(|(name, opinion)| ((*name).to_owned(), json!(words(opinion))));
            let referees: serde_json::Map<_, _> = said.collect();
            println!(
                "{}",
                json!({ "history": names, "ok": is_clean, "report": report, "referees": referees })
            );
        } else {
            println!("{}: {}", names.join(", "), if is_clean { "clean" } else { "NOT CLEAN" });
            print!("{report}");
            opinions.iter().for_each(|(name, opinion)| println!("{name}: {}", words(opinion)));
        }
        Ok(is_clean)
    }
}

fn opinions(lines: &[Line]) -> Vec<(&'static str, Opinion)> {
    vec![("todc-utils", linearizable(lines)), ("adya", serializable(lines))]
}

/// Who had nothing to look at is not against anything.
fn is_against(opinion: &Opinion) -> bool {
    !matches!(opinion, Opinion::Valid(_))
}

fn words(opinion: &Opinion) -> String {
    match opinion {
        Opinion::Valid(0) => "found nothing in it that it can judge".to_owned(),
        Opinion::Valid(operations) => format!("valid, {operations} operations looked at"),
        Opinion::Invalid(what) => format!("INVALID: {what}"),
        Opinion::Unknown(why) => format!("UNKNOWN: {why}"),
    }
}
