//! Why an attempt ended without an answer, and what people are told of it.
//!
//! The names are stored with attempts and shown in the API: they never change.

/// What stood between an attempt and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The receiver's name has no address.
    Dns,
    /// Too many other names were being looked up.
    DnsBusy,
    /// The receiver's address may not be called.
    ForbiddenAddress,
    /// The endpoint's URL may not be called.
    ForbiddenUrl,
    /// Nobody listens there.
    ConnectRefused,
    /// The address could not be reached.
    ConnectFailed,
    /// This machine trusts no certificate.
    NoRootCertificates,
    /// TLS failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke.
    Reset,
    /// The answer is not HTTP.
    InvalidHttp,
    /// What proves Abide to the endpoint cannot be used.
    AuthUnusable,
    /// The token server gave no token.
    OauthToken,
    /// This node opened the attempt and did not begin to send.
    NotStarted,
    /// What was to be sent broke off on this side: its blob was deleted meanwhile, or cannot be read.
    BodyBroken,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::Dns,
        Self::DnsBusy,
        Self::ForbiddenAddress,
        Self::ForbiddenUrl,
        Self::ConnectRefused,
        Self::ConnectFailed,
        Self::NoRootCertificates,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::InvalidHttp,
        Self::AuthUnusable,
        Self::OauthToken,
        Self::NotStarted,
        Self::BodyBroken,
    ];

    /// The stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::DnsBusy => "dns_busy",
            Self::ForbiddenAddress => "forbidden_address",
            Self::ForbiddenUrl => "forbidden_url",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectFailed => "connect_failed",
            Self::NoRootCertificates => "no_root_certificates",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::InvalidHttp => "invalid_http",
            Self::AuthUnusable => "auth_unusable",
            Self::OauthToken => "oauth_token",
            Self::NotStarted => "not_started",
            Self::BodyBroken => "body_broken",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// Whether it lies with the machine that Abide runs on alone: the endpoint had no part in it, and its owner can do
    /// nothing about it.
    pub fn is_abides_own(self) -> bool {
        match self {
            Self::DnsBusy | Self::NoRootCertificates | Self::NotStarted | Self::BodyBroken => true,
            Self::Dns
            | Self::ForbiddenAddress
            | Self::ForbiddenUrl
            | Self::ConnectRefused
            | Self::ConnectFailed
            | Self::Tls
            | Self::Timeout
            | Self::Reset
            | Self::InvalidHttp
            | Self::AuthUnusable
            | Self::OauthToken => false,
        }
    }

    /// What happened, in a sentence for people.
    pub fn what_happened(self) -> &'static str {
        match self {
            Self::Dns => "The name in the endpoint's URL could not be resolved to an address.",
            Self::DnsBusy => "Too many names were being looked up, so this one was not.",
            Self::ForbiddenAddress => {
                "The name in the endpoint's URL leads to an address that Abide may not call, such as one of a private \
                 network."
            }
            Self::ForbiddenUrl => "The endpoint's URL is one that Abide may not call.",
            Self::ConnectRefused => {
                "Nothing accepts connections at the receiver's address and port."
            }
            Self::ConnectFailed => "The receiver's address could not be reached.",
            Self::NoRootCertificates => {
                "The machine that Abide runs on has no root certificates to prove receivers by."
            }
            Self::Tls => {
                "The TLS connection failed: the receiver's certificate is not acceptable, or the receiver refused \
                 Abide's."
            }
            Self::Timeout => "The receiver gave no complete answer within the time allowed.",
            Self::Reset => "The connection closed before the answer was complete.",
            Self::InvalidHttp => "What came back is not a valid HTTP/1.1 answer.",
            Self::AuthUnusable => {
                "The credentials or certificates set for this endpoint cannot be used, and nothing is sent without \
                 them."
            }
            Self::OauthToken => {
                "No access token could be fetched from the endpoint's token server, and nothing is sent without one."
            }
            Self::NotStarted => "Abide was too busy or was stopping, and did not begin to send.",
            Self::BodyBroken => {
                "What was to be sent broke off half-way: it was deleted meanwhile, or could not be read from Abide's disk."
            }
        }
    }

    /// What to do about it, in a sentence for people.
    pub fn what_to_do(self) -> &'static str {
        match self {
            Self::Dns => "Check the host name in the endpoint's URL and its DNS records.",
            Self::DnsBusy | Self::NotStarted => {
                "Nothing: it is tried again. If it happens often, the operator should look at this machine's load and \
                 DNS."
            }
            Self::ForbiddenAddress | Self::ForbiddenUrl => {
                "Give the endpoint a public https URL, or have the operator allow the network that it is in."
            }
            Self::ConnectRefused => {
                "Check that the receiver is running and that the URL's host and port are right."
            }
            Self::ConnectFailed => "Check the receiver's network, firewall and address.",
            Self::NoRootCertificates => {
                "Have the operator install them (the package `ca-certificates` on Debian)."
            }
            Self::Tls => {
                "Check that the receiver's certificate is valid for the URL's name and its chain complete; where it \
                 comes from a private authority, set that as the endpoint's trusted root; where the receiver asks for \
                 a client certificate, check that one."
            }
            Self::Timeout => {
                "Let the receiver answer at once and do its work afterwards; it may have received the request."
            }
            Self::Reset => {
                "Look into the receiver's own log and its proxies; it may have received the request."
            }
            Self::InvalidHttp => {
                "Check that the URL leads to an HTTP server and not to another service."
            }
            Self::AuthUnusable => "Set the endpoint's headers, credentials and certificates again.",
            Self::BodyBroken => {
                "Nothing where it was deleted. Otherwise the operator should look at Abide's log, which names the blob, and \
                 at this machine's disk."
            }
            Self::OauthToken => {
                "Check the token URL, client id, client secret and scope, and that the token server is running; \
                 Abide's log has the token server's answer."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_read_back_and_explained() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::parse(class.as_str()), Some(class));
            for sentence in [class.what_happened(), class.what_to_do()] {
                assert!(sentence.ends_with('.') && !sentence.contains("  "), "{class:?}");
            }
        }
        assert_eq!(ErrorClass::parse("no such class"), None);
    }
}
