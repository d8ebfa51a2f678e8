//! Signing in and out: what opens a page, what does not, and what an attacker would try.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use abide_core::user::{LINK_MILLIS, Role, SESSION_IDLE_MILLIS};
use abide_server::{Limits, serve};
use axum::body::Body;
use http::{Method, Request};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::browser::{Browser, PASSWORD, SESSION, location};
use crate::support::World;

const ADA: &str = "ada@example.org";

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_sign_in_and_back() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    let mut browser = Browser::new(&world);
    let reply = browser.get("/users?page=1").await;
    assert_eq!(location(&reply), "/sign-in?back=%2Fusers%3Fpage%3D1");
    let page = browser.get("/sign-in?back=%2Fusers%3Fpage%3D1").await;
    assert!(page.text.contains("name=\"back\" value=\"/users?page=1\""), "{}", page.text);
    let form = [("email", "ADA@example.org "), ("password", PASSWORD), ("back", "/users?page=1")];
    assert_eq!(location(&browser.post("/sign-in", &form).await), "/users?page=1");
    assert_eq!(browser.get("/users?page=1").await.status, 200);
    assert_eq!(location(&browser.get("/sign-in").await), "/", "signed in already");
    for back in ["//evil.example/", "https://evil.example/", "/\\evil.example"] {
        let mut browser = Browser::new(&world);
        browser.get("/sign-in").await;
        let form = [("email", ADA), ("password", PASSWORD), ("back", back)];
        assert_eq!(location(&browser.post("/sign-in", &form).await), "/", "{back}");
    }
}

/// The answer to a wrong password, an unknown address, an invited and a disabled user is one and the same, and what was
/// typed comes back, but for the password.
#[tokio::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    world.invited("bob@example.org", Role::Owner).await;
    let cleo = world.user("cleo@example.org", Role::ReadOnly).await;
    let mut owner = Browser::new(&world);
    owner.sign_in(ADA, PASSWORD).await;
    owner.get("/account").await;
    owner.post(&format!("/users/{cleo}/disable"), &[]).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (ADA, "wrong horse battery"),
        ("nobody@example.org", PASSWORD),
        ("bob@example.org", PASSWORD),
        ("cleo@example.org", PASSWORD),
        ("not an address", PASSWORD),
    ] {
        let mut browser = Browser::new(&world);
        let reply = browser.sign_in(email, password).await;
        assert_eq!(reply.status, 403, "{email}");
        assert!(!browser.cookies.contains_key(SESSION));
        assert!(reply.text.contains(&format!("value=\"{email}\"")), "what was typed comes back");
        assert!(!reply.text.contains(password), "{email}");
        answers.push(reply.text.replace(email, "").replace(&browser.token, ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mut browser = Browser::new(&world);
    let empty = browser.sign_in("", "").await;
    assert_eq!(empty.status, 400);
    assert!(empty.text.contains("id=\"email-problem\"") && empty.text.contains("Is needed."));
}

/// I12: the session's cookie is for this host, for https and for no script; its token is in no page and not in the store.
#[tokio::test]
async fn i12_the_cookie_is_held_close() {
    let world = World::start().await;
    let mut browser = Browser::new(&world);
    world.user(ADA, Role::Owner).await;
    browser.sign_in(ADA, PASSWORD).await;
    let [session, device] = &browser.set[..] else { panic!("{:?}", browser.set) };
    for (cookie, name, life) in [
        (session, "__Host-abide-session=", "Max-Age=604800"),
        (device, "__Host-abide-device=", "Max-Age=7776000"),
    ] {
        let attributes: Vec<_> = cookie.split("; ").skip(1).collect();
        assert!(cookie.starts_with(name), "{cookie}");
        assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Lax", "Secure", life]);
    }
    let mut with_device_alone = Browser::new(&world);
    with_device_alone.cookies = browser.cookies.clone();
    with_device_alone.cookies.remove(SESSION);
    assert!(!with_device_alone.is_signed_in().await, "it opens nothing");
    let token = browser.cookies[SESSION].clone();
    for path in ["/", "/account", "/users"] {
        let page = browser.get(path).await;
        assert!(page.status == 200 && !page.text.contains(&token), "{path}");
    }
}

/// A session known before the sign-in, or made up, is not the one after it.
#[tokio::test]
async fn a_session_cannot_be_fixed_beforehand() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Owner).await;
    let before = browser.cookies[SESSION].clone();
    browser.post("/sign-out", &[]).await;
    let mut victim = Browser::new(&world);
    victim.cookies.insert(SESSION.to_owned(), before.clone());
    assert_eq!(location(&victim.sign_in(ADA, PASSWORD).await), "/");
    assert_ne!(victim.cookies[SESSION], before);
    let mut attacker = Browser::new(&world);
    for made_up in [before.as_str(), "x", "", &"A".repeat(69), &"0".repeat(69)] {
        attacker.cookies.insert(SESSION.to_owned(), made_up.to_owned());
        assert!(!attacker.is_signed_in().await, "{made_up}");
    }
    // The right session with another secret.
    let token = victim.cookies[SESSION].clone();
    let end = if token.ends_with('A') { 'B' } else { 'A' };
    attacker.cookies.insert(SESSION.to_owned(), format!("{}{end}", &token[..68]));
    assert!(!attacker.is_signed_in().await);
}

/// Tries are limited per account and place, whether the account exists or not, and a right password does not help before
/// the time.
#[tokio::test]
async fn tries_are_limited_per_account() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    for email in [ADA, "nobody@example.org"] {
        let mut browser = Browser::new(&world);
        browser.get("/sign-in").await;
        let attempt = [("email", email), ("password", "wrong horse battery")];
        for _ in 0..5 {
            assert_eq!(browser.post("/sign-in", &attempt).await.status, 403);
        }
        let right = [("email", email), ("password", PASSWORD)];
        let early = browser.post("/sign-in", &right).await;
        assert_eq!(early.status, 429, "{email}");
        assert_eq!(early.headers["retry-after"], "1");
        assert!(early.text.contains("Too many attempts. Try again in a second."));
    }
    let mut browser = Browser::new(&world);
    world.clock.pass(1_000);
    assert_eq!(location(&browser.sign_in(ADA, PASSWORD).await), "/");
    let mut browser = Browser::new(&world);
    assert_eq!(location(&browser.sign_in(ADA, PASSWORD).await), "/", "and is forgiven");
}

/// A browser that has signed in before is counted by itself: what others try from its own network is no bar to it.
#[tokio::test]
async fn a_known_browser_is_kept_out_by_nobody_else() {
    let world = World::start().await;
    let mut known = world.browser_of(ADA, Role::Owner).await;
    known.post("/sign-out", &[]).await;
    let mut stranger = Browser::new(&world);
    for status in [403, 403, 403, 403, 403, 429] {
        assert_eq!(stranger.sign_in(ADA, "wrong horse battery").await.status, status);
    }
    assert_eq!(location(&known.sign_in(ADA, PASSWORD).await), "/");
    known.post("/sign-out", &[]).await;
    for status in [403, 403, 403, 403, 403, 429] {
        assert_eq!(known.sign_in(ADA, "wrong horse battery").await.status, status);
    }
    // What shows that a browser is known is of one account, and cannot be made up.
    world.user("bob@example.org", Role::Owner).await;
    let mut bob = Browser::new(&world);
    bob.sign_in("bob@example.org", PASSWORD).await;
    stranger.cookies.extend(bob.cookies.clone());
    stranger.cookies.remove(SESSION);
    assert_eq!(stranger.sign_in(ADA, PASSWORD).await.status, 429);
}

/// Wrong tries are a bar where they came from, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_elsewhere_keeps_nobody_out() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let router = world.router.clone();
    let ended = tokio::spawn(serve(listener, router, Limits::default(), async {
        let _ = stopped.await;
    }));
    let mut visitor = Browser::new(&world);
    visitor.get("/sign-in").await;
    let visit = visitor.cookies["__Host-abide-visit"].clone();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("form_token", &visitor.token).append_pair("email", ADA);
    let form = form.finish();
    let try_from = move |network: &str, password: &str| {
        let form = format!("{form}&password={}", password.replace(' ', "+"));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "POST /sign-in HTTP/1.1\r\nHost: abide.example.org\r\nConnection: close\r\n\
             X-Forwarded-For: {network}\r\nCookie: __Host-abide-visit={visit}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    tokio::task::spawn_blocking(move || {
        for status in ["403", "403", "403", "403", "403", "429"] {
            assert_eq!(try_from("203.0.113.7", "wrong horse battery"), status);
        }
        assert_eq!(try_from("203.0.113.7", PASSWORD), "429");
        // From very many places at once: the owner is slowed, and heard.
        for network in 0..46 {
            assert_eq!(try_from(&format!("192.0.2.{network}"), "wrong horse battery"), "403");
        }
        assert_eq!(try_from("198.51.100.1", PASSWORD), "303");
    })
    .await
    .unwrap();
    stop.send(()).unwrap();
    ended.await.unwrap();
}

/// However the organization is written, an account has one count.
#[tokio::test]
async fn an_account_is_counted_once_however_its_organization_is_written() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    let mut browser = Browser::new(&world);
    browser.get("/sign-in").await;
    for (organization, status) in
        [("", 403), ("us", 403), (" us", 403), ("us ", 403), ("", 403), ("us", 429), ("", 429)]
    {
        let form =
            [("organization", organization), ("email", ADA), ("password", "wrong horse battery")];
        assert_eq!(browser.post("/sign-in", &form).await.status, status, "`{organization}`");
    }
}

/// A form without its session's token, with another's, or sent from another site changes nothing.
#[tokio::test]
async fn a_form_that_is_not_ours_is_refused() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Owner).await;
    let mut other = world.browser_of("bob@example.org", Role::Owner).await;
    let (ours, theirs) = (browser.token.clone(), other.token.clone());
    assert_ne!(ours, theirs);
    let before = world.facts().await;
    let name = [("name", "Eve")];
    for (token, headers) in [
        ("", &[][..]),
        (&theirs, &[]),
        (&ours, &[("origin", "https://evil.example")]),
        (&ours, &[("origin", "null")]),
        (&ours, &[("sec-fetch-site", "cross-site")]),
        (&ours, &[("sec-fetch-site", "same-site"), ("origin", "https://abide.example.org")]),
    ] {
        for path in ["/account/name", "/account/sessions/end", "/users", "/sign-out"] {
            let reply = browser.post_with(path, &name, token, headers).await;
            assert_eq!(reply.status, 403, "{path} {headers:?}");
            assert!(reply.text.contains("out of date"));
        }
    }
    // The mark of a visitor is worth nothing to somebody signed in.
    let mut visitor = Browser::new(&world);
    visitor.get("/sign-in").await;
    browser.cookies.extend(visitor.cookies);
    let reply = browser.post_with("/account/name", &name, &visitor.token, &[]).await;
    assert_eq!(reply.status, 403);
    assert_eq!(world.facts().await, before);
    assert!(browser.is_signed_in().await && other.is_signed_in().await);
    let here = [("origin", "https://abide.example.org"), ("sec-fetch-site", "same-origin")];
    let reply = browser.post_with("/account/name", &name, &ours, &here).await;
    assert_eq!(location(&reply), "/account");

    // Nor is anybody signed in by a form of another site.
    let mut victim = Browser::new(&world);
    let form = [("email", ADA), ("password", PASSWORD)];
    assert_eq!(victim.post("/sign-in", &form).await.status, 403);
    victim.get("/sign-in").await;
    let reply = victim.post_with("/sign-in", &form, "", &[]).await;
    assert_eq!(reply.status, 403);
    let json = Request::builder()
        .method(Method::POST)
        .uri("/account/name")
        .header("cookie", format!("{SESSION}={}", browser.cookies[SESSION]))
        .header("content-type", "text/plain")
        .body(Body::from(format!("form_token={ours}&name=Eve")));
    assert_eq!(world.send(json.unwrap()).await.status, 415);
}

/// A cookie opens no API path, and a key no page.
#[tokio::test]
async fn a_cookie_opens_no_api_path() {
    let world = World::start().await;
    let browser = world.browser_of(ADA, Role::Owner).await;
    let token = &browser.cookies[SESSION];
    for path in ["/v1/webhooks", "/v1/policies", "/v1/consent/x", "/api/v1/webhooks"] {
        let request = Request::builder().uri(path).header("cookie", format!("{SESSION}={token}"));
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "UNAUTHORIZED"), "{path}");
        let request = Request::builder().uri(path).header("x-api-key", token);
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.status, 401);
    }
    for path in ["/", "/users", "/account"] {
        assert_eq!(world.get(path).await.status, 303, "a key opens no page");
    }
}

/// Sessions end by sign-out, when idle, when old, and with what they stood on.
#[tokio::test]
async fn a_session_ends_in_time() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::Owner).await;
    let copied = browser.cookies.clone();
    assert_eq!(location(&browser.post("/sign-out", &[]).await), "/sign-in");
    assert!(browser.get("/sign-in").await.text.contains("You are signed out."));
    assert!(!browser.get("/sign-in").await.text.contains("You are signed out."), "shown once");
    browser.cookies = copied;
    assert!(!browser.is_signed_in().await, "a copied cookie is worth nothing either");

    browser.sign_in(ADA, PASSWORD).await;
    for _ in 0..2 {
        world.clock.pass(SESSION_IDLE_MILLIS - 10 * 60 * 1_000);
        assert!(browser.is_signed_in().await, "it is used");
    }
    world.clock.pass(SESSION_IDLE_MILLIS);
    assert!(!browser.is_signed_in().await, "idle");
    browser.sign_in(ADA, PASSWORD).await;
    for _ in 0..14 {
        world.clock.pass(SESSION_IDLE_MILLIS - 1_000);
        browser.get("/account").await;
    }
    world.clock.pass(60_000);
    assert!(!browser.is_signed_in().await, "old, however busy");
}

/// A link works once, in time, and not beside a newer one; looking at it uses nothing up.
#[tokio::test]
async fn a_link_works_once_and_in_time() {
    let world = World::start().await;
    let mut owner = world.browser_of(ADA, Role::Owner).await;
    let (bob, first) = world.invited("bob@example.org", Role::Developer).await;
    let mut browser = Browser::new(&world);
    for _ in 0..2 {
        let page = browser.get(&first).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("Welcome, Ada &#60;b&#62;Lovelace"), "{}", page.text);
    }
    for (password, repeated, wrong) in [
        ("short", "short", "password"),
        ("for bob@example.org", "for bob@example.org", "password"),
        (PASSWORD, "another horse", "repeated"),
    ] {
        let form = [("password", password), ("repeated", repeated)];
        let reply = browser.post(&first, &form).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text.contains(&format!("id=\"{wrong}-problem\"")), "{}", reply.text);
        assert!(!reply.text.contains(&format!("value=\"{password}\"")));
    }
    let issued = owner.post_through(&format!("/users/{bob}/link"), &[]).await;
    let (_, second) = issued.text.split_once("<code data-copy>https://abide.example.org").unwrap();
    let second = second.split('<').next().unwrap().to_owned();
    let form = [("password", PASSWORD), ("repeated", PASSWORD)];
    let gone = browser.post(&first, &form).await;
    assert_eq!(gone.status, 410, "replaced");
    assert!(gone.text.contains("no longer good"));
    assert_eq!(browser.get(&first).await.status, 410);
    world.clock.pass(abide_core::user::INVITATION_MILLIS - 1);
    assert_eq!(browser.get(&second).await.status, 200);
    world.clock.pass(1);
    assert_eq!(browser.get(&second).await.status, 410, "run out");
    assert_eq!(browser.post(&second, &form).await.status, 410);

    owner.sign_in(ADA, PASSWORD).await;
    owner.get("/account").await;
    let issued = owner.post_through(&format!("/users/{bob}/link"), &[]).await;
    let (_, third) = issued.text.split_once("<code data-copy>https://abide.example.org").unwrap();
    let third = third.split('<').next().unwrap().to_owned();
    browser.get(&third).await;
    assert_eq!(location(&browser.post(&third, &form).await), "/sign-in");
    assert_eq!(browser.post(&third, &form).await.status, 410, "used");
    assert_eq!(location(&browser.sign_in("bob@example.org", PASSWORD).await), "/");

    // For a password in place of one: a day, and every session ends.
    let issued = owner.post_through(&format!("/users/{bob}/link"), &[]).await;
    let (_, reset) = issued.text.split_once("<code data-copy>https://abide.example.org").unwrap();
    let reset = reset.split('<').next().unwrap().to_owned();
    let mut elsewhere = Browser::new(&world);
    assert!(elsewhere.get(&reset).await.text.contains("Choose a new password"));
    let new = [("password", "another horse battery"), ("repeated", "another horse battery")];
    assert!(browser.is_signed_in().await);
    elsewhere.post(&reset, &new).await;
    assert!(!browser.is_signed_in().await);
    assert_eq!(browser.sign_in("bob@example.org", PASSWORD).await.status, 403);
    let issued = owner.post_through(&format!("/users/{bob}/link"), &[]).await;
    let (_, late) = issued.text.split_once("<code data-copy>https://abide.example.org").unwrap();
    world.clock.pass(LINK_MILLIS);
    assert_eq!(browser.get(late.split('<').next().unwrap()).await.status, 410);
    for nonsense in ["/link/x", &format!("/link/{}", "0".repeat(69)), "/welcome/x"] {
        assert_eq!(browser.get(nonsense).await.status, 410, "{nonsense}");
    }
}

/// With several organizations the sign-in asks which; one address may be in both, with its own password.
#[tokio::test]
async fn i13_several_organizations_are_told_apart() {
    let world = World::start().await;
    world.user(ADA, Role::Owner).await;
    let mut browser = Browser::new(&world);
    assert!(!browser.get("/sign-in").await.text.contains("name=\"organization\""));
    world.tenant("them").await;
    assert!(browser.get("/sign-in").await.text.contains("name=\"organization\""));
    for (organization, status) in [("", 403), ("them", 403), ("nobody", 403), ("us", 303)] {
        let form = [("organization", organization), ("email", ADA), ("password", PASSWORD)];
        browser.get("/sign-in").await;
        let reply = browser.post("/sign-in", &form).await;
        assert_eq!(reply.status, status, "{organization}");
    }
}
