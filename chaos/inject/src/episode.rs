//! One fault in force, from its begin to its end.

use std::fmt;

use crate::error::Result;

type Undo = Box<dyn FnOnce() -> Result<()> + Send>;

/// A fault that is in force until it is healed. Dropping it heals it too; only [`Episode::heal`] can say that healing
/// failed to somebody who listens, so a drop that fails says so on the standard error.
#[must_use = "a fault ends when its episode is dropped"]
pub struct Episode {
    what: String,
    undo: Option<Undo>,
}

impl Episode {
    pub(crate) fn new(
        what: impl Into<String>,
        undo: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Episode {
        Episode { what: what.into(), undo: Some(Box::new(undo)) }
    }

    /// Many as one, healed in the reverse order of their begin.
    pub fn all(what: impl Into<String>, mut episodes: Vec<Episode>) -> Episode {
        Episode::new(what, move || {
            let mut outcome = Ok(());
            while let Some(last) = episodes.pop() {
                let healed = last.heal();
                outcome = outcome.and(healed);
            }
            outcome
        })
    }

    /// What is wrong while this lasts, in words: the kind and whom it hits.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Ends the fault.
    ///
    /// # Errors
    /// If the world could not be put right; the error says what is left as it was.
    pub fn heal(mut self) -> Result<()> {
        self.undo.take().map_or(Ok(()), |undo| undo())
    }
}

impl Drop for Episode {
    fn drop(&mut self) {
        if let Some(undo) = self.undo.take()
            && let Err(error) = undo()
        {
            eprintln!("could not heal: {}: {error}", self.what);
        }
    }
}

impl fmt::Debug for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Episode").field(&self.what).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::Error;

    #[test]
    fn an_episode_is_healed_once_by_heal_or_by_drop() {
        let healed = Arc::new(Mutex::new(0));
        let begin = || {
            let healed = healed.clone();
            Episode::new("test", move || {
                *healed.lock().unwrap() += 1;
                Ok(())
            })
        };
        begin().heal().unwrap();
        assert_eq!(*healed.lock().unwrap(), 1);
        drop(begin());
        assert_eq!(*healed.lock().unwrap(), 2);
    }

    #[test]
    fn many_are_healed_backwards_and_all_of_them_even_when_one_fails() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let episodes = (0..3).map(|n| {
            let order = order.clone();
            Episode::new(format!("{n}"), move || {
                order.lock().unwrap().push(n);
                if n == 1 { Err(Error::Unfit("one is stuck".into())) } else { Ok(()) }
            })
        });
        let error = Episode::all("many", episodes.collect()).heal().unwrap_err();
        assert_eq!(error.to_string(), "one is stuck");
        assert_eq!(*order.lock().unwrap(), [2, 1, 0]);
    }
}
