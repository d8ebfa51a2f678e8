//! What an endpoint may be given, judged when it is given: by the same eyes that judge it again at each send.

use abide_core::endpoint::auth::MAX_AUTH_TEXT;
use abide_core::endpoint::{AuthProblem, Authorization, EndpointAuth};

use crate::outbound::{CertificateProblem, Guard, Identity, PemField, Roots, Target};

/// Whether a URL may be called; the error is fit to stand behind the field's name and repeats nothing of it.
pub fn check_url(url: &str, guard: &Guard) -> Result<(), String> {
    Target::parse(url, guard).map(drop).map_err(|problem| {
        let text = problem.to_string();
        match text.strip_prefix("the URL ") {
            Some(rest) => rest.to_owned(),
            None => format!("cannot be used: {text}"),
        }
    })
}

/// Everything for which an [`EndpointAuth`] could not be used: its texts, its token URL (I10), its certificates and key.
/// Certificates are not judged by their dates: whoever is shown one does that.
pub fn check_auth(auth: &EndpointAuth, guard: &Guard) -> Vec<AuthProblem> {
    let mut problems = auth.check();
    if let Some(Authorization::OAuth2 { token_url, .. }) = &auth.authorization
        && !token_url.is_empty()
    {
        let judged = match token_url.len() {
            0..=MAX_AUTH_TEXT => check_url(token_url, guard),
            _ => Err(format!("must be at most {MAX_AUTH_TEXT} characters")),
        };
        problems.extend(judged.err().map(|why| AuthProblem::new("auth.oauth2.token_url", why)));
    }
    // What is no PEM by its looks was named above.
    let named = |part: &str, problems: &[AuthProblem]| {
        problems.iter().any(|problem| problem.field.starts_with(part))
    };
    if let Some(shown) = &auth.client_certificate
        && !named("auth.client_certificate", &problems)
    {
        problems.extend(Identity::from_pem(&shown.chain, &shown.key).err().map(of_certificate));
    }
    if let Some(roots) = &auth.trusted_roots
        && !named("auth.trusted_roots", &problems)
    {
        problems.extend(Roots::from_pem(roots).err().map(of_certificate));
    }
    problems
}

/// A problem of a certificate, by the name of the field that it was given in.
pub(crate) fn of_certificate(why: CertificateProblem) -> AuthProblem {
    let field = match why.field {
        PemField::Chain => "auth.client_certificate.chain",
        PemField::Key => "auth.client_certificate.key",
        PemField::Roots => "auth.trusted_roots",
    };
    AuthProblem::new(field, why.problem)
}
