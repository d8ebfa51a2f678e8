//! Blobs: bytes too large for a row. How they are cut, and how long they are kept.

use std::time::Duration;

/// Bytes in each part of a blob but the last, which has fewer or as many.
pub const CHUNK: usize = 1024 * 1024;

/// How long a blob that is being written waits for its next part before it counts as broken off.
pub const BROKEN_OFF_MILLIS: i64 = 3_600_000;
/// How long a whole blob waits for somebody to name it.
pub const UNNAMED_MILLIS: i64 = 24 * 3_600_000;
/// How long a blob about many people is kept: erasing one of them cannot take it away.
pub const ABOUT_MANY_MILLIS: i64 = 7 * 24 * 3_600_000;

/// The largest body that is sent from memory, in bytes; a larger one comes out of a blob as it goes.
pub const SENT_WHOLE: u64 = 256 * 1024;
/// Bytes for which a large body is given one second more.
const PER_SECOND: u64 = 64 * 1024;
/// The longest a send may take, however large its body.
pub const LONGEST_SEND: Duration = Duration::from_mins(2);

/// How many parts a blob of that many bytes has: at least one, so that an empty one has a last part, too.
pub fn chunks(length: u64) -> u64 {
    length.div_ceil(CHUNK as u64).max(1)
}

/// How many bytes the part with that number has, where there is one.
pub fn chunk_length(length: u64, index: u32) -> Option<usize> {
    let index = u64::from(index);
    let left = length.saturating_sub(index * CHUNK as u64);
    (index < chunks(length)).then(|| usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK)))
}

/// The deadline of a send whose endpoint gives small bodies `own`: a large one gets the time that it takes on a slow line,
/// up to [`LONGEST_SEND`], and never less than `own`.
pub fn deadline(own: Duration, body: u64) -> Duration {
    if body <= SENT_WHOLE {
        return own;
    }
    let longer = own.saturating_add(Duration::from_secs(body.div_ceil(PER_SECOND)));
    longer.min(LONGEST_SEND).max(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_cut_at_its_borders() {
        let chunk = CHUNK as u64;
        for (length, parts) in [
            (0, &[0][..]),
            (1, &[1]),
            (chunk - 1, &[CHUNK - 1]),
            (chunk, &[CHUNK]),
            (chunk + 1, &[CHUNK, 1]),
            (2 * chunk, &[CHUNK, CHUNK]),
        ] {
            assert_eq!(chunks(length), parts.len() as u64, "{length}");
            for (index, part) in (0..).zip(parts) {
                assert_eq!(chunk_length(length, index), Some(*part), "{length}, {index}");
            }
            assert_eq!(chunk_length(length, parts.len() as u32), None, "{length}");
        }
    }

    #[test]
    fn a_large_body_is_given_its_time() {
        let seconds = Duration::from_secs;
        for (own, body, expected) in [
            (15, 0, 15),
            (10, SENT_WHOLE, 10),
            (15, SENT_WHOLE + 1, 15 + 5),
            (15, 1024 * 1024, 15 + 16),
            (15, 6_880_000, 120),
            (15, u64::MAX, 120),
            (300, u64::MAX, 300),
        ] {
            assert_eq!(deadline(seconds(own), body), seconds(expected), "{own} s, {body} bytes");
        }
    }
}
