//! Where the server is and which key opens it: flags and variables, then a file of the user's own.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::Api;
use crate::config::{DEFAULT_LISTEN, Usage};
use crate::outgoing::PlainHttp;

#[derive(Args)]
pub(crate) struct ApiSettings {
    /// The server [default: http://127.0.0.1:8420]
    #[arg(long, env = "ABIDE_URL", value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    /// The key's token, abt_...: from the variable, since arguments can be read by everybody on the machine
    #[arg(long, env = "ABIDE_API_KEY", hide_env_values = true, value_name = "TOKEN", hide = true)]
    api_key: Option<String>,
    /// TOML file with `url` and `api_key`, yours alone [default: ~/.config/abide/client.toml]
    #[arg(long, env = "ABIDE_CLIENT_CONFIG", value_name = "FILE", help_heading = "Server")]
    client_config: Option<PathBuf>,
    #[command(flatten)]
    plain_http: PlainHttp,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct InFile {
    url: Option<String>,
    api_key: Option<String>,
}

impl ApiSettings {
    /// The server, ready to be asked.
    pub(crate) fn settle(self) -> anyhow::Result<Api> {
        let file = match (self.client_config, default_file()) {
            (Some(path), _) => {
                read(&path)?.ok_or_else(|| Usage(format!("{} is not there", path.display())))?
            }
            (None, Some(path)) => read(&path)?.unwrap_or_default(),
            (None, None) => InFile::default(),
        };
        let url = self.url.or(file.url).unwrap_or_else(|| format!("http://{DEFAULT_LISTEN}"));
        let server = self.plain_http.judge("the server's URL (--url, ABIDE_URL)", &url)?;
        let key = self.api_key.or(file.api_key).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Usage(NO_KEY.to_owned()))?;
        judge_key(&key)?;
        Api::new(server, key)
    }
}

const NO_KEY: &str = "no API key: set ABIDE_API_KEY to its token (abt_...), or put `api_key = \"abt_...\"` into \
                      ~/.config/abide/client.toml; `abide keys create` makes a key";

fn judge_key(key: &str) -> Result<(), Usage> {
    if key.starts_with("abt_") && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    // Never the text itself: it may be a secret pasted into the wrong place.
    Err(Usage(
        "the API key is no token: give its `bearer_token`, which begins with abt_, and nothing else"
            .to_owned(),
    ))
}

fn default_file() -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    Some(folder.or(home)?.join("abide").join("client.toml"))
}

/// The file's settings; `None` where there is none. One that others can read is refused: it holds a key.
fn read(path: &Path) -> Result<Option<InFile>, Usage> {
    let named = |problem: &dyn std::fmt::Display| Usage(format!("{}: {problem}", path.display()));
    let facts = match fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(&error)),
    };
    let mode = facts.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(named(&format!(
            "others can read or change it (its mode is {mode:03o}), and it holds a key: run `chmod 600 '{}'`",
            path.display()
        )));
    }
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    // The parser's own message shows the line, which may hold the key.
    let settings = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start].matches('\n').count() + 1;
        named(&format!("line {line} is no setting; known are url = \"...\" and api_key = \"...\""))
    })?;
    Ok(Some(settings))
}
