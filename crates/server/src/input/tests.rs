//! Fields as callers send them, in every way we know.

use super::*;

const SUBJECT: Name = Name(&["subject_id", "subjectId", "userReference"]);
const GRANTED: Name = Name(&["granted", "consentGiven"]);

fn problems(body: &str, read: impl FnOnce(&mut Fields<'_>)) -> Vec<(String, String)> {
    let mut fields = Fields::parse(body.as_bytes()).unwrap();
    read(&mut fields);
    match fields.finish(Some(())) {
        Ok(()) => Vec::new(),
        Err(Invalid::Body(text)) => panic!("{text}"),
        Err(Invalid::Fields(problems)) => {
            problems.into_iter().map(|found| (found.field, found.problem.into_owned())).collect()
        }
    }
}

#[test]
fn every_spelling_is_read_and_null_is_absent() {
    for body in
        [r#"{"subject_id":"a\u0062"}"#, r#"{"subject\u005fid":"ab"}"#, r#"{"userReference":"ab"}"#]
    {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        assert_eq!(fields.required::<Text>(SUBJECT), Some(Text("ab".to_owned())), "{body}");
    }
    let mut fields = Fields::parse(br#"{"subject_id":null}"#).unwrap();
    assert_eq!(fields.optional::<Text>(SUBJECT), None);
    assert_eq!(fields.removable::<Text>(SUBJECT), Some(None));
    fields.finish(Some(())).unwrap();
}

#[test]
fn a_list_given_twice_is_refused_and_not_half_read() {
    const CONSENTS: Name = Name(&["consents"]);
    for body in [r#"{"consents":[1],"consents":[2]}"#, r#"{"consents":[1],"consents":[1]}"#] {
        let found = problems(body, |fields| {
            assert!(fields.elements(CONSENTS, 9).is_none());
        });
        assert_eq!(found, [("consents".to_owned(), "is given twice".to_owned())], "{body}");
    }
}

#[test]
fn spellings_that_disagree_are_named() {
    let found = problems(r#"{"subject_id":"a","userReference":"b"}"#, |fields| {
        fields.required::<Text>(SUBJECT);
    });
    let wanted = "is given as `subject_id` and as `userReference`, with different values";
    assert_eq!(found, [("subject_id".to_owned(), wanted.to_owned())]);
    let agree = r#"{"subject_id":"a","userReference":"\u0061","subject_id":"a"}"#;
    assert!(
        problems(agree, |fields| {
            fields.required::<Text>(SUBJECT);
        })
        .is_empty()
    );
    let twice = problems(r#"{"granted":true,"granted":false}"#, |fields| {
        fields.required::<bool>(GRANTED);
    });
    assert_eq!(twice[0].1, "is given twice, with different values");
}

#[test]
fn all_problems_are_told() {
    let found = problems(r#"{"userReference":7,"consentGiven":"yes"}"#, |fields| {
        fields.required::<Text>(SUBJECT);
        fields.required::<bool>(GRANTED);
        fields.required::<bool>(Name(&["is_active"]));
    });
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["userReference", "consentGiven", "is_active"]);
}

#[test]
fn what_is_no_object_is_refused_without_repeating_it() {
    for body in ["", "[]", "1", "\"secret\"", "{", "{\"a\":}", "{\"a\":\"\u{0}\"}", "{}x"] {
        let Err(Invalid::Body(text)) = Fields::parse(body.as_bytes()) else { panic!("{body}") };
        assert!(!text.contains("secret"), "{text}");
    }
    assert!(Fields::parse(b"{\"a\":\"\xff\"}").is_err());
    let many = (0..300).map(|at| format!("\"f{at}\":0")).collect::<Vec<_>>().join(",");
    assert!(Fields::parse(format!("{{{many}}}").as_bytes()).is_err());
}

#[test]
fn deep_nesting_in_an_unknown_field_costs_nothing() {
    let body = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    Fields::parse(body.as_bytes()).unwrap().finish(Some(())).unwrap();
}

#[test]
fn lists_are_bounded() {
    assert_eq!(elements(b"[1, {}]", 2).unwrap().len(), 2);
    assert_eq!(elements(b"[1,2,3,4]", 3).unwrap_err(), "must hold at most 3 elements, not 4");
    assert_eq!(elements(b"{}", 3).unwrap_err(), "must be a list");
}
