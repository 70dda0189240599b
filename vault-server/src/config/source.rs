//! A text file that the configuration is, or names.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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
}

impl Source {
    /// Reads a regular file of at most so many bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Io`].
    pub(super) fn read(path: PathBuf, bytes_max: u64) -> Result<Self, ConfigError> {
        match read(&path, bytes_max) {
            Ok(text) => Ok(Self { file: path.display().to_string(), text, path }),
            Err(source) => Err(ConfigError::Io { path, source }),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.text.clone().into_bytes()
    }

    /// Whether the file is what was read.
    pub fn is_unchanged(&self) -> bool {
        read(&self.path, self.text.len() as u64).is_ok_and(|text| text == self.text)
    }
}

impl Source {
    /// Puts it back to where it was read. What is there now is kept beside it, with `.changed` behind its
    /// name, where that can be.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn put_back(&self) -> io::Result<()> {
        // Whoever changed the one may have put a folder in the way of a name that he can guess.
        let mut random = [0; 8];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| io::Error::other("no randomness"))?;
        let beside = self.with_suffix(&hex::encode(random));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        let _ = std::fs::rename(&self.path, self.with_suffix("changed"));
        std::fs::rename(&beside, &self.path)
    }

    fn with_suffix(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{suffix}"));
        path.into()
    }
}

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
    use std::path::PathBuf;

    use super::Source;

    #[test]
    fn a_device_or_a_long_file_is_not_read() {
        for (path, why) in [("/dev/zero", "not a regular file"), ("/", "not a regular file")] {
            let error = Source::read(PathBuf::from(path), 9).expect_err(path).to_string();
            assert!(error.ends_with(why), "{error}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "0123456789").expect("written");
        let error = Source::read(file.path().to_owned(), 9).expect_err("too long").to_string();
        assert!(error.ends_with("longer than such a file can be"), "{error}");
        let read = Source::read(file.path().to_owned(), 10).expect("as long as it may be");
        assert!(read.is_unchanged());
        std::fs::write(file.path(), "0123456789a").expect("written");
        assert!(!read.is_unchanged());
    }

    #[test]
    fn what_was_read_comes_back_and_the_other_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "first").expect("written");
        let source = Source::read(path.clone(), 9).expect("read");
        for _ in 0..2 {
            std::fs::write(&path, "second").expect("written");
            source.put_back().expect("put back");
            assert!(source.is_unchanged());
            let kept = folder.path().join("config.toml.changed");
            assert_eq!(std::fs::read_to_string(kept).expect("kept"), "second");
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
        }
        // A folder in the way.
        std::fs::remove_file(folder.path().join("config.toml.changed")).expect("removed");
        std::fs::create_dir_all(folder.path().join("config.toml.changed/x")).expect("made");
        std::fs::write(&path, "third").expect("written");
        source.put_back().expect("put back all the same");
        assert!(source.is_unchanged());
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let name = std::ffi::CString::new(path.to_str().expect("plain")).expect("plain");
        // SAFETY: a plain system call with a text that outlives it.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(Source::read(path, 9).is_err());
    }
}
