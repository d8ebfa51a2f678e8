//! As little HTTP/1.1 as the two ends of a measurement need: messages with a `Content-Length`, on kept connections.

use std::io;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes read and not yet used up.
pub(crate) struct Messages {
    buffer: Vec<u8>,
    filled: usize,
    used: usize,
}

/// One message in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    head: usize,
    whole: usize,
}

impl Messages {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; 16 * 1024], filled: 0, used: 0 }
    }

    /// Reads the next message; `None` where the other end has closed.
    pub(crate) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<(&[u8], &[u8])>> {
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        loop {
            if let Some(extent) = extent(&self.buffer[..self.filled])
                && extent.whole <= self.filled
            {
                self.used = extent.whole;
                let (head, body) = self.buffer[..extent.whole].split_at(extent.head);
                return Ok(Some((head, body)));
            }
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match stream.read(&mut self.buffer[self.filled..]).await? {
                0 => return Ok(None),
                read => self.filled += read,
            }
        }
    }
}

/// Where the first message ends, once its head is in.
fn extent(bytes: &[u8]) -> Option<Extent> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    Some(Extent { head, whole: head + content_length(&bytes[..head]) })
}

fn content_length(head: &[u8]) -> usize {
    // Both ends here spell it in lower case.
    let Some(at) = find(head, LENGTH) else { return 0 };
    let digits = head[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}

const LENGTH: &[u8] = b"content-length: ";

/// Where `needle` begins.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memmem::find(bytes, needle)
}

/// The status of an answer's head.
pub(crate) fn status(head: &[u8]) -> u16 {
    let digits = head.get(9..12).and_then(|digits| str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_out_one_by_one_however_they_arrive() {
        let text =
            b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\n";
        let mut messages = Messages::new();
        let mut stream = &text[..];
        let (head, body) = messages.next(&mut stream).await.unwrap().unwrap();
        assert!(head.ends_with(b"\r\n\r\n"));
        assert_eq!(body, b"abc");
        let (head, body) = messages.next(&mut stream).await.unwrap().unwrap();
        assert_eq!((status(head), body.len()), (204, 0));
        assert!(messages.next(&mut stream).await.unwrap().is_none());
    }

    #[test]
    fn half_a_head_is_no_message() {
        assert_eq!(extent(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"), None);
        assert_eq!(
            extent(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
            Some(Extent { head: 38, whole: 43 })
        );
    }
}
