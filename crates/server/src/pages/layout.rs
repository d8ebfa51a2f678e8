//! What surrounds every page of somebody signed in: navigation, their name, a notice.

use abide_core::access::Scope;

use super::signed_in::SignedIn;

/// A part of the dashboard, as the navigation lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// How the organization stands.
    Overview,
    /// Where events are told.
    Endpoints,
    /// What was told, and how it went.
    Deliveries,
    /// Who calls the API.
    Keys,
    /// Who did what.
    Audit,
    /// Who signs in.
    Users,
    /// The signed-in person's own affairs.
    Account,
}

impl Section {
    /// In the order they are listed.
    const ALL: [Self; 7] = [
        Self::Overview,
        Self::Endpoints,
        Self::Deliveries,
        Self::Keys,
        Self::Audit,
        Self::Users,
        Self::Account,
    ];

    /// Its name, where it is, and what it takes to see it.
    fn entry(self) -> (&'static str, &'static str, Option<Scope>) {
        match self {
            Self::Overview => ("Overview", "/", None),
            Self::Endpoints => ("Endpoints", "/endpoints", Some(Scope::WebhooksRead)),
            Self::Deliveries => ("Deliveries", "/deliveries", Some(Scope::WebhooksRead)),
            Self::Keys => ("API keys", "/keys", Some(Scope::Admin)),
            Self::Audit => ("Audit log", "/audit", Some(Scope::AuditRead)),
            Self::Users => ("Users", "/users", Some(Scope::Admin)),
            Self::Account => ("Account", "/account", None),
        }
    }
}

/// What the template `signed_in.html` needs.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) navigation: Vec<Entry>,
    pub(crate) section: &'static str,
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) form_token: String,
    pub(crate) notice: Option<String>,
}

/// A line of the navigation.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) label: &'static str,
    pub(crate) path: &'static str,
    pub(crate) is_here: bool,
}

impl Layout {
    /// The surroundings of a page in that section. Lists only what the person may see.
    pub(crate) fn new(who: &SignedIn, here: Section) -> Self {
        let navigation = Section::ALL
            .into_iter()
            .map(|section| (section, section.entry()))
            .filter(|(_, (_, _, scope))| scope.is_none_or(|scope| who.may(scope)))
            .map(|(section, (label, path, _))| Entry { label, path, is_here: section == here })
            .collect();
        Self {
            navigation,
            section: here.entry().0,
            organization: who.session.organization_uri.clone(),
            name: who.session.user.name.clone(),
            role: who.session.user.role.label(),
            form_token: who.form_token.clone(),
            notice: who.notice.clone(),
        }
    }
}
