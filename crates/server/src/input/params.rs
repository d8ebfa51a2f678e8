//! The query of a list: its page and its filters.

use std::borrow::Cow;

use abide_core::ids::Kind;
use abide_core::original::Reference;
use abide_core::policy::text_problem;
use abide_storage::PageWanted;
use axum::extract::Query;
use http::Uri;

use super::{FieldProblem, Invalid, Name, PROBLEMS_LIMIT, shown, unknown_field};

/// The parameters of one query. Those that nobody takes are ignored.
#[derive(Debug)]
pub(crate) struct Params {
    given: Vec<(String, String)>,
    problems: Vec<FieldProblem>,
}

const PAGE: Name = Name(&["page"]);
const LIMIT: Name = Name(&["limit"]);

impl Params {
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Invalid> {
        let Query(given) = Query::try_from_uri(uri)
            .map_err(|_| Invalid::Body("The query cannot be read as parameters.".into()))?;
        Ok(Self { given, problems: Vec::new() })
    }

    /// `page` and `limit` (P32).
    pub(crate) fn page(&mut self) -> PageWanted {
        let page = self.take(PAGE, |text| number(text, u32::MAX, "must be a number from 1 on"));
        let limit = self.take(LIMIT, |text| number(text, 100, "must be a number from 1 to 100"));
        PageWanted { page: page.unwrap_or(1), limit: limit.unwrap_or(20) }
    }

    /// Refuses every parameter but these, by name.
    pub(crate) fn only(&mut self, known: &[Name]) {
        let unknown = self
            .given
            .iter()
            .filter(|(given, _)| !known.iter().any(|name| name.0.contains(&given.as_str())));
        let problem = |(given, _): &(String, String)| FieldProblem {
            field: shown(given),
            problem: unknown_field(known).into(),
        };
        self.problems.extend(unknown.map(problem).take(PROBLEMS_LIMIT));
    }

    /// A parameter that is true or false.
    pub(crate) fn flag(&mut self, name: Name) -> Option<bool> {
        self.take(name, |text| text.parse().map_err(|_| "must be true or false".to_owned()))
    }

    /// A parameter that is a short text.
    pub(crate) fn text(&mut self, name: Name, limit: usize) -> Option<String> {
        self.take(name, |text| text_problem(text, limit).map_or_else(|| Ok(text.to_owned()), Err))
    }

    /// A short text that must be there.
    pub(crate) fn required_text(&mut self, name: Name, limit: usize) -> Option<String> {
        if !self.holds(name) {
            self.problem(name, "is required");
        }
        self.text(name, limit)
    }

    /// A parameter that is an id, Abide's or the one from before something was brought along.
    pub(crate) fn reference<K: Kind>(&mut self, name: Name) -> Option<Reference<K>> {
        self.take(name, |text| Reference::parse(text).map_err(|problem| problem.to_string()))
    }

    /// Whether a parameter is given, readable or not.
    pub(crate) fn holds(&self, name: Name) -> bool {
        self.given.iter().any(|(known, _)| name.0.contains(&known.as_str()))
    }

    /// Notes a problem of a parameter.
    pub(crate) fn problem(&mut self, name: Name, problem: impl Into<Cow<'static, str>>) {
        let field = name.0[0].to_owned();
        self.problems.push(FieldProblem { field, problem: problem.into() });
    }

    /// A parameter in whatever way `read` reads it.
    pub(crate) fn take<T: PartialEq>(
        &mut self,
        name: Name,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut held: Option<T> = None;
        for (_, text) in self.given.iter().filter(|(known, _)| name.0.contains(&known.as_str())) {
            let problem = match read(text) {
                Err(problem) => problem,
                Ok(value) if held.as_ref().is_some_and(|earlier| *earlier != value) => {
                    "is given twice, with different values".to_owned()
                }
                Ok(value) => {
                    held = Some(value);
                    continue;
                }
            };
            self.problem(name, problem);
            return None;
        }
        held
    }

    /// What was made of the parameters, unless a problem was found.
    pub(crate) fn finish<T>(self, made: T) -> Result<T, Invalid> {
        if self.problems.is_empty() { Ok(made) } else { Err(Invalid::Fields(self.problems)) }
    }
}

fn number(text: &str, most: u32, problem: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<PageWanted, Invalid> {
        let mut params = Params::parse(&format!("/v1/policies?{query}").parse().unwrap()).unwrap();
        let page = params.page();
        params.finish(page)
    }

    /// P32: from page 1 by 20, at most 100.
    #[test]
    fn p32_pages_have_bounds() {
        assert_eq!(page(""), Ok(PageWanted { page: 1, limit: 20 }));
        assert_eq!(page("page=3&limit=100&x=%ff"), Ok(PageWanted { page: 3, limit: 100 }));
        for bad in ["page=0", "page=-1", "limit=0", "limit=101", "page=x", "page=", "page=1&page=2"]
        {
            assert!(page(bad).is_err(), "{bad}");
        }
        assert!(page("limit=99999999999999999999").is_err());
    }
}
