//! Clear or encrypted, one type for hyper to read and write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(super) enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// `each!(self, inner => expression)`: the same call on whichever stream this is.
macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Clear($inner) => {
                let $inner = Pin::new($inner);
                $call
            }
            Stream::Tls($inner) => {
                let $inner = Pin::new(&mut **$inner);
                $call
            }
        }
    };
}

/// Bytes that are copied together rather than written from where they lie: the system call for one piece is the cheaper
/// one.
const JOINED: usize = 2_048;

/// The one piece among `slices`, or all of them as one if they are small.
fn join<'a>(slices: &'a [IoSlice<'_>], joined: &'a mut [u8; JOINED]) -> Option<&'a [u8]> {
    if let [only] = slices {
        return Some(only);
    }
    let mut filled = 0;
    for slice in slices {
        joined.get_mut(filled..filled + slice.len())?.copy_from_slice(slice);
        filled += slice.len();
    }
    Some(&joined[..filled])
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Stream::Clear(inner) = self.as_mut().get_mut() {
            let mut joined = [0; JOINED];
            if let Some(whole) = join(bufs, &mut joined) {
                return Pin::new(inner).poll_write(cx, whole);
            }
        }
        each!(self, inner => inner.poll_write_vectored(cx, bufs))
    }

    /// Without this hyper would copy each body into its own buffer, outside the byte budget (I9).
    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Clear(inner) => inner.is_write_vectored(),
            Stream::Tls(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => inner.poll_shutdown(cx))
    }
}
