//! `GET /`: how the organization stands.

use askama::Template;

use super::layout::{Layout, Section};
use super::signed_in::SignedIn;
use super::{Answer, page as answer};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    layout: Layout,
    email: String,
    meaning: &'static str,
}

pub(crate) async fn page(who: SignedIn) -> Answer {
    let user = &who.session.user;
    answer(&Overview {
        layout: who.layout(Section::Overview),
        email: user.email.clone(),
        meaning: user.role.meaning(),
    })
}
