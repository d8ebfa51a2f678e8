//! A receiver's answer, cut while it is being read (I9).

use bytes::Bytes;
use http::{HeaderMap, Response, header::RETRY_AFTER};
use hyper::body::{Body, Incoming};

use super::{ByteBudget, Connection, Share};

/// The most that is read of an answer's body.
pub const MAX_ANSWER: usize = 64 * 1024;

/// What a receiver said. Its bytes count against the byte budget until it is dropped.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The text of `Retry-After`, if it has a sensible length.
    pub retry_after: Option<String>,
    /// The body, or its first [`MAX_ANSWER`] bytes, or what the byte budget had room for.
    pub body: Bytes,
    /// Is `body` only the beginning?
    pub truncated: bool,
    _share: Option<Share>,
}

impl Answer {
    /// An answer that was given in no bytes that count: a stand-in's.
    pub fn given(status: u16, retry_after: Option<String>) -> Self {
        Self { status, retry_after, body: Bytes::new(), truncated: false, _share: None }
    }
}

pub(super) async fn read(
    connection: &mut Connection,
    response: Response<Incoming>,
    budget: &ByteBudget,
) -> hyper::Result<Answer> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Collected::default();
    let mut truncated = false;
    while !truncated && !incoming.is_end_stream() {
        let expected = incoming.size_hint().lower();
        let Some(frame) = connection.next_frame(&mut incoming).await else { break };
        if let Ok(data) = frame?.into_data() {
            truncated = !body.push(&data, expected, budget);
        }
    }
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after: retry_after(&head.headers),
        body: Bytes::from(body.bytes),
        truncated,
        _share: body.share,
    })
}

/// Bytes copied out of hyper's buffer, under a share as large as what is allocated.
#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    share: Option<Share>,
}

impl Collected {
    /// Keeps what has room; `false` if that was not all of it. It does not wait for room: an answer that is in
    /// must not become a timeout because others are slow (I8), and its status is known already.
    fn push(&mut self, data: &[u8], expected: u64, budget: &ByteBudget) -> bool {
        let wanted = (self.bytes.len() + data.len()).min(MAX_ANSWER);
        let held = self.share.as_ref().map_or(0, Share::len);
        if wanted > held {
            let expected = usize::try_from(expected).unwrap_or(MAX_ANSWER);
            let room = wanted.next_power_of_two().max(expected).min(MAX_ANSWER);
            let Some(more) = budget.try_take(room - held) else { return false };
            self.bytes.reserve_exact(room - self.bytes.len());
            match &mut self.share {
                Some(share) => share.absorb(more),
                None => self.share = Some(more),
            }
        }
        let kept = wanted - self.bytes.len();
        self.bytes.extend_from_slice(&data[..kept]);
        kept == data.len()
    }
}

/// A date is 29 characters long and a number of seconds shorter: the rest is noise.
const MAX_RETRY_AFTER: usize = 64;

fn retry_after(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    (text.len() <= MAX_RETRY_AFTER).then(|| text.to_owned())
}
