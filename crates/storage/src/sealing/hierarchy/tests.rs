//! Tests of the module of the same name.

use super::{
    super::{sealed_key_id, testing::counting},
    *,
};

const EMAIL: Place = Place { table: "identifiers", column: "value", row: 7 };

/// Two master keys; the second is current.
fn rotated() -> (MasterKeys, MasterKeys) {
    let old = MasterKeys::generate(&mut counting(1));
    let new = MasterKeys::generate(&mut counting(2));
    let lines = [old.current().to_line(), new.current().to_line()];
    let both = MasterKeys::parse(lines.map(|line| line.to_string()).concat().as_bytes()).unwrap();
    (old, both)
}

/// I11: a person's data opens after both keys above it were wrapped, stored and unwrapped.
#[test]
fn keys_survive_being_stored() {
    let masters = MasterKeys::generate(&mut counting(1));
    let (organization, wrapped) = OrganizationKeys::generate(&masters, 3, &mut counting(3));
    let (subject, wrapped_subject) = SubjectKey::generate(&organization, 9, &mut counting(4));
    let sealed = subject.seal(&EMAIL, b"ada@example.org");
    let blind = organization.index_key.blind("email", "ada@example.org");

    let organization = OrganizationKeys::unwrap(&masters, 3, &wrapped).unwrap();
    let subject = SubjectKey::unwrap(&organization, 9, &wrapped_subject).unwrap();
    assert_eq!(subject.open(&EMAIL, &sealed), Ok(b"ada@example.org".to_vec()));
    assert_eq!(organization.index_key.blind("email", "ada@example.org"), blind);
    assert_eq!(subject.id(), KeyId(9));
    assert_eq!(sealed_key_id(&sealed), Some(KeyId(9)));
    assert_eq!(sealed_key_id(&wrapped_subject), Some(KeyId(3)));
    let master_id = KeyId(masters.current().id().0.into());
    assert_eq!(sealed_key_id(&wrapped.wrapped_key), Some(master_id));
}

/// I11: rotating the master key loses nobody's data, and the old key is then not needed.
#[test]
fn rewrapped_keys_open_old_data() {
    let (old, both) = rotated();
    let (organization, wrapped) = OrganizationKeys::generate(&old, 3, &mut counting(3));
    let (subject, wrapped_subject) = SubjectKey::generate(&organization, 9, &mut counting(4));
    let sealed = subject.seal(&EMAIL, b"ada@example.org");
    let blind = organization.index_key.blind("email", "ada@example.org");

    let rewrapped = wrapped.rewrap(&both, 3).unwrap();
    assert_eq!(rewrapped.master_id, both.current().id());
    let new_only = MasterKeys::parse(both.current().to_line().as_bytes()).unwrap();
    let organization = OrganizationKeys::unwrap(&new_only, 3, &rewrapped).unwrap();
    let subject = SubjectKey::unwrap(&organization, 9, &wrapped_subject).unwrap();
    assert_eq!(subject.open(&EMAIL, &sealed), Ok(b"ada@example.org".to_vec()));
    assert_eq!(organization.index_key.blind("email", "ada@example.org"), blind);
    // A node that has not re-read the row yet still opens the old wrapping.
    assert!(OrganizationKeys::unwrap(&both, 3, &wrapped).is_ok());
}

#[test]
fn a_missing_master_key_is_named() {
    let (old, both) = rotated();
    let (_, wrapped) = OrganizationKeys::generate(&both, 3, &mut counting(3));
    let missing = UnwrapError::UnknownMaster(both.current().id());
    assert_eq!(OrganizationKeys::unwrap(&old, 3, &wrapped).unwrap_err(), missing);
    assert_eq!(wrapped.rewrap(&old, 3).unwrap_err(), missing);
}

#[test]
fn a_master_id_that_does_not_fit_its_bytes_is_noticed() {
    let (old, both) = rotated();
    let (_, wrapped) = OrganizationKeys::generate(&old, 3, &mut counting(3));
    let mislabelled = WrappedOrganizationKeys { master_id: both.current().id(), ..wrapped };
    let wanted = KeyId(old.current().id().0.into());
    let refused = OrganizationKeys::unwrap(&both, 3, &mislabelled).unwrap_err();
    assert_eq!(refused, UnwrapError::Open(OpenError::WrongKey { wanted }));
}

/// I11: a wrapped key copied into another row or column is no key there.
#[test]
fn wrapped_keys_open_in_their_place_alone() {
    let masters = MasterKeys::generate(&mut counting(1));
    let (organization, wrapped) = OrganizationKeys::generate(&masters, 3, &mut counting(3));
    let damaged = UnwrapError::Open(OpenError::Damaged);
    assert_eq!(OrganizationKeys::unwrap(&masters, 4, &wrapped).unwrap_err(), damaged);
    let swapped = WrappedOrganizationKeys {
        wrapped_key: wrapped.wrapped_index_key.clone(),
        wrapped_index_key: wrapped.wrapped_key.clone(),
        ..wrapped
    };
    assert_eq!(OrganizationKeys::unwrap(&masters, 3, &swapped).unwrap_err(), damaged);

    let (_, wrapped_subject) = SubjectKey::generate(&organization, 9, &mut counting(4));
    let moved = SubjectKey::unwrap(&organization, 10, &wrapped_subject).unwrap_err();
    assert_eq!(moved, OpenError::Damaged);
    let (other, _) = OrganizationKeys::generate(&masters, 4, &mut counting(5));
    let stranger = SubjectKey::unwrap(&other, 9, &wrapped_subject).unwrap_err();
    assert_eq!(stranger, OpenError::WrongKey { wanted: KeyId(3) });
}

#[test]
fn the_two_keys_of_an_organization_differ() {
    let masters = MasterKeys::generate(&mut counting(1));
    let (_, wrapped) = OrganizationKeys::generate(&masters, 3, &mut counting(3));
    let (key, index_key) = wrapped.open(&masters, 3).unwrap();
    assert_ne!(key, index_key);
}

#[test]
fn a_wrapped_key_of_another_length_is_damaged() {
    let under = SealingKey::new(KeyId(1), &[1; 32]);
    let place = Place { table: "requests", column: "wrapped_key", row: 5 };
    for len in [0, 16, 31, 33] {
        let wrapped = under.seal(&place, &vec![7; len]);
        let refused = under.unwrap(&place, KeyId(5), &wrapped).unwrap_err();
        assert_eq!(refused, OpenError::Damaged, "{len}");
    }
    let request_key = under.unwrap(&place, KeyId(5), &under.wrap(&place, &[7; 32])).unwrap();
    assert_eq!(request_key.id(), KeyId(5));
}

/// I12: keys in log lines show their numbers alone.
#[test]
fn debug_shows_no_key_material() {
    let masters = MasterKeys::generate(&mut counting(1));
    let (organization, wrapped) = OrganizationKeys::generate(&masters, 3, &mut counting(3));
    let (subject, _) = SubjectKey::generate(&organization, 9, &mut counting(4));
    assert_eq!(
        format!("{organization:?}"),
        "OrganizationKeys { key: SealingKey { id: KeyId(3), .. }, index_key: IndexKey(..) }",
    );
    assert_eq!(format!("{subject:?}"), "SubjectKey(SealingKey { id: KeyId(9), .. })");
    let id = masters.current().id();
    assert_eq!(
        format!("{wrapped:?}"),
        format!("WrappedOrganizationKeys {{ master_id: {id:?}, .. }}")
    );
}
