//! What a new store needs before anybody can use it: the organization `default`, an admin key that somebody has, and a
//! one-time link with which somebody becomes the owner of the dashboard.
//!
//! A key in the store is worth nothing when the process was killed before its secret came out. So a note in the data
//! folder says "not handed over yet" from before the key is minted until it was shown or written; a start that finds
//! the note revokes what an interrupted one minted, and mints again. It says of which key, by the hash of its secret: other
//! nodes of the same database mint keys, too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use abide_core::Refusal;
use abide_core::access::Scope;
use abide_core::consent::hash::hex;
use abide_core::ids::KeyId;
use abide_core::rate::RateLimit;
use abide_core::shell::draw;
use abide_core::user::LINK_MILLIS;
use abide_server::Dashboard;
use abide_storage::StorageError;
use abide_storage::accounts::{ApiKey, NewKey, NewOrganization};
use abide_storage::credential::KeySecret;
use abide_storage::one_time::TokenSecret;
use abide_storage::users::NewLink;
use anyhow::Context as _;

use crate::config::beside;
use crate::operations::{self, DEFAULT_ORGANIZATION, Ground, MintedKey, Operation};
use crate::terminal;

/// What the first key is called.
const KEY_NAME: &str = "admin (first start)";
const NOTE: &str = "admin-key.pending";
/// Put to the data folder's name: beside the folder, so that no backup of it holds the key.
const KEY_FILE_ENDING: &str = ".admin-key.json";
/// In the data folder, where nothing can be made beside it.
const KEY_FILE_WITHIN: &str = "admin-key.json";

/// Beside the data folder, likewise.
const LINK_FILE_ENDING: &str = ".owner-link.txt";

/// What a first start hands to whoever began it, once.
pub(crate) struct Handed {
    /// The admin key.
    pub(crate) key: MintedKey,
    /// Where to become the owner; `None` where there are users already.
    pub(crate) owner_link: Option<String>,
}

/// Sets a new store up; does nothing on one that is set up. Answers what this start minted. Of several nodes that begin with
/// the same database at once one sets it up, and the others leave what that one minted alone.
pub(crate) async fn ensure_usable(
    ground: &Ground,
    dashboard: &Dashboard,
    data: &Path,
    hand_over: impl FnOnce(&Handed, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Handed>> {
    let accounts = ground.storage.accounts();
    let note = data.join(NOTE);
    let organization = accounts.organization(DEFAULT_ORGANIZATION).await?;
    let keys = match &organization {
        Some(found) => accounts.keys(found.id).await?,
        None => Vec::new(),
    };
    match Interrupted::read(&note)? {
        None if !keys.is_empty() => return Ok(None),
        // Whoever deleted `default` and works in others does not want it back.
        None if organization.is_none() && has_others(ground).await? => return Ok(None),
        None => {}
        Some(interrupted) => {
            let (minted, others): (Vec<ApiKey>, Vec<ApiKey>) =
                keys.into_iter().partition(|key| interrupted.has_minted(key));
            let is_live = |key: &ApiKey| key.revoked_at.is_none();
            if minted.is_empty() && others.iter().any(is_live) && interrupted.knows_its_key() {
                // It came too late, and another node's key is good.
                forget(&note)?;
                return Ok(None);
            }
            for key in minted.into_iter().filter(is_live) {
                revoke(ground, key.id).await?;
            }
        }
    }
    let secret = KeySecret::mint(&draw(&*ground.chance));
    // On disk before the key can be.
    write_durably(&note, hex(&secret.hash().0).as_bytes())?;
    let Some(key) = mint(ground, organization.is_some(), &secret).await? else {
        forget(&note)?;
        return Ok(None);
    };
    // An offer that an interrupted start made is voided by this one.
    let owner_link = offer_ownership(ground, dashboard).await?;
    let handed = Handed { key, owner_link };
    hand_over(&handed, data)?;
    forget(&note)?;
    Ok(Some(handed))
}

/// What a note says of the start that wrote it.
enum Interrupted {
    /// The hash of the secret of the key that it minted, or was about to.
    Mints(String),
    /// Nothing, as in versions of Abide that knew one node alone.
    Silent,
}

impl Interrupted {
    /// Reads the note, if there is one.
    fn read(note: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read_to_string(note) {
            Ok(text) if text.is_empty() => Ok(Some(Self::Silent)),
            Ok(text) => Ok(Some(Self::Mints(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", note.display())),
        }
    }

    fn has_minted(&self, key: &ApiKey) -> bool {
        match self {
            Self::Mints(hash) => hex(&key.secret.0) == *hash,
            Self::Silent => key.name == KEY_NAME,
        }
    }

    fn knows_its_key(&self) -> bool {
        matches!(self, Self::Mints(_))
    }
}

/// Whether there is an organization beside `default` that somebody works in.
async fn has_others(ground: &Ground) -> anyhow::Result<bool> {
    let all = ground.storage.accounts().organizations().await?;
    Ok(all.iter().any(|other| other.state.is_alive()))
}

/// Mints the first key, with the organization where there is none; nothing where another node has founded it meanwhile.
async fn mint(
    ground: &Ground,
    is_founded: bool,
    secret: &KeySecret,
) -> anyhow::Result<Option<MintedKey>> {
    let (accounts, now) = (ground.storage.accounts(), ground.clock.now());
    let key = NewKey {
        name: KEY_NAME.to_owned(),
        scopes: vec![Scope::Admin],
        secret: secret.hash(),
        rate_limit: RateLimit::DEFAULT,
        expires_at: None,
    };
    if is_founded {
        let by = ground.operator_of(DEFAULT_ORGANIZATION).await?;
        let key = accounts.create_key(&by, key, now).await?;
        return Ok(Some(MintedKey::of(secret, key.id)));
    }
    let new = NewOrganization { uri: DEFAULT_ORGANIZATION.to_owned(), name: None, key };
    match accounts.begin_organization(new, now).await {
        Ok((_, key)) => Ok(Some(MintedKey::of(secret, key.id))),
        Err(StorageError::Refused(Refusal::Conflict(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes the note: there is nothing more to hand over.
fn forget(note: &Path) -> anyhow::Result<()> {
    fs::remove_file(note).with_context(|| format!("cannot remove {}", note.display()))?;
    note.parent().map_or(Ok(()), sync_folder)
}

/// The link for the first owner.
async fn offer_ownership(ground: &Ground, dashboard: &Dashboard) -> anyhow::Result<Option<String>> {
    let by = ground.operator_of(DEFAULT_ORGANIZATION).await?;
    let (secret, now) = (TokenSecret::mint(&draw(&*ground.chance)), ground.clock.now());
    let link = NewLink { secret: secret.hash(), expires_at: now.plus_millis(LINK_MILLIS) };
    let offered = ground.storage.users().offer_ownership(&by, link, now).await?;
    Ok(offered.then(|| dashboard.welcome(&secret.issue(by.organization))))
}

/// Shows what was minted to whoever reads the terminal, or writes it where only the owner can read it.
pub(crate) fn show_or_write(handed: &Handed, data: &Path) -> anyhow::Result<()> {
    if !terminal::somebody_reads() {
        return write_files(handed, data).map(|paths| {
            terminal::say(format_args!(
                "admin key written to {}; keep it elsewhere",
                paths.key.display()
            ));
            if let Some(path) = paths.link {
                terminal::say(format_args!(
                    "one-time link for the dashboard's first owner, good for 24 hours, written to {}",
                    path.display()
                ));
            }
        });
    }
    let minted = &handed.key;
    terminal::say("An admin key for the organization `default`, shown this once:");
    terminal::say(format_args!("  id            {}", minted.id));
    terminal::say(format_args!("  api_key       {}", minted.api_key));
    terminal::say(format_args!("  api_secret    {}", minted.api_secret));
    terminal::say(format_args!("  bearer_token  {}", minted.bearer_token));
    if let Some(link) = &handed.owner_link {
        terminal::say("Become the owner of the dashboard, once and within 24 hours:");
        terminal::say(format_args!("  {link}"));
    }
    Ok(())
}

/// Where what was minted lies.
pub(crate) struct Written {
    key: PathBuf,
    link: Option<PathBuf>,
}

/// Writes what was minted to files of mode 0600.
pub(crate) fn write_files(handed: &Handed, data: &Path) -> anyhow::Result<Written> {
    // The key last: once its file is there, a start that is killed has told everything.
    let link = handed.owner_link.as_ref().map(|link| write_link(link, data)).transpose()?;
    Ok(Written { key: write_file(&handed.key, data)?, link })
}

/// The link works once and for a day, so a backup that holds it gives nothing away for long.
fn write_link(link: &str, data: &Path) -> anyhow::Result<PathBuf> {
    let text = format!("{link}\n");
    if let Ok(path) = beside(data, LINK_FILE_ENDING)
        && write_durably(&path, text.as_bytes()).is_ok()
    {
        return Ok(path);
    }
    let path = data.join("owner-link.txt");
    write_durably(&path, text.as_bytes())?;
    Ok(path)
}

/// Writes the key to a file of mode 0600: beside the data folder, or in it where that cannot be.
fn write_file(minted: &MintedKey, data: &Path) -> anyhow::Result<PathBuf> {
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

async fn revoke(ground: &Ground, key: KeyId) -> anyhow::Result<()> {
    operations::run(Operation::RevokeKey { key }, ground).await?;
    terminal::say(format_args!(
        "revoked the admin key {key}, of a first start that ended before it was told"
    ));
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
