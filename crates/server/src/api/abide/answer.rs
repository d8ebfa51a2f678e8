//! How answers of this API look.

use abide_core::Timestamp;
use abide_core::ids::{Id, Kind};
use abide_storage::feeds::FeedPage;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::{Serialize, Serializer};

use super::cursor::Window;
use crate::problem::Problem;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Problem>;

/// An instant as this API spells it: RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_millis_text())
    }
}

#[derive(Serialize)]
struct List<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Feed<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
    resume_cursor: String,
}

/// 200 with an object.
pub(crate) fn ok<T: Serialize>(object: &T) -> Answer {
    json(StatusCode::OK, object)
}

/// 201 with the object that was created, and where it is from now on.
pub(crate) fn created<T: Serialize>(location: &str, object: &T) -> Answer {
    let mut response = json(StatusCode::CREATED, object)?;
    let location = HeaderValue::try_from(location)
        .map_err(|_| Problem::internal("a path that is no header value".to_owned()))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// 201 with an object that holds a secret: kept by no cache.
pub(crate) fn created_with_secret<T: Serialize>(location: &str, object: &T) -> Answer {
    let mut response = created(location, object)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 200 with an object that holds a secret: kept by no cache.
pub(crate) fn ok_with_secret<T: Serialize>(object: &T) -> Answer {
    let mut response = ok(object)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 200 with one page of a list: `rows` are what was found for [`Window::wanted`], `place` says where each one stands.
pub(crate) fn page<T, V: Serialize>(
    window: &Window,
    mut rows: Vec<T>,
    place: impl Fn(&T) -> i64,
    view: impl FnMut(T) -> V,
) -> Answer {
    let more = rows.len() > window.limit as usize;
    rows.truncate(window.limit as usize);
    let last = rows.last().filter(|_| more).map(place);
    let next_cursor = last.map(|place| window.list.cursor(place));
    ok(&List { items: rows.into_iter().map(view).collect(), next_cursor })
}

/// 200 with what was found of a list, and the place behind which more may follow.
pub(crate) fn page_until<T, K: Kind, V: Serialize>(
    window: &Window,
    found: Vec<T>,
    next: Option<Id<K>>,
    view: impl FnMut(T) -> V,
) -> Answer {
    let next_cursor = next.map(|place| window.list.cursor(place.key()));
    ok(&List { items: found.into_iter().map(view).collect(), next_cursor })
}

/// 200 with one page of a feed. It says where to go on at any time, also where nothing follows yet.
pub(crate) fn feed<T, V: Serialize>(
    window: &Window,
    epoch: u64,
    page: FeedPage<T>,
    view: impl FnMut(T) -> V,
) -> Answer {
    let resume_cursor = window.list.feed_cursor(page.next.cast_signed(), epoch);
    let next_cursor = page.has_more.then(|| resume_cursor.clone());
    let items = page.entries.into_iter().map(view).collect();
    ok(&Feed { items, next_cursor, resume_cursor })
}

/// 200 with a list that is always whole.
pub(crate) fn whole_list<V: Serialize>(items: Vec<V>) -> Answer {
    ok(&List { items, next_cursor: None })
}

fn json<T: Serialize>(status: StatusCode, object: &T) -> Answer {
    let bytes = serde_json::to_vec(object)
        .map_err(|error| Problem::internal(format!("the answer does not serialise: {error}")))?;
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((status, content_type, Body::from(bytes)).into_response())
}
