//! Why an attempt got no answer, and whether the receiver may nevertheless have acted on it.

use std::error::Error;
use std::fmt;
use std::io;

use abide_core::delivery::ErrorClass;
use abide_storage::StorageError;

use super::{Forbidden, tls};

/// What stood between a request and its whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The name could not be resolved, or has no address.
    Dns,
    /// The name was not looked up: too many other look-ups are under way, and none ended in time.
    DnsBusy,
    /// An address of the receiver may not be called (I10).
    ForbiddenAddress(Forbidden),
    /// Nobody listens at the receiver's address.
    ConnectRefused,
    /// The receiver's address could not be reached.
    ConnectFailed,
    /// Its body takes more memory than there is for all: a matter of the settings.
    OverBudget,
    /// This machine has no root certificates to prove an https receiver by.
    NoRoots,
    /// TLS failed: the words say how.
    Tls(&'static str, Arrival),
    /// The deadline passed before the whole answer was there.
    Timeout(Arrival),
    /// The connection closed or broke before the whole answer was there.
    Reset(Arrival),
    /// What came back is not HTTP/1, or its head is too large.
    InvalidHttp,
    /// The body broke off on this side: its blob could not be read to its end.
    BodyBroken,
}

/// Can the receiver have seen the request?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// No byte of it was written.
    NotArrived,
    /// It may have arrived, whole or in part: the outcome is unknown.
    Unknown,
}

impl SendError {
    /// What is stored of it, and shown to people.
    pub fn class(&self) -> ErrorClass {
        match self {
            SendError::Dns => ErrorClass::Dns,
            SendError::DnsBusy => ErrorClass::DnsBusy,
            SendError::ForbiddenAddress(_) => ErrorClass::ForbiddenAddress,
            SendError::ConnectRefused => ErrorClass::ConnectRefused,
            SendError::ConnectFailed => ErrorClass::ConnectFailed,
            SendError::OverBudget => ErrorClass::NotStarted,
            SendError::NoRoots => ErrorClass::NoRootCertificates,
            SendError::Tls(..) => ErrorClass::Tls,
            SendError::Timeout(_) => ErrorClass::Timeout,
            SendError::Reset(_) => ErrorClass::Reset,
            SendError::InvalidHttp => ErrorClass::InvalidHttp,
            SendError::BodyBroken => ErrorClass::BodyBroken,
        }
    }

    /// Can the receiver have seen the request?
    pub fn arrival(&self) -> Arrival {
        match self {
            SendError::Dns
            | SendError::DnsBusy
            | SendError::OverBudget
            | SendError::NoRoots
            | SendError::ForbiddenAddress(_)
            | SendError::ConnectRefused
            | SendError::ConnectFailed => Arrival::NotArrived,
            SendError::Tls(_, arrival)
            | SendError::Timeout(arrival)
            | SendError::Reset(arrival) => *arrival,
            // Of a broken body the receiver has seen the beginning.
            SendError::InvalidHttp | SendError::BodyBroken => Arrival::Unknown,
        }
    }

    pub(super) fn from_look_up(error: &io::Error) -> SendError {
        match error.kind() {
            io::ErrorKind::ResourceBusy => SendError::DnsBusy,
            _ => SendError::Dns,
        }
    }

    pub(super) fn from_dial(error: &io::Error) -> SendError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => SendError::ConnectRefused,
            _ => SendError::ConnectFailed,
        }
    }

    /// A handshake that failed for whatever reason: the request was not yet written.
    pub(super) fn from_handshake(error: &io::Error) -> SendError {
        let fault = tls_cause(error).map_or("the receiver ended the handshake", tls::fault);
        SendError::Tls(fault, Arrival::NotArrived)
    }

    /// A connection that was closed before it began to write the request. Under TLS 1.3 a receiver judges the certificate
    /// that it is shown when the handshake is over on this side.
    pub(super) fn from_unsent(error: &hyper::Error) -> SendError {
        match tls_cause(error) {
            Some(cause) => SendError::Tls(tls::fault(cause), Arrival::NotArrived),
            None => SendError::Reset(Arrival::NotArrived),
        }
    }

    /// A failure after the request was handed to the connection.
    pub(super) fn from_exchange(error: &hyper::Error) -> SendError {
        if let Some(cause) = tls_cause(error) {
            return SendError::Tls(tls::fault(cause), Arrival::Unknown);
        }
        if causes(error).any(<dyn Error>::is::<StorageError>) {
            return SendError::BodyBroken;
        }
        let malformed = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(
            // hyper's words for a bad chunk
            |io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData),
        );
        if error.is_parse() || malformed {
            SendError::InvalidHttp
        } else {
            SendError::Reset(Arrival::Unknown)
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Dns => "the receiver's name could not be resolved",
            SendError::DnsBusy => "too many names are being looked up for the receiver's to be",
            SendError::ForbiddenAddress(why) => {
                return write!(f, "the receiver may not be called: {why}");
            }
            SendError::ConnectRefused => "the receiver refused the connection",
            SendError::ConnectFailed => "the receiver could not be reached",
            SendError::OverBudget => "the body takes more memory than there is for all",
            SendError::NoRoots => "there are no root certificates to prove the receiver by",
            SendError::Tls(fault, _) => return write!(f, "TLS failed: {fault}"),
            SendError::Timeout(_) => "the deadline passed before the whole answer was there",
            SendError::Reset(_) => "the connection closed before the whole answer was there",
            SendError::InvalidHttp => "the answer is not valid HTTP/1",
            SendError::BodyBroken => "what was to be sent could not be read to its end",
        })
    }
}

impl Error for SendError {}

/// An error, what it wraps, what that wraps ... `io::Error` hides its inner error from `source`, so it is opened.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| {
        let cause: &'a (dyn Error + 'static) = cause;
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        }
    })
}

fn tls_cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}
