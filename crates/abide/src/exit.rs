//! How a command ends: the one place that maps what went wrong to an exit code.

use std::fmt;
use std::process::ExitCode;

use abide_storage::StorageError;
use abide_storage::sealing::KeyFileError;

use crate::config::Usage;

/// What `--help` says of the codes.
pub(crate) const HELP: &str = "Exit codes: 0 done, 1 failed or answered with no, 2 wrong usage, 3 understood and refused, \
                               4 not reachable or not available now (asking again may help).";

/// Understood and not allowed, whether a server said so or the rules over a stopped store: the code is 3.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Nobody there, or nobody able to answer now: the code is 4.
#[derive(Debug)]
pub(crate) struct Unavailable(pub(crate) String);

/// The answer is no and stands on standard output already: the code is 1, and there is nothing to add.
#[derive(Debug)]
pub(crate) struct AnsweredNo;

/// The code for an error, wherever in its chain the reason stands.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<Usage>() {
        2
    } else if error.is::<Refused>() {
        3
    } else if error.is::<Unavailable>() {
        4
    } else {
        1
    })
}

/// What an operation on the data was ended by. Anything but a store that cannot do its work now is a refusal.
pub(crate) fn judged(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    if let Some(KeyFileError::Io { .. }) = error.downcast_ref() {
        return error;
    }
    match error.downcast_ref::<StorageError>() {
        Some(StorageError::Busy | StorageError::Unavailable(_) | StorageError::Unknown(_)) => {
            Unavailable(text).into()
        }
        // No command sends an idempotency key, so nothing is ever repeated to one.
        Some(StorageError::Damaged(_) | StorageError::Replayed(_)) => error,
        Some(StorageError::Refused(_)) | None => Refused(text).into(),
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for AnsweredNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is no")
    }
}

impl std::error::Error for Refused {}
impl std::error::Error for Unavailable {}
impl std::error::Error for AnsweredNo {}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_reason_has_its_code_under_whatever_context() {
        let cases: [(anyhow::Error, u8); 6] = [
            (anyhow::anyhow!("disk full"), 1),
            (AnsweredNo.into(), 1),
            (Usage("no such flag".to_owned()).into(), 2),
            (Refused("not yours".to_owned()).into(), 3),
            (Unavailable("nobody there".to_owned()).into(), 4),
            (judged(StorageError::Busy.into()), 4),
        ];
        for (error, expected) in cases {
            let named = format!("{error:#}");
            let within = Err::<(), _>(error).context("asking").unwrap_err();
            assert_eq!(code(&within), ExitCode::from(expected), "{named}");
        }
        let refusal = judged(anyhow::anyhow!("there is no organization `nobody`"));
        assert_eq!(code(&refusal), ExitCode::from(3));
        let damaged = judged(StorageError::Damaged("consents.state".to_owned()).into());
        assert_eq!(code(&damaged), ExitCode::from(1));
    }
}
