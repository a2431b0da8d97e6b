//! `chronos cluster events`

use chronos_client::ClusterAdmin;
use chronos_client::cluster::{Change, ChangeKind};

use crate::failure::{Failure, Outcome};
use crate::operator::page::{Page, Tone, is_painted};
use crate::operator::{failed, json};
use crate::output::{Format, Out};
use crate::{moment, stop_request};

pub(super) async fn run(admin: &ClusterAdmin, format: Format) -> Outcome {
    let mut changes = admin.watch().await.map_err(failed)?;
    let stopped = stop_request::signalled()?;
    let mut out = Out::new(format);
    let printing = async {
        while let Some(change) = changes.next().await.map_err(failed)? {
            match format {
                Format::Json => out.object(&json::change(&change))?,
                Format::Table => {
                    for line in page(&change).lines(is_painted()) {
                        out.line(line)?;
                    }
                }
            }
            out.flush()?; // whoever watches wants it now
        }
        Err::<(), Failure>(Failure::failed(
            "the node that was watched has ended the stream, as it does when it stops: what happens from now on is not shown \
             any more; watch again, or another node (--admin)",
        ))
    };
    tokio::select! {
        biased; // whoever has seen enough is not shown more
        () = stopped => Ok(()),
        ended = printing => ended,
    }
}

fn page(change: &Change) -> Page {
    let tone = match change.kind {
        ChangeKind::NodeDown => Tone::Bad,
        ChangeKind::NodeUp | ChangeKind::NodeJoined => Tone::Good,
        ChangeKind::Health | ChangeKind::NodeState | ChangeKind::NodeLeft => Tone::Warn,
        ChangeKind::NodeRestarted | ChangeKind::Leader | ChangeKind::Members | ChangeKind::Settings => {
            Tone::Plain
        }
    };
    let mut page = Page::default();
    page.line(tone, format!("{}  {:<9}  {}", moment::show(change.at), change.kind.as_str(), change.text));
    page
}
