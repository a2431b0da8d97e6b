//! `chronos repair`

use clap::Args;

use crate::cli::Context;
use crate::failure::Outcome;
use crate::operator::{Operator, Which};

const EXAMPLES: &str = "\
A node that finds damage in a partition neither serves it nor votes in its group until it is whole: damaged parts are \
fetched from other replicas, a damaged log is given up and caught up from the leader. It does so by itself. This has it \
try now, waits, and says what was wrong and what was done.

A node on its own has nobody to fetch from: restore a backup (chronos restore).

Examples:
  chronos repair
  chronos repair 7
  chronos repair 7 8 --node n2 --admin db1:7402

Exit code 1 when a replica is not whole after it; its line says why.";

/// Have damaged replicas made whole from the others
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Repair {
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    which: Which,
}

impl Repair {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let format = self.operator.format(context);
        let admin = self.operator.connect(context).await?;
        super::partition::repair(&admin, &self.which.into(), format).await
    }
}
