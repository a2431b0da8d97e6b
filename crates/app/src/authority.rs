//! Who may do what: the one function that decides.

use chronos_domain::TenantId;

use crate::error::Error;

/// Who asks. Surfaces derive it from credentials, never from the body of a request.
#[derive(Clone, Debug)]
pub struct Principal {
    tenant: TenantId,
}

impl Principal {
    /// Somebody who acts for `tenant`.
    #[must_use]
    pub const fn of(tenant: TenantId) -> Self {
        Self { tenant }
    }

    /// The tenant whose events this principal writes and sees.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

impl Default for Principal {
    /// The tenant `default`: until tenants are administered there is no other.
    fn default() -> Self {
        Self::of(TenantId::parse("default").expect("a valid tenant id"))
    }
}

/// What a principal wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write events of its tenant.
    Append,
    /// Read events of its tenant.
    Read,
    /// Read positions, counters and digests of the node.
    Observe,
    /// Erase events of its tenant.
    Truncate,
    /// Ask the node for work on its files.
    Administer,
}

/// Decides whether `principal` may do `action`.
///
/// There are no credentials yet, so every principal is one of an open server and may do all; every use case
/// asks here first, so that rules have one place to come to.
///
/// # Errors
/// None today.
pub const fn authorize(_principal: &Principal, action: Action) -> Result<(), Error> {
    match action {
        Action::Append | Action::Read | Action::Observe | Action::Truncate | Action::Administer => Ok(()),
    }
}
