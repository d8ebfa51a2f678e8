//! Where the demo's data lies: in a folder of the caller's, or in one that goes at the end.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use abide_core::shell::draw;
use anyhow::Context as _;

use crate::clock::OsChance;
use crate::config::Place;

/// The demo's folder.
pub(super) struct Folder {
    place: Place,
    temporary: Option<PathBuf>,
}

impl Folder {
    pub(super) fn choose(given: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(data) = given {
            return Ok(Self { place: Place::with_default_key_file(data)?, temporary: None });
        }
        let name = u64::from_be_bytes(draw(&OsChance));
        let folder = std::env::temp_dir().join(format!("abide-demo-{name:016x}"));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let temporary = Some(folder.clone());
        let place = Place::new(folder.join("data"), folder.join("data.key"));
        Ok(Self { place, temporary })
    }

    pub(super) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Removes a temporary folder, once nothing in it is open any more, and says so.
    pub(super) fn remove(self) -> String {
        match &self.temporary {
            Some(folder) => format!("removing {}", folder.display()),
            None => format!("the data stays in {}", self.place.data.display()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(folder) = &self.temporary {
            drop(fs::remove_dir_all(folder));
        }
    }
}
