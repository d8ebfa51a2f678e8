//! Receivers to copy: complete programs that verify what a dialect sends, with nothing but their language's own library.
//! They lie under `receivers/` at the root of the repository, and tests run each against real deliveries.

/// A program that receives a dialect's webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyableReceiver {
    /// The language as people call it.
    pub language: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// How it is started. The variables `WEBHOOK_SECRET` and `PORT` go before what is filled in.
    pub command: &'static str,
    /// The program, without a secret.
    pub source: &'static str,
}

/// Stands once in each program, in single quotes, where the secret goes.
const SECRET_PLACE: &str = "'PASTE-THE-SECRET-HERE'";
/// Stands once in each program, in single quotes, where the port goes.
const PORT_PLACE: &str = "'9090'";

impl CopyableReceiver {
    /// The program with an endpoint's values in their places, to be shown to its owner: what verifies its webhooks
    /// (the shared secret, or the public key of a key pair) and the port to listen on.
    pub fn filled_in(&self, secret: &str, port: u16) -> String {
        // Single quotes take the same two escapes in all three languages.
        let quoted = format!("'{}'", secret.replace('\\', r"\\").replace('\'', r"\'"));
        let with_port = self.source.replacen(PORT_PLACE, &format!("'{port}'"), 1);
        with_port.replacen(SECRET_PLACE, &quoted, 1)
    }
}

/// The receivers of the dialect of that name; none where there is no such dialect.
pub fn receivers(dialect: &str) -> &'static [CopyableReceiver] {
    macro_rules! receivers {
        ($dialect:literal) => {
            &[
                receivers!($dialect, "Node.js", "node.mjs", "node node.mjs"),
                receivers!($dialect, "Python", "python.py", "python3 python.py"),
                receivers!($dialect, "Ruby", "ruby.rb", "ruby ruby.rb"),
            ]
        };
        ($dialect:literal, $language:literal, $file:literal, $command:literal) => {
            CopyableReceiver {
                language: $language,
                file: $file,
                command: $command,
                source: include_str!(concat!("../../../receivers/", $dialect, "/", $file)),
            }
        };
    }
    match dialect {
        "consentproof" => receivers!("consentproof"),
        "standard_webhooks" => receivers!("standard_webhooks"),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SW-8: every dialect has receivers to copy, and each takes its two values in one place.
    #[test]
    fn sw8_every_dialect_has_receivers_to_fill_in() {
        for dialect in crate::all() {
            let receivers = receivers(dialect.name());
            let languages: Vec<_> = receivers.iter().map(|receiver| receiver.language).collect();
            assert_eq!(languages, ["Node.js", "Python", "Ruby"], "{}", dialect.name());
            for receiver in receivers {
                for place in [SECRET_PLACE, PORT_PLACE] {
                    let count = receiver.source.matches(place).count();
                    assert_eq!(count, 1, "{} {} {place}", dialect.name(), receiver.file);
                }
                assert!(receiver.command.ends_with(receiver.file));
                let filled = receiver.filled_in(r"whsec_it's \n", 8080);
                assert!(filled.contains(r"'whsec_it\'s \\n'") && filled.contains("'8080'"));
            }
        }
        assert_eq!(receivers("unknown"), []);
    }
}
