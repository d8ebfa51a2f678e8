//! Tests of the module of the same name.

use proptest::prelude::*;

use super::{super::testing::counting, *};

const KEY_A: &str = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=";
const KEY_B: &str = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";

fn fault(text: &str) -> ParseError {
    MasterKeys::parse(text.as_bytes()).expect_err("parsed")
}

#[test]
fn the_last_key_is_current() {
    let text = format!("# keys\n\nmk_0000000a {KEY_A}\n# newer\nmk_0000000b {KEY_B}\n");
    let keys = MasterKeys::parse(text.as_bytes()).unwrap();
    let ids: Vec<_> = keys.iter().map(|key| key.id().to_string()).collect();
    assert_eq!(ids, ["mk_0000000a", "mk_0000000b"]);
    assert_eq!(keys.current().id(), MasterId(0xb));
    assert_eq!(**keys.get(MasterId(0xa)).unwrap().bytes, [b'A'; 32]);
    assert!(keys.get(MasterId(0xc)).is_none());
}

#[test]
fn damaged_lines_are_named() {
    let good = format!("mk_0000000a {KEY_A}");
    let cases = [
        (format!("mk_0000000A {KEY_A}"), LineFault::Form),
        (format!("mk_000000a {KEY_A}"), LineFault::Form),
        (format!("mk_+000000a {KEY_A}"), LineFault::Form),
        (format!("0000000a {KEY_A}"), LineFault::Form),
        (format!(" {good}"), LineFault::Form),
        (format!("{good}\r"), LineFault::Form),
        (format!("{good} "), LineFault::Form),
        (format!("{good} mk_0000000b"), LineFault::Form),
        (KEY_A.to_owned(), LineFault::Form),
        ("mk_0000000a".to_owned(), LineFault::Form),
        ("mk_0000000a ".to_owned(), LineFault::Key),
        (good[..good.len() - 1].to_owned(), LineFault::Key),
        (good[..good.len() - 4].to_owned(), LineFault::Key),
        (format!("{good}AAAA"), LineFault::Key),
        (good.replacen("QU", "Q!", 1), LineFault::Key),
        // Bits beyond the 32nd byte: two spellings of one key.
        (good.replace("E=", "F="), LineFault::Key),
    ];
    for (line, expected) in cases {
        assert_eq!(
            fault(&format!("# head\n{line}\n")),
            ParseError::Line { line: 2, fault: expected },
            "{line:?}",
        );
    }
    let binary = [b"mk_0000000a \xff".as_slice(), KEY_A.as_bytes()].concat();
    let expected = ParseError::Line { line: 1, fault: LineFault::Form };
    assert_eq!(MasterKeys::parse(&binary).unwrap_err(), expected);
}

#[test]
fn ids_and_keys_are_distinct() {
    let same_id = format!("mk_0000000a {KEY_A}\nmk_0000000a {KEY_B}\n");
    assert_eq!(fault(&same_id), ParseError::Line { line: 2, fault: LineFault::IdTaken });
    let same_key = format!("mk_0000000a {KEY_A}\nmk_0000000b {KEY_A}\n");
    assert_eq!(fault(&same_key), ParseError::Line { line: 2, fault: LineFault::KeyTaken });
}

#[test]
fn a_text_without_keys_is_refused() {
    assert_eq!(fault(""), ParseError::NoKey);
    assert_eq!(fault("# nothing here\n"), ParseError::NoKey);
}

#[test]
fn a_written_key_reads_back() {
    let key = MasterKey::generate(&mut counting(1));
    let line = key.to_line();
    assert_eq!(line.len(), "mk_1a2b3c4d ".len() + 44 + 1);
    assert!(line.capacity() == 64, "the buffer grew, leaving a copy behind");
    let back = MasterKeys::parse(line.as_bytes()).unwrap();
    assert_eq!(back.current().id, key.id);
    assert_eq!(back.current().bytes, key.bytes);
}

#[test]
fn the_check_value_tells_keys_apart() {
    let text = format!("mk_0000000a {KEY_A}\nmk_0000000b {KEY_B}\n");
    let keys = MasterKeys::parse(text.as_bytes()).unwrap();
    // HMAC-SHA256 of the constant under 32 times 'A', first half: stored, so it must not change.
    let check = keys.get(MasterId(0xa)).unwrap().check_value();
    assert_eq!(u128::from_be_bytes(check), 0x595c_03cf_87bd_3250_55a7_063a_43a6_dacd);
    assert_ne!(check, keys.current().check_value());
}

/// I12: neither keys nor the errors about them show key material.
#[test]
fn debug_and_errors_show_no_key_material() {
    let keys = MasterKeys::parse(format!("mk_0000000a {KEY_A}").as_bytes()).unwrap();
    assert_eq!(format!("{keys:?}"), "MasterKeys { keys: [MasterKey { id: MasterId(10), .. }] }");
    let error = fault(&format!("mk_0000000a {KEY_A}x"));
    for shown in [format!("{error}"), format!("{error:?}")] {
        assert!(!shown.contains("QUFB"), "{shown}");
    }
    assert!(error.to_string().starts_with("line 1: the key must be 32 bytes"), "{error}");
}

proptest! {
    #[test]
    fn ids_read_back(id: u32) {
        prop_assert_eq!(MasterId(id).to_string().parse(), Ok(MasterId(id)));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(mk_[0-9a-f]{7,9} [A-Za-z0-9+/=]{40,48}\n?|#.*\n|.{0,9}){0,4}") {
        if let Ok(keys) = MasterKeys::parse(text.as_bytes()) {
            prop_assert!(keys.iter().len() > 0);
        }
    }
}
