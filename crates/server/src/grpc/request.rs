//! What reads have in common, as messages of the wire.

use chronos_app::{AsOf, Consistency, Error};
use chronos_block::Filter;
use chronos_domain::{Rejection, Token};
use chronos_proto::{Moment, read, v1};

pub(super) fn as_of(message: Option<v1::AsOf>) -> Result<Option<AsOf>, Error> {
    let moment = message.map(Moment::try_from).transpose().map_err(Rejection::from)?;
    Ok(moment.map(|moment| match moment {
        Moment::Time(time) => AsOf::Timestamp(time),
        Moment::Token(token) => AsOf::Token(token),
        Moment::Version(version) => AsOf::Version(version),
    }))
}

pub(super) fn consistency(
    message: Option<v1::Consistency>,
    default: Consistency,
) -> Result<Consistency, Error> {
    let level = message.map(chronos_proto::Consistency::try_from).transpose().map_err(Rejection::from)?;
    Ok(level.map_or(default, |level| match level {
        chronos_proto::Consistency::Linearizable => Consistency::Linearizable,
        chronos_proto::Consistency::AtLeast(token) => Consistency::AtLeast(token),
        chronos_proto::Consistency::Local => Consistency::Local,
    }))
}

pub(super) fn filter(message: Option<v1::Filter>) -> Result<Filter, Error> {
    Ok(read::filter(message.unwrap_or_default()).map_err(Rejection::from)?)
}

/// Where to go on; from the start when empty.
pub(super) fn cursor(text: &str) -> Result<Option<Token>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Token::parse(text).map_err(Rejection::from)?))
}
