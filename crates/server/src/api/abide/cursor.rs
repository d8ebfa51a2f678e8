//! Cursors: minted here and read here, opaque to everybody else.
//!
//! A cursor is URL-safe base64 of a version, the list it belongs to, and a place in that list. One of a feed also holds
//! the feed's epoch, a random number made with the database: what follows a place in a database that was restored since
//! may not be what the reader would have read, so such a cursor is refused with 410 and not followed.

use abide_core::Timestamp;
use abide_core::ids::{Id, Kind};
use abide_storage::feeds::{FeedStart, FeedWanted};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::input::{Name, Params};
use crate::problem::{Problem, ProblemKind};

pub(crate) const LIMIT: Name = Name(&["limit"]);
pub(crate) const CURSOR: Name = Name(&["cursor"]);
/// Where to begin in a feed without a cursor.
pub(crate) const FROM: Name = Name(&["from"]);
/// The end of a feed, as [`FROM`] spells it.
const END: &str = "end";

/// Most items on a page.
pub(crate) const MOST: u32 = 100;
const USUAL: u32 = 50;
const VERSION: u8 = 1;

/// The lists that are read by cursor. A list's number stands in its cursors and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// An organization's keys.
    Keys = 1,
    /// An organization's endpoints.
    Endpoints = 2,
    /// All organizations.
    Organizations = 3,
    /// An organization's audit log.
    Audit = 4,
    /// An organization's events: a feed.
    Events = 5,
    /// An organization's decisions: a feed.
    Decisions = 6,
    /// An organization's purposes.
    Purposes = 7,
    /// An organization's deliveries.
    Deliveries = 8,
    /// An organization's jobs.
    Jobs = 9,
    /// An organization's users.
    Users = 10,
}

/// What part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) list: List,
    /// Most items wanted, 1 to [`MOST`].
    pub(crate) limit: u32,
    /// The place behind which to go on; `None` at the beginning.
    pub(crate) after: Option<i64>,
    /// The epoch that a feed's cursor was minted in.
    epoch: Option<u64>,
    /// Where a feed is to be begun; `None` beside a cursor, and at the beginning.
    pub(crate) start: Option<FeedStart>,
}

impl List {
    /// The cursor behind a place.
    pub(crate) fn cursor(self, place: i64) -> String {
        self.encoded(place, None)
    }

    /// The cursor behind a place of a feed.
    pub(crate) fn feed_cursor(self, place: i64, epoch: u64) -> String {
        self.encoded(place, Some(epoch))
    }

    fn encoded(self, place: i64, epoch: Option<u64>) -> String {
        let mut bytes = vec![VERSION, self as u8];
        bytes.extend(place.to_be_bytes());
        bytes.extend(epoch.into_iter().flat_map(u64::to_be_bytes));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Place and epoch, where the text is a cursor of this list.
    fn decoded(self, text: &str) -> Option<(i64, Option<u64>)> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let rest = bytes.strip_prefix(&[VERSION, self as u8])?;
        let (place, rest) = rest.split_first_chunk::<8>()?;
        let epoch = match rest {
            [] => None,
            _ => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        };
        Some((i64::from_be_bytes(*place), epoch))
    }
}

impl Window {
    /// Reads `limit` and `cursor`. A bad limit is noted in `params`, with the other parameters' problems.
    pub(crate) fn read(list: List, params: &mut Params) -> Result<Self, Problem> {
        let limit = params.take(LIMIT, |text| {
            let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
            number.ok_or_else(|| format!("must be a number from 1 to {MOST}"))
        });
        let cursor = params.take(CURSOR, |text| Ok(list.decoded(text)));
        let (after, epoch) = match cursor {
            None => (None, None),
            Some(Some((place, epoch))) => (Some(place), epoch),
            Some(None) => {
                let detail = "`cursor` is not one that this list answered. Begin again without it.";
                return Err(Problem::new(ProblemKind::InvalidCursor, detail));
            }
        };
        Ok(Self { list, limit: limit.unwrap_or(USUAL), after, epoch, start: None })
    }

    /// Reads `limit`, `cursor` and, where a cursor gives no place, `from`.
    pub(crate) fn read_feed(list: List, params: &mut Params) -> Result<Self, Problem> {
        let start = params.take(FROM, |text| match text {
            END => Ok(FeedStart::End),
            _ => Timestamp::parse(text)
                .map(FeedStart::Time)
                .map_err(|problem| format!("must be `{END}` or a time: {problem}")),
        });
        let window = Self::read(list, params)?;
        Ok(Self { start: start.filter(|_| window.after.is_none()), ..window })
    }

    /// Begins behind this number of a feed.
    pub(crate) fn behind(self, number: u64) -> Self {
        Self { after: Some(number.cast_signed()), ..self }
    }

    /// Refuses a feed's cursor of another epoch.
    pub(crate) fn must_be_of(&self, epoch: u64) -> Result<(), Problem> {
        if self.after.is_none() || self.epoch == Some(epoch) {
            return Ok(());
        }
        let detail = "This feed was begun anew since the cursor was answered. Read it again from its beginning, \
                      without a cursor.";
        Err(Problem::new(ProblemKind::CursorGone, detail))
    }

    /// Refuses a feed's cursor of before what was removed, up to that number, and begins behind it without one.
    pub(crate) fn behind_removed(self, removed: u64) -> Result<Self, Problem> {
        match self.after {
            None => Ok(self.behind(removed)),
            Some(after) if after.cast_unsigned() < removed => {
                let detail = format!(
                    "Events up to number {removed} of this feed were removed by the organization's rules of retention, \
                     and this cursor stands before that. Read on without a cursor: the feed begins behind them."
                );
                Err(Problem::new(ProblemKind::CursorTooOld, detail))
            }
            Some(_) => Ok(self),
        }
    }

    /// The id behind which to go on, in a list whose places are ids.
    pub(crate) fn after_id<K: Kind>(&self) -> Option<Id<K>> {
        self.after.map(Id::from_key)
    }

    /// The part of a feed that is wanted.
    pub(crate) fn of_feed(&self) -> FeedWanted {
        let after = self.after.and_then(|after| u64::try_from(after).ok()).unwrap_or(0);
        FeedWanted { after, limit: self.limit }
    }

    /// How many rows to look for: one more than fits, to know whether there is a next page.
    pub(crate) fn wanted(&self) -> u32 {
        self.limit + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(list: List, query: &str) -> Result<Window, String> {
        let mut params = Params::parse(&format!("/x?{query}").parse().unwrap()).unwrap();
        let window = Window::read(list, &mut params).map_err(|problem| format!("{problem:?}"))?;
        params.finish(window).map_err(|invalid| format!("{invalid:?}"))
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_minted() {
        for place in [0, 1, i64::MAX, -1] {
            let found = window(List::Keys, &format!("cursor={}", List::Keys.cursor(place)));
            assert_eq!(found.unwrap().after, Some(place));
        }
        let found = window(List::Keys, &format!("cursor={}", List::Keys.feed_cursor(7, 9)));
        let found = found.unwrap();
        assert!(found.must_be_of(9).is_ok() && found.must_be_of(8).is_err());
        assert!(window(List::Keys, "").unwrap().must_be_of(8).is_ok(), "the beginning is there");
    }

    #[test]
    fn what_is_no_cursor_of_the_list_is_refused() {
        let good = List::Keys.cursor(7);
        let mut newer = BASE64_URL_SAFE_NO_PAD.decode(&good).unwrap();
        newer[0] = 2;
        let mut of_another = newer.clone();
        (of_another[0], of_another[1]) = (1, 99);
        for bad in [
            String::new(),
            "x".to_owned(),
            "é".to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}AA"),
            BASE64_URL_SAFE_NO_PAD.encode(newer),
            BASE64_URL_SAFE_NO_PAD.encode(of_another),
        ] {
            let error = window(List::Keys, &format!("cursor={bad}")).unwrap_err();
            assert!(error.contains("InvalidCursor"), "{bad}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(window(List::Keys, "").unwrap().limit, 50);
        assert_eq!(window(List::Keys, "limit=1").unwrap().limit, 1);
        assert_eq!(window(List::Keys, "limit=100").unwrap().limit, 100);
        for bad in ["0", "101", "-1", "x", "", "99999999999999999999"] {
            assert!(window(List::Keys, &format!("limit={bad}")).is_err(), "{bad}");
        }
    }
}
