//! `chronos cluster`

mod demo;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::failure::Outcome;

const EXAMPLES: &str = "\
Examples:
  chronos cluster demo
  chronos cluster demo --nodes 5";

/// Look at a cluster and steer it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Demo(demo::Demo),
}

impl Cluster {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Demo(demo) => Box::pin(demo.run(context)).await,
        }
    }
}
