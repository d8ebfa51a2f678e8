//! What a token server may answer, and what becomes of it.

use super::*;

/// The token's header, and for how many seconds it is used.
fn told(status: u16, body: &str) -> Result<(String, i64), TokenProblem> {
    let asked = Timestamp::from_millis(1_000_000);
    let token = read(status, body.as_bytes(), asked)?;
    assert!(token.authorization.is_sensitive());
    let text = token.authorization.to_str().unwrap().to_owned();
    Ok((text, token.until.millis_since(asked) / 1000))
}

#[test]
fn a_token_is_used_until_shortly_before_its_end() {
    for (expires_in, used) in [
        ("", 270),
        (r#","expires_in":3600"#, 3570),
        (r#","expires_in":"3600""#, 3570),
        (r#","expires_in":3600.9"#, 3570),
        (r#","expires_in":null"#, 270),
        (r#","expires_in":"soon""#, 270),
        (r#","expires_in":60"#, 45),
        (r#","expires_in":1"#, 1),
        (r#","expires_in":0"#, 0),
        (r#","expires_in":-5"#, 0),
        (r#","expires_in":99999999999"#, 24 * 3600 - 30),
    ] {
        let body = format!(r#"{{"access_token":"abc.d-_~+/=","token_type":"beARer"{expires_in}}}"#);
        assert_eq!(told(200, &body), Ok(("Bearer abc.d-_~+/=".to_owned(), used)), "{expires_in}");
    }
}

/// I12: an answer that is no token is refused in words that repeat nothing of it.
#[test]
fn i12_what_is_no_token_is_refused_without_repeating_it() {
    let long = "m".repeat(LONGEST_TOKEN + 1);
    let long = format!(r#"{{"access_token":"{long}","token_type":"Bearer"}}"#);
    for (status, body, expected) in [
        (200, "", TokenProblem::NotJson),
        (200, "marker", TokenProblem::NotJson),
        (200, r#"{"token_type":"Bearer"}"#, TokenProblem::NotJson),
        (200, r#"{"access_token":"marker"}"#, TokenProblem::NotJson),
        (200, r#"{"access_token":17,"token_type":"Bearer"}"#, TokenProblem::NotJson),
        (200, r#"{"access_token":"marker","token_type":"mac"}"#, TokenProblem::NotBearer),
        (200, r#"{"access_token":"","token_type":"Bearer"}"#, TokenProblem::BadToken),
        (200, r#"{"access_token":"mar ker","token_type":"Bearer"}"#, TokenProblem::BadToken),
        (200, r#"{"access_token":"a\r\nx: marker","token_type":"Bearer"}"#, TokenProblem::BadToken),
        (200, &long, TokenProblem::BadToken),
        (
            201,
            r#"{"access_token":"marker","token_type":"Bearer"}"#,
            TokenProblem::Status(201, None),
        ),
        (302, "", TokenProblem::Status(302, None)),
        (401, r#"{"error":"invalid_client"}"#, TokenProblem::Status(401, Some("invalid_client"))),
        (400, r#"{"error":"marker"}"#, TokenProblem::Status(400, None)),
        (503, "marker", TokenProblem::Status(503, None)),
    ] {
        let why = told(status, body).unwrap_err();
        assert_eq!(why, expected, "{status} {body}");
        assert!(!why.to_string().contains("marker"), "{why}");
    }
}
