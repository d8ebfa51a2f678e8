//! Who is asking: the organization, the actor, and what a key may do.

use serde::{Deserialize, Serialize};

use crate::ids::{KeyId, OrganizationId, UserId};
use crate::once::Once;

/// Who calls an operation, for the rows it may touch (I13) and for the audit entry.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The organization whose rows may be seen and touched.
    pub organization: OrganizationId,
    /// Who acts.
    pub actor: Actor,
    /// Set where the call is to be carried out once, however often it is sent.
    pub once: Option<Once>,
}

impl Caller {
    /// Somebody whose calls are carried out each time.
    pub fn new(organization: OrganizationId, actor: Actor) -> Self {
        Self { organization, actor, once: None }
    }
}

/// Who did something, as the audit log names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A holder of an API key.
    Key(KeyId),
    /// Somebody signed in to the dashboard.
    User(UserId),
    /// Somebody with a shell on the machine, through the command line.
    Operator,
    /// Abide itself: a timer, an expiry, an endpoint's 410.
    System,
}

/// What a key or a user may do. An operation asks for exactly one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Everything in the organization, keys and people's erasure included; nothing beyond it.
    #[serde(rename = "admin")]
    Admin,
    /// Read consents and policies.
    #[serde(rename = "consent:read")]
    ConsentRead,
    /// Record, change and withdraw consents; implies reading them.
    #[serde(rename = "consent:write")]
    ConsentWrite,
    /// Create, change and delete policies; implies reading them.
    #[serde(rename = "policies:write")]
    PoliciesWrite,
    /// Found organizations and list all there are. For whoever runs the installation: no other scope covers it, and only
    /// the command line gives it.
    #[serde(rename = "organizations:write")]
    OrganizationsWrite,
    /// Read endpoints and their deliveries.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Create, change, pause and delete endpoints; implies reading them.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// Read the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
}

impl Scope {
    /// Every scope, in the order help texts list them.
    pub const ALL: [Self; 8] = [
        Self::Admin,
        Self::ConsentRead,
        Self::ConsentWrite,
        Self::OrganizationsWrite,
        Self::PoliciesWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::AuditRead,
    ];

    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ConsentRead => "consent:read",
            Self::ConsentWrite => "consent:write",
            Self::OrganizationsWrite => "organizations:write",
            Self::PoliciesWrite => "policies:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::AuditRead => "audit:read",
        }
    }

    /// Reads the public name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether holding this scope allows what `wanted` allows.
    pub fn covers(self, wanted: Self) -> bool {
        self == wanted
            || match self {
                Self::Admin => wanted != Self::OrganizationsWrite,
                Self::ConsentWrite | Self::PoliciesWrite => wanted == Self::ConsentRead,
                Self::WebhooksWrite => wanted == Self::WebhooksRead,
                Self::ConsentRead
                | Self::OrganizationsWrite
                | Self::WebhooksRead
                | Self::AuditRead => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_what_they_say() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(scope));
            assert_eq!(Scope::Admin.covers(scope), scope != Scope::OrganizationsWrite);
            assert_eq!(Scope::OrganizationsWrite.covers(scope), scope == Scope::OrganizationsWrite);
            assert_eq!(scope.covers(Scope::Admin), scope == Scope::Admin);
        }
        assert!(Scope::ConsentWrite.covers(Scope::ConsentRead));
        assert!(!Scope::ConsentRead.covers(Scope::ConsentWrite));
        assert!(!Scope::PoliciesWrite.covers(Scope::ConsentWrite));
        assert!(!Scope::WebhooksWrite.covers(Scope::ConsentRead));
    }
}
