//! Rust files as the chores read them: the text, and the same text split into code and comments.
//!
//! The split is a small hand lexer, not a parser. It knows comments, strings, raw strings and
//! character literals, which is all that a search for attributes, names and braces must not trip on.

mod test_fn;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

pub(crate) use test_fn::TestFn;

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 3] = [".git", "target", "node_modules"];

/// One Rust file. `code` and `comments` are as long as `text`, with everything else blanked out,
/// so that a position means the same in all three.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    comments: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut code = blank(text);
        let mut comments = code.clone();
        let mut at = 0;
        while at < text.len() {
            let (kind, length) = token(&text[at..]);
            let piece = at..at + length;
            match kind {
                Kind::Code => code[piece.clone()].copy_from_slice(&text.as_bytes()[piece.clone()]),
                Kind::Comment => {
                    comments[piece.clone()].copy_from_slice(&text.as_bytes()[piece.clone()]);
                }
                Kind::Literal => {}
            }
            at = piece.end;
        }
        let string = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: string(code),
            comments: string(comments),
        }
    }

    /// The line of a position, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// Where code calls `name` as a whole word.
    pub(crate) fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        words(&self.code, name)
    }

    /// The code that is built into the product: without the items under `#[cfg(test)]`.
    pub(crate) fn shipped_code(&self) -> String {
        let in_tests = |part: &str| part == "tests" || part == "tests.rs";
        if self.path.split('/').any(in_tests) || self.code.trim_start().starts_with("#![cfg(test)]")
        {
            return String::new();
        }
        let mut code = self.code.clone();
        for (at, end) in attributes(&self.code) {
            if self.code[at..end].split_whitespace().collect::<String>() == "#[cfg(test)]" {
                let end = item_end(&self.code, end);
                code.replace_range(at..end, &" ".repeat(end - at));
            }
        }
        code
    }
}

/// All Rust files below `folders` of the workspace, by path.
pub(crate) fn rust_files(root: &Path, folders: &[&str]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in folders.iter().filter(|folder| root.join(folder).is_dir()) {
        for path in files(root, folder)? {
            if has_extension(&path, "rs") {
                let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
                sources.push(Source::new(&path, &text));
            }
        }
    }
    Ok(sources)
}

/// All files below `folder` (`.` for the whole tree) as paths relative to `root`, in order.
pub(crate) fn files(root: &Path, folder: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![root.join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            let skipped = SKIPPED.contains(&name.as_str()) || has_extension(&name, "data");
            if kind.is_dir() && !skipped {
                waiting.push(entry.path());
            } else if kind.is_file() && name != ".git" {
                let path = entry.path();
                let path = path.strip_prefix(root).context("outside of the workspace")?;
                let path = path.to_string_lossy();
                found.push(path.strip_prefix("./").unwrap_or(&path).to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == extension)
}

/// The attributes `#[...]` in code, each from `#` to behind `]`.
fn attributes(code: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    code.match_indices("#[").map(|(at, _)| (at, closing(code, at + 1)))
}

/// Where the item that starts at `from` ends: behind its body, or behind its `;`.
fn item_end(code: &str, from: usize) -> usize {
    let start = body_start(code, from);
    if code[start..].starts_with('{') { closing(code, start) } else { (start + 1).min(code.len()) }
}

/// The `{` that opens the item's body, or the `;` that ends an item without one. Brackets before
/// it (arguments, types) are passed over.
fn body_start(code: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(next) = code[at..].find(['(', '[', '{', ';']).map(|next| at + next) {
        match code.as_bytes()[next] {
            b'(' | b'[' => at = closing(code, next),
            _ => return next,
        }
    }
    code.len()
}

/// Behind the bracket that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Where `name` stands in `text` with no letter, digit or underscore beside it.
fn words<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(name).map(|(at, _)| at).filter(move |&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

enum Kind {
    Code,
    Comment,
    Literal,
}

/// What `rest` starts with, and how many bytes of it.
fn token(rest: &str) -> (Kind, usize) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment(rest))
    } else if rest.starts_with('"') {
        (Kind::Literal, quoted(rest, '"'))
    } else if rest.starts_with('r') {
        raw_string(rest).map_or((Kind::Code, first), |length| (Kind::Literal, length))
    } else if rest.starts_with('\'') && is_char_literal(rest) {
        (Kind::Literal, quoted(rest, '\''))
    } else {
        (Kind::Code, first)
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(next) = rest[at..].find(['/', '*']).map(|next| at + next) {
        let step = if rest[next..].starts_with("/*") {
            depth += 1;
            2
        } else if rest[next..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at = next + step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_char_literal(rest: &str) -> bool {
    let mut characters = rest.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if !escaped && character == quote {
            return at + 1;
        }
        escaped = !escaped && character == '\\';
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|&byte| byte == b'#').count();
    let content = rest[1 + hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let length = content.find(&close).map_or(content.len(), |end| end + close.len());
    Some(rest.len() - content.len() + length)
}

/// Spaces instead of everything but line ends.
fn blank(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_code(text: &str, code: &str) {
        let source = Source::new("a.rs", text);
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>().join(" "), code);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(source.comments.len(), text.len());
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        check_code("let a = \"x // \\\" y\"; // b", "let a = ;");
        check_code("a /* b /* c */ d */ e", "a e");
        check_code(r##"f(r#"a " b"#, br"c\", "d")"##, "f( , b , )");
        check_code("let é = 'é'; fn f<'a>(x: &'a str) {}", "let é = ; fn f<'a>(x: &'a str) {}");
        check_code(r"m('\'', '{', b'}', r#fn)", "m( , , b , r#fn)");
        check_code("\"never closed {", "");
    }

    #[test]
    fn comments_are_kept_in_place() {
        let source = Source::new("a.rs", "a(); // why \"x\"\nb(); /* c */");
        assert_eq!(
            source.comments.split_whitespace().collect::<Vec<_>>(),
            ["//", "why", "\"x\"", "/*", "c", "*/"]
        );
        assert_eq!(source.line(source.text.find("b()").unwrap()), 2);
    }

    #[test]
    fn test_modules_are_not_shipped() {
        let text =
            "use abide_core::A;\n#[cfg(test)]\nmod tests { use abide_engine::B; }\nfn c() {}";
        let shipped = Source::new("crates/x/src/a.rs", text).shipped_code();
        assert!(shipped.contains("abide_core"));
        assert!(!shipped.contains("abide_engine"));
        assert!(shipped.contains("fn c"));
        assert_eq!(Source::new("crates/x/src/tests.rs", text).shipped_code(), "");
        assert_eq!(Source::new("crates/x/tests/it/main.rs", text).shipped_code(), "");
    }

    #[test]
    fn files_lists_the_tree_without_build_output() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["crates/a/src", "target/debug", ".git", "demo.data"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join("x.rs"), "fn x() {}").unwrap();
        }
        assert_eq!(files(root.path(), ".").unwrap(), ["crates/a/src/x.rs"]);
        assert_eq!(rust_files(root.path(), &["crates", "simulation"]).unwrap().len(), 1);
    }
}
