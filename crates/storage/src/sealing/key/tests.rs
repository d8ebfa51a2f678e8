//! Tests of the module of the same name.

use proptest::prelude::*;

use super::*;

const EMAIL: Place = Place { table: "identifiers", column: "value", row: 7 };

fn key(id: u64) -> SealingKey {
    SealingKey::new(KeyId(id), &[id as u8; 32])
}

proptest! {
    /// I11: what was sealed opens, under its own key and in its own place only.
    #[test]
    fn sealed_bytes_open_in_their_place_alone(
        plain in proptest::collection::vec(any::<u8>(), 0..700),
        row: i64,
        other_row: i64,
    ) {
        prop_assume!(row != other_row);
        let (key, home) = (key(1), Place { row, ..EMAIL });
        let sealed = key.seal(&home, &plain);
        prop_assert_eq!(sealed.len(), plain.len() + SEALED_OVERHEAD);
        prop_assert_eq!(sealed.capacity(), sealed.len());
        prop_assert_eq!(key.open(&home, &sealed), Ok(plain));
        for elsewhere in [
            Place { row: other_row, ..home },
            Place { column: "label", ..home },
            Place { table: "mails", ..home },
            Place { table: "identifier", column: "svalue", ..home },
        ] {
            prop_assert_eq!(key.open(&elsewhere, &sealed), Err(OpenError::Damaged));
        }
    }

    /// I11: altered bytes never open as something else.
    #[test]
    fn any_flipped_bit_is_noticed(
        plain in proptest::collection::vec(any::<u8>(), 0..40),
        bit in 0_u8..8,
    ) {
        let key = key(1);
        let sealed = key.seal(&EMAIL, &plain);
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            let refused = key.open(&EMAIL, &flipped).expect_err("opened although altered");
            let expected = match at {
                0 => OpenError::UnknownVersion,
                KEY_ID_AT..NONCE_AT => {
                    OpenError::WrongKey { wanted: sealed_key_id(&flipped).expect("still has an id") }
                }
                _ => OpenError::Damaged,
            };
            prop_assert_eq!(refused, expected);
        }
        for len in 0..sealed.len() {
            prop_assert_eq!(key.open(&EMAIL, &sealed[..len]), Err(OpenError::Damaged));
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert!(key(1).open(&EMAIL, &bytes).is_err());
    }
}

#[test]
fn another_key_names_the_one_wanted() {
    let sealed = key(1).seal(&EMAIL, b"ada@example.org");
    assert_eq!(sealed_key_id(&sealed), Some(KeyId(1)));
    assert_eq!(key(2).open(&EMAIL, &sealed), Err(OpenError::WrongKey { wanted: KeyId(1) }));
}

#[test]
fn the_right_id_on_the_wrong_key_does_not_open() {
    let sealed = key(1).seal(&EMAIL, b"ada@example.org");
    let impostor = SealingKey::new(KeyId(1), &[9; 32]);
    assert_eq!(impostor.open(&EMAIL, &sealed), Err(OpenError::Damaged));
}

/// I11: sealing the same text twice does not show that it is the same.
#[test]
fn equal_texts_are_sealed_unequally() {
    let key = key(1);
    let sealed = key.seal(&EMAIL, b"ada@example.org");
    let again = key.seal(&EMAIL, b"ada@example.org");
    assert_ne!(sealed[NONCE_AT..TEXT_AT], again[NONCE_AT..TEXT_AT]);
    assert_ne!(sealed[TEXT_AT..], again[TEXT_AT..]);
}

/// The format is stored for years: these bytes were sealed by the first version.
#[test]
fn bytes_sealed_by_earlier_versions_open() {
    let sealed = include_bytes!("sealed_v1.bin");
    let key = SealingKey::new(KeyId(0x0102_0304_0506_0708), &[0x42; 32]);
    assert_eq!(key.open(&EMAIL, sealed), Ok(b"ada@example.org".to_vec()));
}

#[test]
fn a_row_id_is_a_key_id_bit_for_bit() {
    assert_eq!(KeyId::of_row(7), KeyId(7));
    assert_eq!(KeyId::of_row(-1), KeyId(u64::MAX));
}

#[test]
#[should_panic(expected = "longer than 63 bytes")]
fn a_name_that_no_database_takes_is_refused() {
    let table = "a_table_whose_name_goes_on_and_on_and_on_until_postgresql_cuts_it";
    key(1).seal(&Place { table, ..EMAIL }, b"");
}

/// Beside these bytes a key holds one heap block, the C library's cipher context with the AES and
/// GHASH tables, of about 600 bytes: 20,000 keys stay below 14 MB.
#[test]
fn a_key_is_small_enough_to_cache() {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<SealingKey>();
    assert!(size_of::<SealingKey>() <= 48, "{} bytes", size_of::<SealingKey>());
}

/// I12: a key in a log line shows its number alone.
#[test]
fn debug_shows_no_key_material() {
    let shown = format!("{:?}", SealingKey::new(KeyId(5), &[0xab; 32]));
    assert_eq!(shown, "SealingKey { id: KeyId(5), .. }");
}
