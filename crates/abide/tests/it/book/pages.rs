//! Pages taken apart into their blocks.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the book, or the README.
pub(super) struct Page {
    /// Its path below `docs/book/src`; `README.md` for that one.
    pub(super) name: String,
    /// Where it lies.
    pub(super) path: PathBuf,
    /// All of it.
    pub(super) text: String,
    /// What it does and shows, in order.
    pub(super) blocks: Vec<Block>,
}

/// A part of a page that means something here.
pub(super) enum Block {
    /// Plays another page first.
    After(String),
    /// Typed into the reader's shell.
    Run(String),
    /// Typed into a terminal of its own.
    Background(String),
    /// Interrupts what runs that.
    Stop(String),
    /// What is printed.
    Shows(String),
    /// A command that is not run.
    NotRun(String),
}

const TO_READ: [&str; 7] = ["text", "json", "toml", "js", "nginx", "http", "ini"];

impl Page {
    fn read(name: &str, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let blocks = blocks(name, &text);
        Self { name: name.to_owned(), path: path.to_owned(), text, blocks }
    }

    pub(super) fn has_commands(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, Block::Run(_) | Block::Background(_)))
    }
}

/// The repository.
pub(super) fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// The pages' folder.
pub(super) fn source() -> PathBuf {
    root().join("docs/book/src")
}

/// The README and every page of the book.
pub(super) fn all() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md", &root().join("README.md"))];
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
                pages.push(Page::read(&name, &path));
            }
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    pages
}

fn blocks(name: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let comment = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some((direction, what)) = comment.and_then(|comment| comment.split_once(": ")) {
            blocks.push(match direction {
                "after" => Block::After(what.to_owned()),
                "stop" => Block::Stop(what.to_owned()),
                "made" => continue,
                _ => panic!("{name}: nobody knows the direction `{direction}`"),
            });
            continue;
        }
        let Some(kind) = line.trim_start().strip_prefix("```") else { continue };
        assert!(line.starts_with("```"), "{name}: a fence that is indented is not seen: {line}");
        let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let body = body.join("\n");
        blocks.push(match kind {
            "sh" => Block::Run(body),
            "sh,background" => Block::Background(body),
            "sh,norun" => Block::NotRun(body),
            "text,shows" => Block::Shows(body),
            _ if TO_READ.contains(&kind) => continue,
            _ => panic!("{name}: `{kind}` is no kind of block that is known here"),
        });
    }
    blocks
}
