//! `abide subjects erase`.

use crate::program::Site;

/// I11: after erasing, nothing opens what was known of the person, whichever way the command went.
#[test]
fn an_erased_person_is_gone_and_others_are_not() {
    let site = Site::new();
    let server = site.serve();
    let api = server.api(&site.admin_key());
    let [one, two, three] = ["one", "two", "three"].map(|subject| api.consent(subject));
    let told = site.ask(&["subjects", "erase", "--reference", "one"]);
    assert!(told.contains("sub_") && told.contains("is erased"), "{told}");
    let known =
        |api: &crate::http::Api, consent: &str| api.get(&format!("/v1/consent/{consent}")).0;
    assert_eq!([&one, &two, &three].map(|id| known(&api, id)), [404, 200, 200]);
    server.stop();
    site.ask_with_input(&["subjects", "erase", "--reference", "-"], "two\n");
    let server = site.serve();
    let api = server.api(&site.admin_key());
    assert_eq!([&one, &two, &three].map(|id| known(&api, id)), [404, 404, 200]);
    let again = site.refused(&["subjects", "erase", "--reference", "one"]);
    assert_eq!(again.0, Some(3));
    assert!(!again.1.contains("one "), "an error repeats no reference: {}", again.1);
}
