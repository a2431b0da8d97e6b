//! Up to where a backup is restored: a moment as a position bound in every partition.

use chronos_domain::{PartitionId, Position, Timestamp, Token};
use chronos_parts::{Manifest, Part};

use super::error::Error;
use super::history;
use super::listing::Listing;

/// Up to where to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// Everything in the backup.
    #[default]
    End,
    /// Everything up to the token's positions; nothing of a partition that it does not name.
    Token(Token),
    /// Everything recorded at this moment or before.
    Moment(Timestamp),
}

impl At {
    /// Refuses what the backup cannot give, before anything is read.
    pub(super) fn check(&self, listing: &Listing) -> Result<(), Error> {
        let end = listing.token();
        match self {
            At::Moment(asked) if *asked > listing.created_at => {
                Err(Error::Later { end: listing.created_at, asked: *asked })
            }
            At::Token(token) => {
                match token.iter().find(|(partition, position)| *position > end.get(*partition)) {
                    Some((partition, position)) => Err(Error::Beyond(format!(
                        "it has partition {partition} up to position {}, and {position} is asked for; give a token up to \
                     {end}, or a later backup",
                        end.get(partition)
                    ))),
                    None => Ok(()),
                }
            }
            At::End | At::Moment(_) => Ok(()),
        }
    }

    /// The last position to restore of a partition; zero for none.
    pub(super) fn bound(&self, manifest: &Manifest, parts: &[Part]) -> Result<Position, Error> {
        let partition: PartitionId = manifest.partition;
        Ok(match self {
            At::End => manifest.compacted,
            At::Token(token) => token.get(partition),
            At::Moment(moment) => history::bound_at(parts, *moment)?,
        })
    }
}
