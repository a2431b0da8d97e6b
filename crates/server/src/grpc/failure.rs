//! Errors of the use cases as failures of the wire.

use chronos_app::{Class, Error};
use chronos_proto::{Failure, error};
use tonic::Status;

/// The same error in the words of the wire.
pub(crate) fn failure(error: Error) -> Failure {
    let class = match error.class {
        Class::Rejected => error::Class::Rejected,
        Class::NotApplied => error::Class::NotApplied,
        Class::Unknown => error::Class::Unknown,
        Class::Failed => error::Class::Failed,
    };
    let mut failure = Failure::new(class, error.reason.as_str(), error.message);
    for (name, value) in error.details {
        failure = failure.with(name, value);
    }
    failure.retry_after_ms = error.retry_after_ms;
    failure
}

/// The end of a call that failed.
pub(super) fn status(error: Error) -> Status {
    failure(error).into_status()
}

#[cfg(test)]
mod tests {
    use chronos_app::Reason;
    use tonic::Code;

    use super::*;

    #[test]
    fn every_reason_reaches_the_caller_with_a_code_of_its_own_kind() {
        for reason in Reason::ALL {
            let error = Error::new(Class::NotApplied, reason, "what").with("partition", 3).retry_after_ms(20);
            let status = status(error);
            let back = Failure::from_status(&status);
            assert_eq!(back.reason, reason.as_str());
            assert_eq!(back.class, error::Class::NotApplied);
            assert_eq!(back.metadata["partition"], "3");
            assert_eq!(back.retry_after_ms, Some(20));
            assert_eq!(status.code() == Code::Internal, reason == Reason::Internal, "{reason:?}");
        }
    }
}
