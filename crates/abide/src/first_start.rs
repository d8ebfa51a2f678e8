//! What a new store needs before anybody can use it: the organization `default` and an admin key that somebody has.
//!
//! A key in the store is worth nothing when the process was killed before its secret came out. So a note in the data
//! folder says "not handed over yet" from before the key is minted until it was shown or written; a start that finds
//! the note revokes what an interrupted one minted, and mints again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use abide_core::access::Scope;
use anyhow::Context as _;

use crate::config::beside;
use crate::operations::{self, DEFAULT_ORGANIZATION, Done, Ground, MintedKey, Operation};
use crate::terminal;

/// What the first key is called.
const KEY_NAME: &str = "admin (first start)";
const NOTE: &str = "admin-key.pending";
/// Put to the data folder's name: beside the folder, so that no backup of it holds the key.
const KEY_FILE_ENDING: &str = ".admin-key.json";
/// In the data folder, where nothing can be made beside it.
const KEY_FILE_WITHIN: &str = "admin-key.json";

/// Sets a new store up; does nothing on one that is set up. Answers the key when this start minted it.
pub(crate) async fn ensure_usable(
    ground: &Ground,
    data: &Path,
    hand_over: impl FnOnce(&MintedKey, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<Option<MintedKey>> {
    let accounts = ground.storage.accounts();
    let note = data.join(NOTE);
    let organization = accounts.organization(DEFAULT_ORGANIZATION).await?;
    let has_keys = match &organization {
        Some(found) => !accounts.keys(found.id).await?.is_empty(),
        None => false,
    };
    if has_keys && !note.exists() {
        return Ok(None);
    }
    // On disk before the key can be.
    write_durably(&note, b"")?;
    if organization.is_none() {
        accounts.create_organization(DEFAULT_ORGANIZATION, ground.clock.now()).await?;
    }
    revoke_leftovers(ground).await?;
    let create = Operation::CreateKey {
        organization: DEFAULT_ORGANIZATION.to_owned(),
        name: KEY_NAME.to_owned(),
        scopes: vec![Scope::Admin],
    };
    let Done::KeyCreated(minted) = operations::run(create, ground).await? else {
        unreachable!("creating a key answers with the key")
    };
    hand_over(&minted, data)?;
    fs::remove_file(&note).with_context(|| format!("cannot remove {}", note.display()))?;
    sync_folder(data)?;
    Ok(Some(minted))
}

/// Shows the key to whoever reads the terminal, or writes it where only the owner can read it.
pub(crate) fn show_or_write(minted: &MintedKey, data: &Path) -> anyhow::Result<()> {
    if !terminal::somebody_reads() {
        let path = write_file(minted, data)?;
        terminal::say(format_args!("admin key written to {}; keep it elsewhere", path.display()));
        return Ok(());
    }
    terminal::say("An admin key for the organization `default`, shown this once:");
    terminal::say(format_args!("  id            {}", minted.id));
    terminal::say(format_args!("  api_key       {}", minted.api_key));
    terminal::say(format_args!("  api_secret    {}", minted.api_secret));
    terminal::say(format_args!("  bearer_token  {}", minted.bearer_token));
    Ok(())
}

/// Writes the key to a file of mode 0600: beside the data folder, or in it where that cannot be.
pub(crate) fn write_file(minted: &MintedKey, data: &Path) -> anyhow::Result<PathBuf> {
    let mut json = serde_json::to_vec_pretty(minted)?;
    json.push(b'\n');
    if let Ok(path) = beside(data, KEY_FILE_ENDING)
        && write_durably(&path, &json).is_ok()
    {
        return Ok(path);
    }
    let path = data.join(KEY_FILE_WITHIN);
    write_durably(&path, &json)?;
    warn_of_secret(data);
    Ok(path)
}

/// Says that the data folder holds a key's secret, as long as it does.
pub(crate) fn warn_of_secret(data: &Path) {
    let path = data.join(KEY_FILE_WITHIN);
    if path.exists() {
        terminal::complain(format_args!(
            "warning: {} holds the secret of an admin key, and backups of the folder hold it too: move it away",
            path.display()
        ));
    }
}

async fn revoke_leftovers(ground: &Ground) -> anyhow::Result<()> {
    let list = Operation::ListKeys { organization: DEFAULT_ORGANIZATION.to_owned() };
    let Done::Keys { keys } = operations::run(list, ground).await? else {
        unreachable!("listing keys answers with keys")
    };
    for key in keys.iter().filter(|key| key.name == KEY_NAME && key.revoked_at.is_none()) {
        operations::run(Operation::RevokeKey { key: key.id }, ground).await?;
        terminal::say(format_args!(
            "revoked the admin key {}, of a first start that ended before it was told",
            key.id
        ));
    }
    Ok(())
}

/// The whole file or none of it, and on disk when this returns.
fn write_durably(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let write = || -> io::Result<()> {
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("cannot sync {}", folder.display()))
}
