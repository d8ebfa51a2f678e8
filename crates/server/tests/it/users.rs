//! Pages about users and one's own account.

use abide_core::user::Role;

use crate::browser::{Browser, PASSWORD, location};
use crate::support::World;

const ADA: &str = "ada@example.org";

/// Every page and deed of owners is closed to other roles, and listed to owners alone.
#[tokio::test]
async fn users_are_the_owners_affair() {
    let world = World::start().await;
    let ada = world.user(ADA, Role::Owner).await;
    for role in [Role::PrivacyOfficer, Role::Developer, Role::ReadOnly] {
        let mut browser = world.browser_of(&format!("{}@example.org", role.as_str()), role).await;
        let before = world.facts().await;
        assert!(!browser.get("/").await.text.contains("href=\"/users\""));
        for path in ["/users".to_owned(), "/users/new".to_owned(), format!("/users/{ada}")] {
            let reply = browser.get(&path).await;
            assert_eq!(reply.status, 403, "{path}");
            assert!(reply.text.contains("It takes: Owner."), "{}", reply.text);
        }
        let invite = [("name", "Eve"), ("email", "eve@example.org"), ("role", "owner")];
        assert_eq!(browser.post("/users", &invite).await.status, 403);
        for deed in ["", "/disable", "/enable", "/link", "/sessions/end"] {
            let reply = browser.post(&format!("/users/{ada}{deed}"), &invite).await;
            assert_eq!(reply.status, 403, "{deed}");
        }
        assert_eq!(world.facts().await, before);
        assert_eq!(browser.get("/account").await.status, 200);
    }
    let mut owner = Browser::new(&world);
    owner.sign_in(ADA, PASSWORD).await;
    let page = owner.get("/").await;
    assert!(page.text.contains("href=\"/users\""));
    assert!(page.text.contains("Ada &#60;b&#62;Lovelace") && !page.text.contains("<b>Lovelace"));
}

/// An invitation: a form with what is wrong at its fields and what was typed in them, then the link, then the person in.
#[tokio::test]
async fn an_owner_invites_somebody() {
    let world = World::start().await;
    let mut owner = world.browser_of(ADA, Role::Owner).await;
    owner.get("/users/new").await;
    let bad = [("name", "Bob \"B\" "), ("email", "bob"), ("role", "king")];
    let reply = owner.post("/users", &bad).await;
    assert_eq!(reply.status, 400);
    for part in [
        "value=\"Bob &#34;B&#34; \"",
        "value=\"bob\"",
        "id=\"email-problem\"",
        "id=\"role-problem\"",
    ] {
        assert!(reply.text.contains(part), "{part}: {}", reply.text);
    }
    assert!(!reply.text.contains("id=\"name-problem\""));
    let good = [("name", "Bob"), ("email", "bob@example.org"), ("role", "developer")];
    let reply = owner.post("/users", &good).await;
    let shows = location(&reply).to_owned();
    let reply = owner.get(&shows).await;
    assert_eq!(reply.status, 200);
    let (_, link) = reply.text.split_once("<code data-copy>https://abide.example.org").unwrap();
    let link = link.split('<').next().unwrap().to_owned();
    let reloaded = owner.get(&shows).await;
    assert_eq!(reloaded.status, 410, "shown once");
    assert!(!reloaded.text.contains(&link[6..]) && reloaded.text.contains("To the user"));
    assert!(!owner.get("/users").await.text.contains(&link[6..]), "shown once");
    assert!(owner.get("/users").await.text.contains("bob@example.org"));
    let again = owner.post("/users", &good).await;
    assert_eq!(again.status, 400);
    assert!(again.text.contains("Belongs to a user of this organization already."));
    let mut bob = Browser::new(&world);
    bob.get(&link).await;
    bob.post(&link, &[("password", PASSWORD), ("repeated", PASSWORD)]).await;
    assert_eq!(location(&bob.sign_in("bob@example.org", PASSWORD).await), "/");
    assert!(bob.get("/").await.text.contains("Developer"));
}

/// Changing a role, disabling and enabling: sessions end, notices say so, the last owner stays.
#[tokio::test]
async fn an_owner_changes_users() {
    let world = World::start().await;
    let mut owner = world.browser_of(ADA, Role::Owner).await;
    let mut bob = world.browser_of("bob@example.org", Role::Developer).await;
    let account = async |email: &str| {
        let whose = abide_storage::users::Whose::Email(email.to_owned());
        world.store.users().account(world.us.id, whose).await.unwrap().unwrap().user
    };
    let bob_page = format!("/users/{}", account("bob@example.org").await.id);
    let ada_page = format!("/users/{}", account(ADA).await.id);
    let reply = owner.post(&bob_page, &[("name", "Bob"), ("role", "read_only")]).await;
    assert_eq!(location(&reply), bob_page);
    let page = owner.get(&bob_page).await;
    assert!(page.text.contains("The user was changed.") && page.text.contains("<h1>Bob</h1>"));
    assert!(!bob.is_signed_in().await, "another role ends sessions");
    assert_eq!(account("bob@example.org").await.role, Role::ReadOnly);
    bob.sign_in("bob@example.org", PASSWORD).await;
    owner.post(&format!("{bob_page}/sessions/end"), &[]).await;
    assert!(!bob.is_signed_in().await);
    bob.sign_in("bob@example.org", PASSWORD).await;
    owner.post(&format!("{bob_page}/disable"), &[]).await;
    assert!(!bob.is_signed_in().await);
    assert_eq!(bob.sign_in("bob@example.org", PASSWORD).await.status, 403);
    owner.post(&format!("{bob_page}/enable"), &[]).await;
    assert_eq!(location(&bob.sign_in("bob@example.org", PASSWORD).await), "/");

    let reply = owner.post(&bob_page, &[("name", ""), ("role", "")]).await;
    assert_eq!(reply.status, 400);
    assert!(
        reply.text.contains("id=\"name-problem\"") && reply.text.contains("id=\"role-problem\"")
    );
    for (path, form) in [
        (ada_page.clone(), &[("name", "Ada"), ("role", "developer")][..]),
        (format!("{ada_page}/disable"), &[]),
    ] {
        let reply = owner.post(&path, form).await;
        assert_eq!(reply.status, 409);
        assert!(reply.text.contains("This is the last active owner"), "{}", reply.text);
    }
    for missing in ["/users/x", "/users/usr_00000000000000000000000000", "/users?page=9"] {
        assert_eq!(owner.get(missing).await.status, 404, "{missing}");
    }
    let them = world.tenant("them").await;
    let by = abide_core::access::Caller::new(them.id, abide_core::access::Actor::Operator);
    let users = world.store.users();
    let link = abide_storage::users::NewLink {
        secret: abide_storage::sealing::Secret::from("x".to_owned()).hash(),
        expires_at: abide_core::Timestamp::from_millis(i64::MAX),
    };
    let new = abide_storage::users::NewUser {
        email: "eve@example.org".to_owned(),
        name: "Eve".to_owned(),
        role: Role::Owner,
    };
    let foreign =
        users.invite(&by, new, link, abide_core::Timestamp::from_millis(0)).await.unwrap();
    let foreign = format!("/users/{}", foreign.id);
    assert_eq!(owner.get(&foreign).await.status, 404, "I13: not ours");
    for deed in ["", "/disable", "/enable", "/link", "/sessions/end"] {
        let form = [("name", "E"), ("role", "owner")];
        let reply = owner.post(&format!("{foreign}{deed}"), &form).await;
        assert_eq!(reply.status, 404, "{deed}");
    }
}

/// One's own account: name, password, sessions.
#[tokio::test]
async fn an_account_is_its_owners() {
    let world = World::start().await;
    let mut browser = world.browser_of(ADA, Role::ReadOnly).await;
    let mut phone = Browser::new(&world);
    phone.sign_in(ADA, PASSWORD).await;
    let page = browser.get("/account").await;
    assert_eq!(page.text.matches("data-label=\"Browser\"").count(), 2, "{}", page.text);
    browser.post("/account/name", &[("name", "Ada Byron")]).await;
    assert!(browser.get("/account").await.text.contains("Your name was changed."));
    assert_eq!(browser.post("/account/name", &[("name", " ")]).await.status, 400);

    let change = |current: &'static str, new: &'static str| {
        [("current", current), ("password", new), ("repeated", new)]
    };
    let new = "another horse battery";
    let wrong = browser.post("/account/password", &change("wrong", new)).await;
    assert_eq!(wrong.status, 403);
    assert!(wrong.text.contains("id=\"current-problem\"") && !wrong.text.contains(new));
    assert_eq!(browser.post("/account/password", &change(PASSWORD, "short")).await.status, 400);
    assert!(phone.is_signed_in().await);
    let done = browser.post("/account/password", &change(PASSWORD, new)).await;
    assert_eq!(location(&done), "/account");
    assert!(browser.is_signed_in().await && !phone.is_signed_in().await);
    assert_eq!(phone.sign_in(ADA, PASSWORD).await.status, 403);
    assert_eq!(location(&phone.sign_in(ADA, new).await), "/");

    for _ in 0..5 {
        browser.post("/account/password", &change("wrong", new)).await;
    }
    let often = browser.post("/account/password", &change(new, PASSWORD)).await;
    assert_eq!(often.status, 429, "guessing at an open session is limited too");

    let page = browser.get("/account").await.text;
    let others: Vec<_> = page
        .split("action=\"/account/sessions/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|path| path.starts_with("ses_"))
        .collect();
    assert_eq!(others.len(), 2);
    let foreign = world.browser_of("bob@example.org", Role::ReadOnly).await;
    let mut bob = foreign;
    for path in &others {
        bob.post(&format!("/account/sessions/{path}"), &[]).await;
    }
    assert!(phone.is_signed_in().await && browser.is_signed_in().await, "not theirs to end");
    // The last used stands first: the phone's was looked at before the browser's.
    for path in &others {
        if browser.cookies.contains_key(crate::browser::SESSION) {
            browser.post(&format!("/account/sessions/{path}"), &[]).await;
        }
    }
    browser.sign_in(ADA, new).await;
    phone.sign_in(ADA, new).await;
    browser.get("/account").await;
    let out = browser.post("/account/sessions/end", &[]).await;
    assert_eq!(location(&out), "/sign-in");
    assert!(!browser.is_signed_in().await && !phone.is_signed_in().await);
}

/// The first owner's link makes an owner, once.
#[tokio::test]
async fn the_first_owner_is_welcomed_once() {
    let world = World::start().await;
    let by = abide_core::access::Caller::new(world.us.id, abide_core::access::Actor::Operator);
    let secret = abide_storage::one_time::TokenSecret::mint(&[7; 32]);
    let now = abide_core::shell::Clock::now(&*world.clock);
    let link = abide_storage::users::NewLink {
        secret: secret.hash(),
        expires_at: now.plus_millis(abide_core::user::LINK_MILLIS),
    };
    assert!(world.store.users().offer_ownership(&by, link, now).await.unwrap());
    let path = format!("/welcome/{}", secret.issue(world.us.id).reveal());
    let mut browser = Browser::new(&world);
    assert!(browser.get(&path).await.text.contains("Set up your dashboard"));
    let bad = [("name", ""), ("email", "ada"), ("password", "short"), ("repeated", "")];
    let reply = browser.post(&path, &bad).await;
    assert_eq!(reply.status, 400);
    for field in ["name", "email", "password"] {
        assert!(reply.text.contains(&format!("id=\"{field}-problem\"")), "{field}");
    }
    let good = [("name", "Ada"), ("email", ADA), ("password", PASSWORD), ("repeated", PASSWORD)];
    assert_eq!(location(&browser.post(&path, &good).await), "/sign-in");
    assert_eq!(browser.post(&path, &good).await.status, 410);
    assert_eq!(location(&browser.sign_in(ADA, PASSWORD).await), "/");
    assert_eq!(browser.get("/users").await.status, 200);
}
