//! The people who sign in to the dashboard: what their roles allow, and for how long a link and a session are good.

use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::policy::text_field;
use crate::{Refusal, Timestamp};

/// What a user is there for. Each role is a set of scopes, so that pages and API ask for the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in the organization; users and API keys are theirs alone. At least one active owner stays.
    Owner,
    /// The people's side: consents and policies; sees endpoints, their deliveries and the audit log.
    PrivacyOfficer,
    /// The machines' side: endpoints and their deliveries. Of consents they see what a delivery shows, which is ids and
    /// kinds and nothing about a person.
    Developer,
    /// Sees consents, policies, endpoints, deliveries and the audit log, and changes nothing.
    ReadOnly,
}

impl Role {
    /// Every role, the one that may do most first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::PrivacyOfficer, Self::Developer, Self::ReadOnly];

    /// The stored name, also on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::PrivacyOfficer => "privacy_officer",
            Self::Developer => "developer",
            Self::ReadOnly => "read_only",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::PrivacyOfficer => "Privacy officer",
            Self::Developer => "Developer",
            Self::ReadOnly => "Read-only",
        }
    }

    /// What it means, in a sentence for people who choose it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Owner => "Everything, users and API keys included.",
            Self::PrivacyOfficer => {
                "Manages consents and policies; sees endpoints and the audit log."
            }
            Self::Developer => "Manages endpoints and their deliveries; sees nothing about people.",
            Self::ReadOnly => "Sees everything but users and API keys; changes nothing.",
        }
    }

    /// The scopes of the role.
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Owner => &[Scope::Admin],
            Self::PrivacyOfficer => {
                &[Scope::ConsentWrite, Scope::PoliciesWrite, Scope::WebhooksRead, Scope::AuditRead]
            }
            Self::Developer => &[Scope::WebhooksWrite],
            Self::ReadOnly => &[Scope::ConsentRead, Scope::WebhooksRead, Scope::AuditRead],
        }
    }

    /// Whether the role allows what `wanted` allows.
    pub fn covers(self, wanted: Scope) -> bool {
        self.scopes().iter().any(|held| held.covers(wanted))
    }
}

/// Where a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    /// Has not chosen a password yet.
    Invited,
    /// May sign in.
    Active,
    /// May not sign in; no link and no session of theirs is good.
    Disabled,
}

impl UserState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Invited, Self::Active, Self::Disabled];

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A session that nobody used for so long is over, in milliseconds: 12 hours.
pub const SESSION_IDLE_MILLIS: i64 = 12 * HOUR;
/// A session is over so long after its sign-in, however busy, in milliseconds: 7 days.
pub const SESSION_LIFE_MILLIS: i64 = 7 * 24 * HOUR;
/// How long a one-time link of an invitation is good, in milliseconds: 7 days.
pub const INVITATION_MILLIS: i64 = 7 * 24 * HOUR;
/// How long a link for a new password, or for the first owner, is good, in milliseconds: 24 hours.
pub const LINK_MILLIS: i64 = 24 * HOUR;

const HOUR: i64 = 60 * 60 * 1_000;

/// Longest e-mail address, in bytes: what fits into a mail's envelope.
const EMAIL_LIMIT: usize = 254;
/// Fewest characters of a password.
const PASSWORD_LEAST: usize = 12;
/// Most bytes of a password: more than anybody types, and bounded work to hash.
const PASSWORD_MOST: usize = 512;

/// Until when a session is good that began and was last used then.
pub fn session_ends_at(created_at: Timestamp, last_seen_at: Timestamp) -> Timestamp {
    let idle = last_seen_at.plus_millis(SESSION_IDLE_MILLIS);
    idle.min(created_at.plus_millis(SESSION_LIFE_MILLIS))
}

/// Until when a link issued now to a user in that state is good.
pub fn link_ends_at(state: UserState, now: Timestamp) -> Timestamp {
    match state {
        UserState::Invited => now.plus_millis(INVITATION_MILLIS),
        UserState::Active | UserState::Disabled => now.plus_millis(LINK_MILLIS),
    }
}

/// Refuses what cannot be the address of a mailbox. Whether mail arrives there is not judged.
pub fn check_email(email: &str) -> Result<(), Refusal> {
    let email = email.trim();
    let sound = |c: char| !c.is_whitespace() && !c.is_control() && !"<>()[],;:\\\"".contains(c);
    let whole = email.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !local.contains('@')
            && !domain.is_empty()
            && !domain.starts_with('.')
            && !domain.ends_with('.')
    });
    if whole && email.len() <= EMAIL_LIMIT && email.chars().all(sound) {
        return Ok(());
    }
    Err(Refusal::field("email", "must be an e-mail address, such as ada@example.org"))
}

/// Refuses what cannot be shown as somebody's name.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    text_field("name", name, 100)
}

/// Refuses a password that is too short to withstand guessing, too long to hash at will, or names its owner. No rule asks
/// for kinds of characters: length is what helps, and such rules make passwords alike.
pub fn check_password(password: &str, email: &str) -> Result<(), Refusal> {
    let problem = if password.chars().count() < PASSWORD_LEAST {
        "must be at least 12 characters long; several words do well"
    } else if password.len() > PASSWORD_MOST {
        "must be at most 512 bytes long"
    } else if password.trim().is_empty() {
        "must not be blank"
    } else if password.chars().all(|c| password.starts_with(c)) {
        "must not repeat one character"
    } else if !email.is_empty() && password.to_lowercase().contains(&email.trim().to_lowercase()) {
        "must not contain the e-mail address"
    } else {
        return Ok(());
    };
    Err(Refusal::field("password", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_allow_what_they_say() {
        use Scope::{
            Admin, AuditRead, ConsentRead, ConsentWrite, PoliciesWrite, WebhooksRead, WebhooksWrite,
        };
        let allowed = |role: Role| {
            Scope::ALL.into_iter().filter(|scope| role.covers(*scope)).collect::<Vec<_>>()
        };
        let in_the_organization = |scope: &Scope| *scope != Scope::OrganizationsWrite;
        let all: Vec<_> = Scope::ALL.into_iter().filter(in_the_organization).collect();
        assert_eq!(allowed(Role::Owner), all);
        assert_eq!(
            allowed(Role::PrivacyOfficer),
            [ConsentRead, ConsentWrite, PoliciesWrite, WebhooksRead, AuditRead]
        );
        assert_eq!(allowed(Role::Developer), [WebhooksRead, WebhooksWrite]);
        assert_eq!(allowed(Role::ReadOnly), [ConsentRead, WebhooksRead, AuditRead]);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(role.covers(Admin), role == Role::Owner);
        }
        for state in UserState::ALL {
            assert_eq!(UserState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_session_ends_when_idle_or_old() {
        let at = |hours: i64| Timestamp::from_millis(hours * HOUR);
        assert_eq!(session_ends_at(at(0), at(0)), at(12));
        assert_eq!(session_ends_at(at(0), at(11)), at(23));
        assert_eq!(session_ends_at(at(0), at(167)), at(168));
        assert_eq!(link_ends_at(UserState::Invited, at(0)), at(168));
        assert_eq!(link_ends_at(UserState::Active, at(0)), at(24));
    }

    #[test]
    fn addresses_are_judged_by_their_form() {
        for good in ["ada@example.org", " Ada+news@sub.example.org ", "ä@exämple.de", "a@localhost"]
        {
            assert_eq!(check_email(good), Ok(()), "{good}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for bad in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a@b@c",
            "a b@c.d",
            "a@.d",
            "a@d.",
            "a\n@c.d",
            "<ada@example.org>",
            long.as_str(),
        ] {
            assert!(check_email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_judged_by_length_and_by_what_is_plainly_guessed() {
        for good in ["correct horse battery", "zwölf Zeichen", "  spaces are kept  "] {
            assert_eq!(check_password(good, "ada@example.org"), Ok(()), "{good}");
        }
        let long = "ab".repeat(257);
        for bad in [
            "",
            "elf Zeichen",
            "aaaaaaaaaaaaaaaa",
            "                ",
            "X-ADA@example.org-1",
            &long,
        ] {
            assert!(check_password(bad, "ada@example.org").is_err(), "{bad}");
        }
    }
}
