//! Moments in parameters.

use chronos_app::{AsOf, Error};
use chronos_domain::{Rejection, Timestamp, Version};
use chronos_proto::{Moment, text};

/// A time, a token or a version. A version may be written `v12` where a bare number could be taken for a time.
pub(crate) fn as_of(text: &str) -> Result<AsOf, Error> {
    if let Some(Ok(version)) = text.strip_prefix('v').map(str::parse) {
        return Ok(AsOf::Version(Version::new(version)));
    }
    match text::parse_as_of(text).map_err(Rejection::from)? {
        Moment::Time(time) => Ok(AsOf::Timestamp(time)),
        Moment::Token(token) => Ok(AsOf::Token(token)),
        Moment::Version(version) => Ok(AsOf::Version(version)),
    }
}

/// A time.
pub(crate) fn time(field: &'static str, text: &str) -> Result<Timestamp, Error> {
    Ok(text::parse_time(field, text).map_err(Rejection::from)?)
}
