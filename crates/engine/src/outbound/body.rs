//! What a request carries: bytes that are in memory, or a blob that is read as it goes out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use abide_core::blob::CHUNK;
use abide_core::ids::OrganizationId;
use abide_storage::blobs::{Blob, BlobReader};
use abide_storage::{Storage, StorageError, StorageResult};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, SizeHint};

use super::{ByteBudget, OverBudget, Share};

/// What a request is to carry.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// This blob, whose length the receiver is told beforehand.
    Blob(BlobContent),
}

/// A blob to send.
#[derive(Clone)]
pub struct BlobContent {
    /// Where it is read from.
    pub storage: Arc<dyn Storage>,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Which, as it was found there.
    pub blob: Blob,
}

impl Content {
    /// How many bytes it has.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(content) => content.blob.length,
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for BlobContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobContent({:?})", self.blob)
    }
}

/// Parts of a blob that are in memory at most while it is sent: one on its way out, the next one sealed and opened.
const HELD: usize = 3;

/// A request's body, as hyper takes it.
pub(super) enum Body {
    Whole(Full<Bytes>),
    Blob(Box<BlobBody>),
}

/// A blob on its way out. It draws on the byte budget with what it holds, not with its length, which may be greater than
/// the whole budget.
pub(super) struct BlobBody {
    storage: Arc<dyn Storage>,
    left: u64,
    state: State,
    _share: Share,
}

enum State {
    Idle(BlobReader),
    Reading(Reading),
    Over,
}

type Reading = Pin<Box<dyn Future<Output = (BlobReader, StorageResult<Option<Vec<u8>>>)> + Send>>;

impl Body {
    /// Gets content ready to go out; of a blob, once the budget has room for what will be held of it.
    pub(super) async fn of(content: Content, budget: &ByteBudget) -> Result<Body, OverBudget> {
        match content {
            Content::Bytes(bytes) => Ok(Body::Whole(Full::new(bytes))),
            Content::Blob(content) => Box::pin(Body::of_blob(content, budget)).await,
        }
    }

    async fn of_blob(content: BlobContent, budget: &ByteBudget) -> Result<Body, OverBudget> {
        let BlobContent { storage, organization, blob } = content;
        let part = usize::try_from(blob.length).map_or(CHUNK, |length| length.min(CHUNK));
        let share = budget.take(HELD * part).await?;
        let left = blob.length;
        let state = State::Idle(BlobReader::new(organization, blob));
        Ok(Body::Blob(Box::new(BlobBody { storage, left, state, _share: share })))
    }

    /// Is there nothing in it?
    pub(super) fn is_empty(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = StorageError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StorageError>>> {
        match self.get_mut() {
            Body::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Body::Blob(blob) => blob.poll(cx).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(whole) => whole.is_end_stream(),
            Body::Blob(blob) => blob.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => whole.size_hint(),
            Body::Blob(blob) => SizeHint::with_exact(blob.left),
        }
    }
}

impl BlobBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<StorageResult<Bytes>>> {
        if let State::Idle(_) = self.state
            && let State::Idle(reader) = std::mem::replace(&mut self.state, State::Over)
        {
            self.state = State::Reading(read(Arc::clone(&self.storage), reader));
        }
        let State::Reading(reading) = &mut self.state else { return Poll::Ready(None) };
        let (reader, part) = ready!(reading.as_mut().poll(cx));
        self.state = State::Over;
        Poll::Ready(match part {
            Ok(None) => None,
            Ok(Some(part)) => {
                self.left = self.left.saturating_sub(part.len() as u64);
                self.state = State::Idle(reader);
                Some(Ok(part.into()))
            }
            Err(why) => {
                tracing::warn!(blob = %reader.blob().id, %why, "a blob could not be sent to its end");
                Some(Err(why))
            }
        })
    }
}

/// Reads the next part.
fn read(storage: Arc<dyn Storage>, mut reader: BlobReader) -> Reading {
    Box::pin(async move {
        let part = reader.next(storage.blobs()).await;
        (reader, part)
    })
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?} bytes)", self.size_hint().exact())
    }
}
