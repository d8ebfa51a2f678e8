//! The names that the schema allows are core's, and all of them.

use abide_core::consent::{LawfulBasis, PermissionState};
use abide_core::delivery::{DeliveryState, Run};
use abide_core::endpoint::{EndpointState, Source};
use abide_core::user::{Role, UserState};

const SCHEMA: &str = concat!(
    include_str!("../migrations/0001_begin.sql"),
    include_str!("../migrations/0004_users.sql")
);

/// What the CHECK of a column allows.
fn allowed(table: &str, column: &str) -> Vec<String> {
    let begin = format!("CREATE TABLE {table} (");
    let table = SCHEMA
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once("STRICT"))
        .expect("as the schema is written")
        .0;
    let begin = format!("CHECK ({column} = ");
    let names = table
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(')'))
        .expect("as the schema is written")
        .0;
    let names = names.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = |name: &str| name.trim().trim_matches('\'').to_owned();
    let again = format!("{column} = ");
    names.split(" OR ").map(|name| named(name.trim().trim_start_matches(&again))).collect()
}

/// I2: the states of the table are the states of the code.
#[test]
fn i2_checks_allow_what_core_knows() {
    let states = DeliveryState::ALL.map(DeliveryState::as_str);
    assert_eq!(allowed("deliveries", "state"), states);
    assert_eq!(allowed("deliveries", "run"), Run::ALL.map(Run::as_str));
    assert_eq!(allowed("endpoints", "state"), EndpointState::ALL.map(EndpointState::as_str));
    assert_eq!(allowed("endpoints", "source"), Source::ALL.map(Source::as_str));
    assert_eq!(allowed("decisions", "basis"), LawfulBasis::ALL.map(LawfulBasis::as_str));
    assert_eq!(allowed("users", "role"), Role::ALL.map(Role::as_str));
    assert_eq!(allowed("users", "state"), UserState::ALL.map(UserState::as_str));
    for table in ["decisions", "consents"] {
        assert_eq!(allowed(table, "state"), PermissionState::ALL.map(PermissionState::as_str));
    }
    let leased: Vec<_> = DeliveryState::ALL.iter().filter(|state| state.is_leased()).collect();
    let text = leased.iter().map(|state| format!("'{}'", state.as_str())).collect::<Vec<_>>();
    assert!(SCHEMA.contains(&format!("(lease IS NOT NULL) = (state IN ({}))", text.join(", "))));
}
