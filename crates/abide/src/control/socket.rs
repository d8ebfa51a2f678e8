//! The control socket: a file in the data folder, for the folder's owner and root alone.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";

/// A socket's address holds 108 bytes on Linux and 104 elsewhere, its end included.
const LONGEST_PATH: usize = 100;

/// Listens in the folder. Only the holder of the folder's lock may call this: a socket that lies there is then a dead
/// server's, and is replaced.
pub(super) fn bind(data: &Path) -> io::Result<UnixListener> {
    let path = data.join(NAME);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let short = Short::of(data)?;
    let listener = UnixListener::bind(short.path())?;
    // Until here the folder's own mode kept others out.
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The running server's socket; `None` when no server listens there.
pub(super) async fn connect(data: &Path) -> io::Result<Option<UnixStream>> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    let short = match Short::of(data) {
        Ok(short) => short,
        Err(error) if error.kind() == NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match UnixStream::connect(short.path()).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes the socket's name away, so that callers open the stopped store at once.
pub(super) fn remove(data: &Path) {
    drop(fs::remove_file(data.join(NAME)));
}

/// The socket under a name that fits into an address, however deep the folder lies.
struct Short {
    path: PathBuf,
    /// Where the path leads through this process's table of open files: the open folder.
    _folder: Option<File>,
}

impl Short {
    fn of(data: &Path) -> io::Result<Self> {
        let plain = data.join(NAME);
        if plain.as_os_str().len() <= LONGEST_PATH {
            return Ok(Self { path: plain, _folder: None });
        }
        let folder = File::open(data)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_servers_socket_is_replaced_and_a_deep_folder_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        for data in [folder.path(), &deep] {
            assert!(connect(data).await.unwrap().is_none(), "nobody was there yet");
            drop(bind(data).unwrap());
            assert!(data.join(NAME).exists() && connect(data).await.unwrap().is_none());
            let listener = bind(data).unwrap();
            let mode = fs::metadata(data.join(NAME)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
            assert!(connect(data).await.unwrap().is_some());
            drop(listener);
            remove(data);
            assert!(!data.join(NAME).exists());
        }
    }

    #[tokio::test]
    async fn no_folder_is_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("m".repeat(120));
        assert!(connect(&missing).await.unwrap().is_none());
        assert!(connect(&folder.path().join("short")).await.unwrap().is_none());
    }
}
