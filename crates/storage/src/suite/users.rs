//! People who sign in: invited, signed in, changed, shut out.

use abide_core::access::{Actor, Caller};
use abide_core::ids::{SessionId, UserId};
use abide_core::user::{LINK_MILLIS, Role, SESSION_IDLE_MILLIS, SESSION_LIFE_MILLIS, UserState};

use super::world::{World, at, ok, refusal};
use crate::sealing::{Secret, SecretHash};
use crate::users::{NewLink, NewSession, NewUser, PasswordHash, User, UserPatch, Whose};
use crate::{PageWanted, Storage};

fn hash(word: &str) -> SecretHash {
    Secret::from(word.to_owned()).hash()
}

fn link(word: &str, until: i64) -> NewLink {
    NewLink { secret: hash(word), expires_at: at(until) }
}

fn password(word: &str) -> PasswordHash {
    PasswordHash(format!("$argon2id${word}"))
}

fn new(email: &str, role: Role) -> NewUser {
    NewUser { email: email.to_owned(), name: "Ada Lovelace".to_owned(), role }
}

impl World<'_> {
    async fn invite(&self, email: &str, role: Role, now: i64) -> User {
        let link = link(email, now + LINK_MILLIS);
        ok(self.store.users().invite(&self.by, new(email, role), link, at(now)).await)
    }

    /// An active user with the password `first`.
    async fn user(&self, email: &str, role: Role, now: i64) -> User {
        let invited = self.invite(email, role, now).await;
        let users = self.store.users();
        ok(users.redeem_link(invited.id, hash(email), password("first"), at(now)).await)
    }

    async fn sign_in(&self, user: UserId, word: &str, now: i64) -> SessionId {
        let by = Caller::new(self.organization, Actor::User(user));
        let session = NewSession { secret: hash("cookie"), browser: "Firefox".to_owned() };
        let users = self.store.users();
        ok(users.sign_in(&by, user, password(word), None, session, at(now)).await)
    }

    async fn is_signed_in(&self, session: SessionId, now: i64) -> bool {
        ok(self.store.users().session(session, at(now)).await).is_some()
    }

    async fn user_now(&self, user: UserId) -> User {
        let found = self.store.users().account(self.organization, Whose::Id(user)).await;
        ok(found).expect("the user").user
    }
}

/// I12: an invitation is used once, in time, and the user may then sign in; each step is in the audit log.
pub async fn an_invitation_makes_a_user(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    let made = world.invite(" Ada@Example.org ", Role::Developer, 1).await;
    assert_eq!((made.email.as_str(), made.name.as_str()), ("Ada@Example.org", "Ada Lovelace"));
    assert_eq!((made.state, made.role), (UserState::Invited, Role::Developer));
    assert_eq!(made.link_expires_at, Some(at(1 + LINK_MILLIS)));
    let problem = refusal(
        users.invite(&world.by, new("ada@EXAMPLE.org", Role::Owner), link("x", 9), at(2)).await,
    );
    assert_eq!(problem, "`email` belongs to a user of this organization already");
    for (email, name) in [("ada", "Ada"), ("b@example.org", " "), ("b@example.org", "a\nb")] {
        let bad = NewUser { name: name.to_owned(), ..new(email, Role::Owner) };
        refusal(users.invite(&world.by, bad, link("x", 9), at(2)).await);
    }
    let holder = ok(users.link_holder(made.id, at(LINK_MILLIS)).await).expect("a good link");
    assert!(holder.secret.matches(" Ada@Example.org ") && holder.organization_uri == "default");
    assert_eq!(holder.user, made);
    assert!(ok(users.link_holder(made.id, at(1 + LINK_MILLIS)).await).is_none(), "run out");
    for (word, now) in [("wrong", 2), (" Ada@Example.org ", 1 + LINK_MILLIS)] {
        refusal(users.redeem_link(made.id, hash(word), password("p"), at(now)).await);
    }
    let active =
        ok(users.redeem_link(made.id, hash(" Ada@Example.org "), password("p"), at(3)).await);
    assert_eq!((active.state, active.link_expires_at), (UserState::Active, None));
    refusal(users.redeem_link(made.id, hash(" Ada@Example.org "), password("q"), at(4)).await);
    assert!(ok(users.link_holder(made.id, at(4)).await).is_none(), "used up");
    let by_email = Whose::Email("ADA@example.ORG".to_owned());
    let account = ok(users.account(world.organization, by_email).await).expect("the account");
    assert_eq!((account.user, account.password), (active, Some(password("p"))));
    let nobody = Whose::Email("bob@example.org".to_owned());
    assert!(ok(users.account(world.organization, nobody).await).is_none());
    assert_eq!(
        world.deeds().await,
        ["user.set_password", "user.invite.developer", "organization.create"]
    );
    let audit = world.audit().await;
    assert_eq!((audit[0].actor.clone(), audit[0].object.clone()), {
        let user = made.id.to_string();
        (user.clone(), user)
    });
}

/// A newer link voids the one before; disabling voids it too.
pub async fn a_newer_link_voids_the_older(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    let made = world.invite("ada@example.org", Role::ReadOnly, 1).await;
    let again = ok(users.issue_link(&world.by, made.id, link("second", 900), at(2)).await);
    assert_eq!(again.link_expires_at, Some(at(900)));
    refusal(users.redeem_link(made.id, hash("ada@example.org"), password("p"), at(3)).await);
    ok(users.disable(&world.by, made.id, at(4)).await);
    refusal(users.redeem_link(made.id, hash("second"), password("p"), at(5)).await);
    let problem = refusal(users.issue_link(&world.by, made.id, link("third", 900), at(6)).await);
    assert!(problem.contains("enable them first"), "{problem}");
    let enabled = ok(users.enable(&world.by, made.id, at(7)).await);
    assert_eq!((enabled.state, enabled.link_expires_at), (UserState::Invited, None));
    ok(users.issue_link(&world.by, made.id, link("third", 900), at(8)).await);
    ok(users.redeem_link(made.id, hash("third"), password("p"), at(9)).await);
    let deeds = world.deeds().await;
    assert_eq!(
        deeds[..5],
        ["user.set_password", "user.issue_link", "user.enable", "user.disable", "user.issue_link"]
    );
}

/// A sign-in takes the password that was verified, of an active user, and opens a session until it is idle or old.
pub async fn sessions_live_for_their_time(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    let ada = world.user("ada@example.org", Role::Owner, 1).await;
    assert_eq!(ada.last_sign_in_at, None);
    let one = world.sign_in(ada.id, "first", 10).await;
    let found = ok(users.session(one, at(11)).await).expect("the session");
    assert!(found.secret.matches("cookie") && !found.secret.matches("other"));
    assert_eq!((found.user.id, found.organization_uri.as_str()), (ada.id, "default"));
    assert_eq!(found.user.last_sign_in_at, Some(at(10)));
    assert!(world.is_signed_in(one, 9 + SESSION_IDLE_MILLIS).await);
    assert!(!world.is_signed_in(one, 10 + SESSION_IDLE_MILLIS).await, "idle");
    // Used again and again, it ends all the same.
    let mut now = 10;
    while now + SESSION_IDLE_MILLIS < 10 + SESSION_LIFE_MILLIS {
        now += SESSION_IDLE_MILLIS - 1;
        assert!(world.is_signed_in(one, now).await, "{now}");
        ok(users.note_use(one, at(now)).await);
        ok(users.note_use(one, at(0)).await);
    }
    assert!(world.is_signed_in(one, 9 + SESSION_LIFE_MILLIS).await);
    assert!(!world.is_signed_in(one, 10 + SESSION_LIFE_MILLIS).await, "old");
    assert!(ok(users.session(SessionId::from_key(1), at(1)).await).is_none());

    let by = Caller::new(world.organization, Actor::User(ada.id));
    let session = NewSession { secret: hash("x"), browser: "Safari".to_owned() };
    let outdated = users.sign_in(&by, ada.id, password("other"), None, session.clone(), at(20));
    refusal(outdated.await);
    let rehashed = Some(password("stronger"));
    ok(users.sign_in(&by, ada.id, password("first"), rehashed, session, at(20)).await);
    let two = world.sign_in(ada.id, "stronger", 30).await;
    let mine = ok(users.sessions(world.organization, ada.id, at(31)).await);
    assert_eq!(mine.len(), 3);
    let browsers: Vec<_> = mine.iter().map(|session| session.browser.as_str()).collect();
    assert_eq!((mine[0].id, &browsers[..]), (one, &["Firefox", "Firefox", "Safari"][..]));
    assert_eq!(mine[1].id, two);
    for more in 0..60 {
        world.sign_in(ada.id, "stronger", 40 + more).await;
    }
    assert_eq!(ok(users.sessions(world.organization, ada.id, at(100)).await).len(), 50);
    assert_eq!(world.deeds().await[0], "user.sign_in");
}

/// What changes who somebody is ends their sessions: shut out, another role, another password; and they end them.
pub async fn sessions_end_with_what_they_stood_on(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    world.user("root@example.org", Role::Owner, 1).await;
    let ada = world.user("ada@example.org", Role::Developer, 1).await;
    let by_ada = Caller::new(world.organization, Actor::User(ada.id));

    let session = world.sign_in(ada.id, "first", 2).await;
    let renamed = UserPatch { name: Some("Ada K.".to_owned()), role: Some(Role::Developer) };
    let renamed = ok(users.change(&world.by, ada.id, renamed, at(3)).await);
    assert_eq!(renamed.name, "Ada K.");
    assert!(world.is_signed_in(session, 3).await, "a name and the same role end nothing");
    let role = UserPatch { role: Some(Role::ReadOnly), ..UserPatch::default() };
    assert_eq!(ok(users.change(&world.by, ada.id, role, at(3)).await).role, Role::ReadOnly);
    assert!(!world.is_signed_in(session, 3).await);

    let (one, two) =
        (world.sign_in(ada.id, "first", 4).await, world.sign_in(ada.id, "first", 4).await);
    let change = |verified: &str, new: &str| {
        users.change_password(&by_ada, ada.id, password(verified), password(new), one, at(5))
    };
    refusal(change("wrong", "second").await);
    ok(change("first", "second").await);
    assert!(world.is_signed_in(one, 5).await && !world.is_signed_in(two, 5).await);
    ok(users.issue_link(&world.by, ada.id, link("reset", 900), at(5)).await);
    ok(change("second", "third").await);
    refusal(users.redeem_link(ada.id, hash("reset"), password("fourth"), at(6)).await);
    ok(users.issue_link(&world.by, ada.id, link("reset", 900), at(6)).await);
    ok(users.redeem_link(ada.id, hash("reset"), password("fourth"), at(6)).await);
    assert!(!world.is_signed_in(one, 6).await, "a new password by link ends them all");

    let (one, two, three) = (
        world.sign_in(ada.id, "fourth", 7).await,
        world.sign_in(ada.id, "fourth", 7).await,
        world.sign_in(ada.id, "fourth", 7).await,
    );
    ok(users.end_session(&by_ada, ada.id, one, at(8)).await);
    refusal(users.end_session(&by_ada, ada.id, one, at(8)).await);
    assert!(!world.is_signed_in(one, 8).await && world.is_signed_in(two, 8).await);
    assert_eq!(ok(users.end_sessions(&by_ada, ada.id, at(8)).await), 2);
    assert_eq!(ok(users.end_sessions(&by_ada, ada.id, at(8)).await), 0);
    assert!(!world.is_signed_in(three, 8).await);

    let last = world.sign_in(ada.id, "fourth", 9).await;
    assert_eq!(ok(users.disable(&world.by, ada.id, at(10)).await).state, UserState::Disabled);
    ok(users.disable(&world.by, ada.id, at(10)).await);
    assert!(!world.is_signed_in(last, 10).await);
    let session = NewSession { secret: hash("x"), browser: String::new() };
    refusal(users.sign_in(&by_ada, ada.id, password("fourth"), None, session, at(10)).await);
    ok(users.enable(&world.by, ada.id, at(11)).await);
    ok(users.enable(&world.by, ada.id, at(11)).await);
    assert_eq!(world.user_now(ada.id).await.state, UserState::Active);
    assert!(!world.is_signed_in(last, 11).await, "what ended stays ended");
    let deeds = world.deeds().await;
    for (deed, times) in [
        ("user.rename", 1),
        ("user.role.read_only", 1),
        ("user.role.developer", 0),
        ("user.change_password", 2),
        ("user.end_session", 1),
        ("user.end_sessions", 1),
        ("user.disable", 1),
        ("user.enable", 1),
    ] {
        assert_eq!(deeds.iter().filter(|found| *found == deed).count(), times, "{deed}");
    }
}

/// The last active owner is neither demoted nor disabled; invited and disabled owners do not count.
pub async fn an_active_owner_stays(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    let ada = world.user("ada@example.org", Role::Owner, 1).await;
    let invited = world.invite("bob@example.org", Role::Owner, 2).await;
    let shut = world.user("cleo@example.org", Role::Owner, 2).await;
    ok(users.disable(&world.by, shut.id, at(3)).await);
    let demote = || UserPatch { role: Some(Role::Developer), ..UserPatch::default() };
    let before = world.audit().await;
    for problem in [
        refusal(users.change(&world.by, ada.id, demote(), at(4)).await),
        refusal(users.disable(&world.by, ada.id, at(4)).await),
    ] {
        assert!(problem.contains("last active owner"), "{problem}");
    }
    assert_eq!((world.user_now(ada.id).await, world.audit().await), (ada.clone(), before));
    ok(users.change(&world.by, invited.id, demote(), at(5)).await);
    ok(users.enable(&world.by, shut.id, at(6)).await);
    ok(users.change(&world.by, ada.id, demote(), at(7)).await);
    refusal(users.disable(&world.by, shut.id, at(8)).await);
}

/// An offer makes the first owner, once, in time, and only where nobody is yet.
pub async fn the_first_owner_takes_the_offer(store: &dyn Storage) {
    let world = World::new(store).await;
    let users = store.users();
    let organization = world.organization;
    assert!(ok(users.owner_offer(organization, at(1)).await).is_none());
    assert!(ok(users.offer_ownership(&world.by, link("one", 50), at(1)).await));
    assert!(ok(users.offer_ownership(&world.by, link("two", 60), at(1)).await));
    let offer = ok(users.owner_offer(organization, at(59)).await).expect("an offer");
    assert!(offer.secret.matches("two") && offer.organization_uri == "default");
    assert!(ok(users.owner_offer(organization, at(60)).await).is_none(), "run out");
    let take = |word: &str, now: i64| {
        let new = new("ada@example.org", Role::ReadOnly);
        users.take_ownership(organization, hash(word), new, password("p"), at(now))
    };
    refusal(take("one", 2).await);
    refusal(take("two", 60).await);
    let owner = ok(take("two", 3).await);
    assert_eq!((owner.role, owner.state), (Role::Owner, UserState::Active));
    refusal(take("two", 4).await);
    assert!(!ok(users.offer_ownership(&world.by, link("three", 90), at(5)).await));
    assert!(ok(users.owner_offer(organization, at(5)).await).is_none());

    let other = World::named(store, "other").await;
    assert!(ok(users.offer_ownership(&other.by, link("one", 50), at(1)).await));
    other.invite("bob@example.org", Role::Owner, 2).await;
    let new = new("eve@example.org", Role::Owner);
    let late = users.take_ownership(other.organization, hash("one"), new, password("p"), at(3));
    assert!(refusal(late.await).contains("does not exist"), "somebody is there");
}

/// I13: no id of one organization's user or session does anything when another asks; one address may be in both.
pub async fn i13_users_are_apart(store: &dyn Storage) {
    let (ours, theirs) = (World::named(store, "ours").await, World::named(store, "theirs").await);
    let users = store.users();
    let mine = ours.user("ada@example.org", Role::Owner, 1).await;
    let other = theirs.user("ada@example.org", Role::Owner, 1).await;
    assert_ne!(mine.id, other.id);
    let session = theirs.sign_in(other.id, "first", 2).await;
    let before = (theirs.audit().await, theirs.user_now(other.id).await);
    let (we, by) = (ours.organization, &ours.by);
    assert!(ok(users.account(we, Whose::Id(other.id)).await).is_none());
    let found = ok(users.account(we, Whose::Email("ada@example.org".to_owned())).await);
    assert_eq!(found.expect("our own").user.id, mine.id);
    let page = PageWanted { page: 1, limit: 100 };
    let listed = ok(users.list(we, page).await);
    assert_eq!((listed.total, listed.items), (1, vec![ours.user_now(mine.id).await]));
    let patch = UserPatch { role: Some(Role::ReadOnly), ..UserPatch::default() };
    refusal(users.change(by, other.id, patch, at(3)).await);
    refusal(users.disable(by, other.id, at(3)).await);
    refusal(users.enable(by, other.id, at(3)).await);
    refusal(users.issue_link(by, other.id, link("x", 9), at(3)).await);
    let new = NewSession { secret: hash("x"), browser: String::new() };
    refusal(users.sign_in(by, other.id, password("first"), None, new, at(3)).await);
    assert!(ok(users.sessions(we, other.id, at(3)).await).is_empty());
    refusal(users.end_session(by, other.id, session, at(3)).await);
    refusal(users.end_sessions(by, other.id, at(3)).await);
    let changed =
        users.change_password(by, other.id, password("first"), password("x"), session, at(3));
    refusal(changed.await);
    assert_eq!((theirs.audit().await, theirs.user_now(other.id).await), before);
    assert!(theirs.is_signed_in(session, 3).await);
}

/// Lists come by page, oldest first.
pub async fn users_are_listed_by_page(store: &dyn Storage) {
    let world = World::new(store).await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(world.invite(&format!("u{number}@example.org"), Role::ReadOnly, number).await);
    }
    for (page, expected) in [(1, &made[..2]), (2, &made[2..4]), (3, &made[4..]), (4, &[])] {
        let wanted = PageWanted { page, limit: 2 };
        let found = ok(world.store.users().list(world.organization, wanted).await);
        assert_eq!((found.total, &found.items[..]), (5, expected), "page {page}");
    }
    for (after, limit, expected) in
        [(None, 2, &made[..2]), (Some(made[1].id), 9, &made[2..]), (Some(made[4].id), 9, &[])]
    {
        let found = ok(world.store.users().after(world.organization, after, limit).await);
        assert_eq!(found, expected);
    }
}
