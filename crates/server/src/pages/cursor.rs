//! Lists that go on with what is older: no page numbers, since they would move while one reads.

use axum::extract::Query;
use http::Uri;

/// Where a list goes on. For the template `older.html`.
pub(crate) struct Older {
    /// The list from its beginning, where one is not there.
    pub(crate) newest: Option<String>,
    /// What follows.
    pub(crate) older: Option<String>,
}

impl Older {
    /// `kept` are the parameters of the filter; `before` is the place asked for; `last` is where to go on, `None` at the
    /// end of the list.
    pub(crate) fn new(
        path: &str,
        kept: &[(&str, &str)],
        before: Option<&str>,
        last: Option<String>,
    ) -> Self {
        let newest = before.map(|_| link(path, kept, None));
        let older = last.map(|last| link(path, kept, Some(&last)));
        Self { newest, older }
    }
}

/// A path with a query.
pub(crate) fn link(path: &str, kept: &[(&str, &str)], before: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept.iter().filter(|(_, value)| !value.is_empty()));
    if let Some(before) = before {
        query.append_pair("before", before);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A parameter of a query; `None` where it is not there or empty.
pub(crate) fn asked(uri: &Uri, name: &str) -> Option<String> {
    let Query(given): Query<Vec<(String, String)>> = Query::try_from_uri(uri).ok()?;
    given.into_iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_the_filter_and_leaves_out_what_is_empty() {
        assert_eq!(link("/x", &[("a", ""), ("b", "1 &")], Some("c")), "/x?b=1+%26&before=c");
        assert_eq!(link("/x", &[], None), "/x");
        assert_eq!(asked(&Uri::from_static("/x?a=&b=1+%26"), "b").as_deref(), Some("1 &"));
        assert_eq!(asked(&Uri::from_static("/x?a="), "a"), None);
    }
}
