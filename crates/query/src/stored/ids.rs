//! Events that a question names by their ids.

use std::sync::Arc;

use chronos_domain::{EventId, Position};

use super::{View, numbers, tail};
use crate::error::Unreadable;
use crate::source::{Batches, Piece, Wish};
use crate::stats::Counters;
use crate::wanted::Extent;

/// Each is looked up alone, through the index of ids.
#[derive(Clone)]
pub(super) struct Named {
    view: View,
    ids: Vec<EventId>,
    wish: Arc<Wish>,
}

impl Named {
    pub(super) fn new(view: View, ids: Vec<EventId>, wish: Arc<Wish>) -> Named {
        Named { view, ids, wish }
    }
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl Piece for Named {
    fn is_file(&self) -> bool {
        false
    }

    fn extent(&self) -> Extent {
        let positions = numbers(&(Position::ZERO..=self.view.bound));
        Extent { partitions: self.view.number(), positions, recorded: i64::MIN..=i64::MAX }
    }

    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable> {
        let (this, counters) = (self.clone(), counters.clone());
        let found = move |id: &EventId| {
            let View { partition, bound, .. } = &this.view;
            let found = partition.by_id(this.view.space(), *id);
            let found = found.map_err(|fault| Unreadable::new(partition.id(), fault));
            let found = this.view.kept(found).transpose()?;
            Some(found.map(|event| (event.position <= *bound).then_some(event)).map(|event| {
                let events: Vec<_> = event.into_iter().collect();
                counters.id_rows_read.add(events.len());
                tail::batch(&events, &this.wish)
            }))
        };
        let ids = self.ids.clone();
        Ok(Box::new(ids.into_iter().filter_map(move |id| found(&id))))
    }
}
