//! Somebody at a browser: keeps cookies, sends forms with the token of the page they stand on.

use std::collections::BTreeMap;

use abide_core::access::{Actor, Caller};
use abide_core::ids::UserId;
use abide_core::user::Role;
use abide_storage::one_time::TokenSecret;
use abide_storage::users::{NewLink, NewUser};
use axum::body::Body;
use http::{Method, Request};

use crate::support::{Reply, World};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SESSION: &str = "__Host-abide-session";

/// A browser with its cookies.
pub(crate) struct Browser<'a> {
    pub(crate) world: &'a World,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Every `Set-Cookie` of the last answer.
    pub(crate) set: Vec<String>,
    /// The form token of the page last seen that had one.
    pub(crate) token: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, cookies: BTreeMap::new(), set: Vec::new(), token: String::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let request = self.request(Method::GET, path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Sends a form as the page last seen would.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token.clone();
        self.post_with(path, fields, &token, &[]).await
    }

    /// Sends a form and goes on to the page that it leads to.
    pub(crate) async fn post_through(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.post(path, fields).await;
        let next = location(&reply).to_owned();
        self.get(&next).await
    }

    /// Sends a form with some token and more headers.
    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        token: &str,
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.append_pair("form_token", token).extend_pairs(fields);
        let mut request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(text.finish())).unwrap()).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "abide.example.org")
            .header("cookie", cookies.join("; "))
    }

    async fn send(&mut self, request: Request<Body>) -> Reply {
        let reply = self.world.send(request).await;
        self.set.clear();
        for cookie in reply.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            self.set.push(cookie.to_owned());
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(token) = token_in(&reply.text) {
            self.token = token;
        }
        reply
    }

    /// Opens the sign-in page and signs in.
    pub(crate) async fn sign_in(&mut self, email: &str, password: &str) -> Reply {
        self.get("/sign-in").await;
        self.post("/sign-in", &[("email", email), ("password", password)]).await
    }

    pub(crate) async fn is_signed_in(&mut self) -> bool {
        self.get("/account").await.status == 200
    }
}

fn token_in(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("name=\"form_token\" value=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

/// Where a redirect leads.
pub(crate) fn location(reply: &Reply) -> &str {
    assert_eq!(reply.status, 303, "{reply:?}");
    reply.headers["location"].to_str().unwrap()
}

impl World {
    /// Invites somebody of ours; answers their id and the path of their link.
    pub(crate) async fn invited(&self, email: &str, role: Role) -> (UserId, String) {
        let by = Caller::new(self.us.id, Actor::Operator);
        let secret = TokenSecret::mint(&abide_core::shell::draw(&*self.chance));
        let now = self.now();
        let link = NewLink {
            secret: secret.hash(),
            expires_at: now.plus_millis(abide_core::user::INVITATION_MILLIS),
        };
        let new = NewUser { email: email.to_owned(), name: "Ada <b>Lovelace".to_owned(), role };
        let user = self.store.users().invite(&by, new, link, now).await.unwrap();
        (user.id, abide_server::link_path(&secret.issue(user.id)))
    }

    /// An active user of ours with [`PASSWORD`].
    pub(crate) async fn user(&self, email: &str, role: Role) -> UserId {
        let (id, link) = self.invited(email, role).await;
        let mut browser = Browser::new(self);
        browser.get(&link).await;
        let reply = browser.post(&link, &[("password", PASSWORD), ("repeated", PASSWORD)]).await;
        assert_eq!(location(&reply), "/sign-in");
        id
    }

    /// A browser in which a new user of that role is signed in.
    pub(crate) async fn browser_of(&self, email: &str, role: Role) -> Browser<'_> {
        self.user(email, role).await;
        let mut browser = Browser::new(self);
        let reply = browser.sign_in(email, PASSWORD).await;
        assert_eq!(location(&reply), "/");
        browser.get("/account").await;
        browser
    }

    fn now(&self) -> abide_core::Timestamp {
        abide_core::shell::Clock::now(&*self.clock)
    }
}
