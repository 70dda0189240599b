//! A text file that the configuration is, or names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A file's text, and what it is called.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What errors call it.
    pub file: String,
    /// What was in it.
    pub text: String,
    /// Where it is; not handed on.
    #[serde(skip)]
    pub path: PathBuf,
    /// The same without links, if it is where the core can write.
    #[serde(skip)]
    place: Option<PathBuf>,
}

impl Source {
    /// Reads a regular file of at most so many bytes. In the data directory links are no files: the core
    /// could lead them elsewhere.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub(super) fn read(data: &Path, path: PathBuf, bytes_max: u64) -> Result<Self, ConfigError> {
        match place(data, &path).and_then(|place| Ok((place, read(&path, bytes_max)?))) {
            Ok((place, text)) => Ok(Self { file: path.display().to_string(), text, path, place }),
            Err(source) => Err(ConfigError::Io { path, source }),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }

    /// Whether the file is what was read.
    pub fn is_unchanged(&self) -> bool {
        let is_no_link = || self.place.as_ref().is_none_or(|place| is_itself(place));
        read(&self.path, self.text.len() as u64).is_ok_and(|text| text == self.text) && is_no_link()
    }

    /// Whether it is where the core can write.
    pub fn is_exposed(&self) -> bool {
        self.place.is_some()
    }

    /// Puts it back to where it was read. What is there now is kept beside it, with `.changed` behind its
    /// name, where that can be.
    ///
    /// First of all it is taken away, and only then anything is written: whoever ends the vault meanwhile,
    /// or has left no room on the disk, has nothing there that a start would obey.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn put_back(&self, data: &Path) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let folder = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
        make_ours(&data.canonicalize()?, folder)?;
        take_away(place, "changed")?;
        let beside = with_suffix(place, &random()?);
        let written = write(&beside, &self.text).and_then(|file| {
            std::fs::rename(&beside, place)?;
            Ok(file)
        });
        let file = written.inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
        // Only now: a disk can be kept busy for long.
        file.sync_all()?;
        File::open(folder)?.sync_all()
    }
}

/// Takes what is there away, so that it is not there any more. It is kept beside it, with this behind its
/// name, or, if something is in the way of that, with a name that nobody can guess.
///
/// # Errors
///
/// The operating system's.
pub fn take_away(path: &Path, suffix: &str) -> io::Result<()> {
    let kept = with_suffix(path, suffix);
    let moved = std::fs::rename(path, &kept).or_else(|_| {
        let elsewhere = with_suffix(path, &format!("{suffix}.{}", random()?));
        std::fs::rename(path, elsewhere)
    });
    match moved.or_else(|_| std::fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Where a file is, without links, if the core can write there; `None` for one outside of the data
/// directory, and where there is none (an empty path).
fn place(data: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    if data.as_os_str().is_empty() {
        return Ok(None);
    }
    let data_itself = data.canonicalize()?;
    let itself = path.canonicalize()?;
    let inside = path.strip_prefix(data).or_else(|_| path.strip_prefix(&data_itself));
    match inside {
        Ok(inside) if itself == data_itself.join(inside) => Ok(Some(itself)),
        Err(_) if !itself.starts_with(&data_itself) => Ok(None),
        _ => Err(io::Error::other(LINK)),
    }
}

fn is_itself(place: &Path) -> bool {
    place.canonicalize().is_ok_and(|itself| itself == place)
}

/// Sees to it that the folders from `data` down to this one are folders, and their owner's to write:
/// the core can put links in their place, and take their rights.
///
/// # Errors
///
/// The operating system's.
pub fn make_ours(data: &Path, folder: &Path) -> io::Result<()> {
    let below = folder.ancestors().take_while(|folder| folder.starts_with(data));
    let below: Vec<&Path> = below.collect();
    for folder in below.into_iter().rev() {
        let is_folder = match std::fs::symlink_metadata(folder) {
            Ok(metadata) => metadata.is_dir(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_folder {
            take_away(folder, "changed")?;
            std::fs::create_dir(folder)?;
        }
        let mut permissions = std::fs::metadata(folder)?.permissions();
        if permissions.mode() & OWNERS != OWNERS {
            permissions.set_mode(permissions.mode() | OWNERS);
            std::fs::set_permissions(folder, permissions)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// Whoever changed a file may have put a folder in the way of a name that he can guess.
fn random() -> io::Result<String> {
    let mut random = [0; 8];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| io::Error::other("no randomness"))?;
    Ok(hex::encode(random))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(format!(".{suffix}"));
    path.into()
}

const LINK: &str =
    "a link, or reached by one: in the data directory the core could lead it elsewhere";
/// What the owner of a folder may do.
const OWNERS: u32 = 0o700;

fn read(path: &Path, bytes_max: u64) -> io::Result<String> {
    // Somebody may have put a pipe there, which would be waited for.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    file.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(io::Error::other("longer than such a file can be"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::Source;

    #[test]
    fn a_device_or_a_long_file_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        for (path, why) in [("/dev/zero", "not a regular file"), ("/", "not a regular file")] {
            let error = Source::read(data, PathBuf::from(path), 9).expect_err(path).to_string();
            assert!(error.ends_with(why), "{error}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "0123456789").expect("written");
        let error =
            Source::read(data, file.path().to_owned(), 9).expect_err("too long").to_string();
        assert!(error.ends_with("longer than such a file can be"), "{error}");
        let read = Source::read(data, file.path().to_owned(), 10).expect("as long as it may be");
        assert!(read.is_unchanged());
        std::fs::write(file.path(), "0123456789a").expect("written");
        assert!(!read.is_unchanged());
    }

    #[test]
    fn what_was_read_comes_back_and_the_other_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "first").expect("written");
        let source = Source::read(folder.path(), path.clone(), 9).expect("read");
        for _ in 0..2 {
            std::fs::write(&path, "second").expect("written");
            source.put_back(folder.path()).expect("put back");
            assert!(source.is_unchanged());
            let kept = folder.path().join("config.toml.changed");
            assert_eq!(std::fs::read_to_string(kept).expect("kept"), "second");
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
        }
        // A folder in the way.
        std::fs::remove_file(folder.path().join("config.toml.changed")).expect("removed");
        std::fs::create_dir_all(folder.path().join("config.toml.changed/x")).expect("made");
        std::fs::write(&path, "third").expect("written");
        source.put_back(folder.path()).expect("put back all the same");
        assert!(source.is_unchanged());
    }

    /// Code in the core has the folder to itself until it is killed.
    #[test]
    fn rights_folders_and_links_do_not_keep_a_file_from_coming_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        let sub = data.join("own/deep");
        std::fs::create_dir_all(&sub).expect("made");
        let path = sub.join("own.toml");
        std::fs::write(&path, "first").expect("written");
        let source = Source::read(data, path.clone(), 9).expect("read");
        let elsewhere = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(elsewhere.path().join("deep")).expect("made");
        let victim = elsewhere.path().join("deep/own.toml");
        let tricks: [(&str, &dyn Fn()); 6] = [
            ("the file's place is a folder", &|| {
                std::fs::remove_file(&path).expect("removed");
                std::fs::create_dir_all(path.join("x")).expect("made");
            }),
            ("the file is a link to the same text", &|| {
                let other = data.join("other");
                std::fs::write(&other, "first").expect("written");
                std::fs::remove_file(&path).expect("removed");
                std::os::unix::fs::symlink(&other, &path).expect("linked");
            }),
            ("the folder is a link to elsewhere", &|| {
                std::fs::rename(data.join("own"), data.join("gone")).expect("renamed");
                std::os::unix::fs::symlink(elsewhere.path(), data.join("own")).expect("linked");
                std::fs::write(&victim, "first").expect("written");
            }),
            ("the folder is not there", &|| {
                std::fs::remove_dir_all(data.join("own")).expect("removed");
            }),
            ("the folder has no rights", &|| {
                std::fs::write(&path, "second").expect("written");
                for folder in [&sub, &data.join("own"), data] {
                    let none = std::fs::Permissions::from_mode(0o0);
                    std::fs::set_permissions(folder, none).expect("set");
                }
            }),
            ("the file is not there", &|| std::fs::remove_file(&path).expect("removed")),
        ];
        for (what, trick) in tricks {
            trick();
            assert!(!source.is_unchanged(), "{what}");
            source.put_back(data).expect(what);
            assert!(source.is_unchanged(), "{what}");
        }
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "first");
        assert_eq!(std::fs::read_dir(elsewhere.path().join("deep")).expect("there").count(), 1);
    }

    /// Where nothing can be written, what was changed is taken away all the same.
    #[test]
    fn what_cannot_be_put_back_is_not_left_to_be_obeyed() {
        let folder = tempfile::tempdir().expect("a folder");
        // So long that nothing can be beside it.
        let path = folder.path().join("c".repeat(250));
        std::fs::write(&path, "first").expect("written");
        let source = Source::read(folder.path(), path.clone(), 9).expect("read");
        std::fs::write(&path, "second").expect("written");
        assert!(source.put_back(folder.path()).is_err());
        assert!(!path.exists(), "a start would obey it");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn in_the_data_directory_a_link_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("real")).expect("made");
        let outside = folder.path().join("outside.toml");
        std::fs::write(&outside, "text").expect("written");
        std::fs::write(data.join("real/file"), "text").expect("written");
        let link = |to: &std::path::Path, name: &str| {
            let at = folder.path().join(name);
            std::os::unix::fs::symlink(to, &at).expect("linked");
            at
        };
        let read = |path: PathBuf| Source::read(&data, path, 9);
        for refused in [
            link(&outside, "data/config.toml"),
            link(&data.join("real/file"), "data/inside"),
            link(&data.join("real"), "data/folder").join("file"),
            // From outside too: what it leads to is the core's to write.
            link(&data.join("real/file"), "into"),
            data.join("real/../real/file"),
        ] {
            let error = read(refused.clone()).expect_err("refused").to_string();
            assert!(error.contains("a link"), "{}: {error}", refused.display());
        }
        assert!(read(data.join("real/file")).expect("read").is_exposed());
        assert!(!read(outside.clone()).expect("read").is_exposed());
        // The core cannot write where this link lies, nor what it leads to.
        assert!(!read(link(&outside, "link.toml")).expect("read").is_exposed());
        // The data directory's own place may be a link.
        let data = link(&data, "data-link");
        let read = Source::read(&data, data.join("real/file"), 9).expect("read");
        assert!(read.is_exposed());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let name = std::ffi::CString::new(path.to_str().expect("plain")).expect("plain");
        // SAFETY: a plain system call with a text that outlives it.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(Source::read(folder.path(), path, 9).is_err());
    }
}
