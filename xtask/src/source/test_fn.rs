//! Finds test functions: whatever stands under an attribute whose path ends in `test`, also inside
//! `proptest! { ... }`, where the functions look the same. The cases of the storage suite are tests too,
//! written once and run by every store.

use super::{Source, attributes, body_start, closing, item_end, words};

/// Where the storage suite is: its public functions are cases.
const SUITE: &str = "crates/storage/src/suite";

/// A test function and what it says about itself.
#[derive(Debug)]
pub(crate) struct TestFn {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) name: String,
    /// The comments and attributes directly above it, and the comments in its body.
    pub(crate) said: String,
}

impl Source {
    pub(crate) fn tests(&self) -> Vec<TestFn> {
        let mut starts: Vec<(usize, usize)> = attributes(&self.code)
            .filter(|&(at, end)| is_test_attribute(&self.code[at + 2..end - 1]))
            .filter_map(|(at, end)| {
                let next = words(&self.code[end..], "fn").next()?;
                Some((end + next, head_start(self, at)))
            })
            .collect();
        starts.dedup_by_key(|&mut (function, _)| function);
        starts.into_iter().map(|(function, head)| self.test_fn(function, head)).collect()
    }

    /// The cases of the storage suite in this file. They are tests only where a store runs them.
    pub(crate) fn suite_cases(&self) -> Vec<TestFn> {
        if !self.path.starts_with(SUITE) {
            return Vec::new();
        }
        words(&self.code, "fn")
            .filter_map(|function| {
                let line = self.code[..function].rfind('\n').map_or(0, |end| end + 1);
                let public = self.code[line..function].trim_start().starts_with("pub");
                public.then(|| self.test_fn(function, head_start(self, line)))
            })
            .collect()
    }

    fn test_fn(&self, function: usize, head: usize) -> TestFn {
        let name_at = function + "fn ".len();
        let name = self.code[name_at..].split(['(', '<']).next().unwrap_or_default();
        let body = body_start(&self.code, name_at)..item_end(&self.code, name_at);
        let above =
            self.text[head..function].lines().filter(|line| !line.trim().starts_with("//!"));
        let above = above.collect::<Vec<_>>().join("\n");
        TestFn {
            path: self.path.clone(),
            line: self.line(function),
            name: name.trim().to_owned(),
            said: format!("{above}\n{}", &self.comments[body]),
        }
    }
}

/// `test`, `tokio::test`, `tokio::test(flavor = "...")`.
fn is_test_attribute(inside: &str) -> bool {
    let path = inside.split('(').next().unwrap_or_default().trim();
    path.rsplit("::").next() == Some("test")
}

/// Where the comments and attributes directly above the attribute at `at` begin: behind the last
/// code that is not an attribute, and behind the last blank line.
fn head_start(source: &Source, at: usize) -> usize {
    let mut head = at;
    loop {
        let before = source.code[..head].trim_end();
        let opened = attributes(before)
            .find(|&(start, end)| end == before.len() && closing(&source.code, start + 1) == end);
        let Some((start, _)) = opened else {
            head = before.len();
            break;
        };
        head = start;
    }
    // The rest of the line that ends the code before belongs to that code.
    if head > 0 {
        head += source.text[head..at].find('\n').map_or(0, |end| end + 1);
    }
    let above = &source.text[head..at];
    let mut start = 0;
    let mut offset = 0;
    for line in above.split_inclusive('\n') {
        offset += line.len();
        if line.trim().is_empty() && line.ends_with('\n') {
            start = offset;
        }
    }
    head + start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(text: &str) -> Vec<TestFn> {
        Source::new("crates/x/src/a.rs", text).tests()
    }

    #[test]
    fn finds_plain_async_and_attributed_tests() {
        let found = tests(
            "#[test]\nfn one() {}\n\
             #[tokio::test(flavor = \"multi_thread\")]\nasync fn two() -> Result<(), [u8; 2]> {}\n\
             #[test]\n#[should_panic(expected = \"x\")]\nfn three() {}\n\
             #[cfg(test)]\nfn helper() {}\n#[test_log]\nfn other() {}",
        );
        let names: Vec<_> = found.iter().map(|test| (test.name.as_str(), test.line)).collect();
        assert_eq!(names, [("one", 2), ("two", 4), ("three", 7)]);
    }

    #[test]
    fn finds_tests_inside_proptest() {
        let found = tests(
            "proptest! {\n    #![proptest_config(c())]\n    /// About A7.\n    #[test]\n    \
             fn prop(a in \"[a-z]{3}\", b in any::<u8>().prop_map(|b| { b + 1 })) {\n        \
             // see B8\n        let x = \"C9\";\n    }\n}\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "prop");
        assert!(found[0].said.contains("A7") && found[0].said.contains("B8"));
        assert!(!found[0].said.contains("C9"), "a string in the body is no comment");
    }

    #[test]
    fn a_test_says_what_stands_directly_above_it() {
        let found = tests(
            "//! Module A1.\n/// A2\n#[test]\nfn one() {} // A3\n\n// A4, a heading\n\n\
             /// A5\n#[case(\"A6\")]\n// A7\n#[test]\n/// A8\n#[other]\nfn two() { /* A9 */ }\n\
             // A10\nfn helper() {}",
        );
        let said = |test: &TestFn| {
            let words = test.said.split(|c: char| !c.is_alphanumeric());
            words.filter(|word| word.starts_with('A')).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(&found[0]), "A2");
        assert_eq!(said(&found[1]), "A5 A6 A7 A8 A9");
    }

    #[test]
    fn public_functions_of_the_suite_are_cases() {
        let text =
            "//! A1\n\n/// A2\npub async fn one(store: &S) { /* A3 */ }\n/// A4\nfn two() {}";
        let cases = Source::new("crates/storage/src/suite/a.rs", text).suite_cases();
        assert_eq!(cases.len(), 1);
        assert_eq!((cases[0].name.as_str(), cases[0].line), ("one", 4));
        assert!(cases[0].said.contains("A2") && cases[0].said.contains("A3"));
        assert!(!cases[0].said.contains("A1") && !cases[0].said.contains("A4"));
        assert!(Source::new("crates/storage/src/a.rs", text).suite_cases().is_empty());
    }

    #[test]
    fn text_in_strings_is_no_test() {
        assert!(
            tests("const A: &str = \"#[test]\\nfn a() {}\";\n// #[test]\n// fn b() {}").is_empty()
        );
    }
}
