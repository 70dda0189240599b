//! Files of an identity: written whole, synced, then renamed into place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::IdentityError;

/// Mode of the files that hold a private key.
pub(crate) const SECRET_MODE: u32 = 0o600;
/// Mode of all others.
pub(crate) const PLAIN_MODE: u32 = 0o644;

/// Turns an answer of the operating system into an error that names the file.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io { path, source }
}

/// Makes a folder that only its owner may enter, unless it is there.
pub(crate) fn make(folder: &Path) -> Result<(), IdentityError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))
}

/// Writes a file and syncs it. A file of that name is replaced, whatever its mode was.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let attempt = || {
        remove_if_there(path)?;
        // New, so that the mode holds from the first byte on and no link is followed.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    attempt().map_err(at(path))
}

/// Writes a file beside `path`, then renames it into place.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IdentityError> {
    let beside = with_suffix(path, ".new");
    write(&beside, bytes, mode)?;
    rename(&beside, path)
}

/// Renames a file and syncs its folder.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), IdentityError> {
    fs::rename(from, to).map_err(at(from))?;
    let folder = to.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// Removes a file; none of that name is as good.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a file; `None` if there is none.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// The path with more text at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
