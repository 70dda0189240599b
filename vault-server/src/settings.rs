//! What the vault is configured to: read once, when the supervisor starts, and handed to every process
//! that it starts.
//!
//! The data directory is the core's to write. An attacker in the core could put another `config.toml`
//! there, or other CAs, for the processes that come after a Seal. Those obey what the supervisor read;
//! it comes to them as a file in memory that nobody can write any more.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use vault_core::{CatalogAddition, GeoipError, GeoipFile};

use crate::config::{self, Config, ConfigError, Source};

/// The configuration and the texts of the files that it names.
#[derive(Debug)]
pub struct Settings {
    /// `config.toml`.
    pub config: Config,
    sources: Sources,
}

/// What is handed on, as JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    config: Source,
    catalog_additions: Vec<Source>,
    /// `egress.ca_file`.
    roots: Option<Source>,
    /// `ca_file` of each `[[egress.override]]`.
    override_roots: Vec<Option<Source>>,
}

impl Settings {
    /// Reads `config.toml` of a data directory and the texts that it names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file.
    pub fn read(data: &Path) -> Result<Self, ConfigError> {
        let source = Config::source(data)?;
        let config = Config::parse(&source.path, &source.text)?;
        let sources = Sources {
            config: source,
            catalog_additions: config.catalog_additions(data)?,
            roots: config.egress.roots(data)?,
            override_roots: config.egress.override_roots(data)?,
        };
        Ok(Self { config, sources })
    }

    /// Writes them to a file in memory that stays as it is.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn sealed(&self) -> io::Result<OwnedFd> {
        sealed(&serde_json::to_vec(&self.sources)?)
    }

    /// Reads what [`Settings::sealed`] wrote.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn inherit(file: &File) -> Result<Self, ConfigError> {
        let broken = |source| ConfigError::Inherit { source };
        let length = file.metadata().map_err(broken)?.len();
        let length = usize::try_from(length).map_err(|error| broken(io::Error::other(error)))?;
        let mut bytes = vec![0; length];
        // The file's own place is the same one in all processes.
        file.read_exact_at(&mut bytes, 0).map_err(broken)?;
        let sources: Sources =
            serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))?;
        let config = Config::parse(Path::new(&sources.config.file), &sources.config.text)?;
        Ok(Self { config, sources })
    }

    /// The operator's own catalogue files.
    pub fn catalog_additions(&self) -> Vec<CatalogAddition> {
        let addition = |source: &Source| CatalogAddition {
            file: source.file.clone(),
            text: source.text.clone(),
        };
        self.sources.catalog_additions.iter().map(addition).collect()
    }

    /// CAs that may vouch for venues, PEM; `None` for Mozilla's.
    pub fn roots_pem(&self) -> Option<Vec<u8>> {
        self.sources.roots.as_ref().map(Source::bytes)
    }

    /// The other places of hosts.
    pub fn overrides(&self) -> Vec<vault_egress::Override> {
        let roots =
            self.sources.override_roots.iter().map(|roots| roots.as_ref().map(Source::bytes));
        self.config.egress.overrides(roots)
    }

    /// Opens the database of countries, if there is one. One in the data directory is copied to memory,
    /// because the core could write it.
    ///
    /// # Errors
    ///
    /// [`GeoipError`] names the file.
    pub fn geoip(&self, data: &Path) -> Result<Option<Geoip>, GeoipError> {
        let Some(path) = self.config.geoip(data) else { return Ok(None) };
        let io = |source| GeoipError::Io { path: path.clone(), source };
        let file = File::open(&path).map_err(io)?;
        let fd = if is_inside(&path, data) {
            sealed(&GeoipFile::new(path.clone(), file).read()?).map_err(io)?
        } else {
            file.into()
        };
        Ok(Some(Geoip { path, fd }))
    }

    /// Which of the files are no longer what was read. None of them is parsed.
    pub fn changed(&self) -> Vec<&Source> {
        let Sources { config, catalog_additions, roots, override_roots } = &self.sources;
        let all = std::iter::once(config)
            .chain(catalog_additions)
            .chain(roots)
            .chain(override_roots.iter().flatten());
        all.filter(|source| !source.is_unchanged()).collect()
    }

    /// Puts back what has changed in the data directory, where the core can write, and says so. For the
    /// end that nobody asked for: code in the core could have brought it about, and whoever sees to it
    /// that the vault runs starts it again at once.
    ///
    /// # Errors
    ///
    /// [`NotBack`], if not all of it could be. Then `config.toml` is taken away, so that nothing starts
    /// until a person has looked.
    pub fn put_back(&self, data: &Path) -> Result<(), NotBack> {
        // Without its rights nothing in it can be read, and all would look changed.
        let readable = data.canonicalize().and_then(|data| config::make_ours(&data, &data));
        let mut failed = readable.err();
        for source in self.changed().into_iter().filter(|source| source.is_exposed()) {
            let file = source.path.display();
            match source.put_back(data) {
                Ok(()) => tracing::error!(
                    %file,
                    "changed since the vault was started, which ends unasked: what was read is back, the \
                     other is kept beside it as .changed"
                ),
                Err(error) => {
                    tracing::error!(
                        %file, %error,
                        "changed since the vault was started, which ends unasked, and cannot be put back"
                    );
                    failed = Some(error);
                }
            }
        }
        let Some(error) = failed else { return Ok(()) };
        if let Err(error) = config::take_away(&data.join(config::FILE_NAME), HELD) {
            tracing::error!(%error, "config.toml cannot be taken away either: look before the next start");
        }
        Err(NotBack(error))
    }
}

/// What the vault was started with could not be put back.
#[derive(Debug, thiserror::Error)]
#[error("what the vault was started with could not be put back")]
pub struct NotBack(#[source] io::Error);

/// Behind the name of a `config.toml` that was taken away so that nothing starts.
const HELD: &str = "held";

/// A database of countries that is open.
#[derive(Debug)]
pub struct Geoip {
    /// Where it was, for messages.
    pub path: PathBuf,
    /// It, or a copy.
    pub fd: OwnedFd,
}

impl Geoip {
    /// The same, to be read.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn file(&self) -> io::Result<GeoipFile> {
        Ok(GeoipFile::new(self.path.clone(), self.fd.try_clone()?.into()))
    }
}

/// Whether the core could write it.
fn is_inside(path: &Path, data: &Path) -> bool {
    match (path.canonicalize(), data.canonicalize()) {
        (Ok(path), Ok(data)) => path.starts_with(data),
        // Nobody knows.
        _ => true,
    }
}

/// A file in memory that nobody can write, cut or lengthen any more.
fn sealed(content: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems want the first flag; kernels before 6.3 do not know it.
    let made = match rustix::fs::memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, flags),
        other => other,
    };
    let mut file = File::from(made?);
    file.write_all(content)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

const NAME: &str = "countersign-settings";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    use super::{Settings, sealed};

    const CONFIG: &str = "[catalog]\nadditions = [\"own.toml\"]\n[log]\nlevel = \"warn\"\n\
                          [geoip]\ndatabase = \"countries\"\n";

    fn folder() -> tempfile::TempDir {
        let data = tempfile::tempdir().expect("a folder");
        fs::write(data.path().join("config.toml"), CONFIG).expect("written");
        fs::write(data.path().join("own.toml"), "first").expect("written");
        fs::write(data.path().join("countries"), "first").expect("written");
        data
    }

    #[test]
    fn who_inherits_them_gets_what_was_read_first() {
        let data = folder();
        let settings = Settings::read(data.path()).expect("read");
        let file = File::from(settings.sealed().expect("sealed"));
        fs::write(data.path().join("config.toml"), "[catalog]\nadditions = []\n").expect("written");
        fs::write(data.path().join("own.toml"), "second").expect("written");

        // Every process that is started has the same file.
        for _ in 0..2 {
            let inherited = Settings::inherit(&file.try_clone().expect("a clone")).expect("read");
            let additions = inherited.catalog_additions();
            assert_eq!(additions.len(), 1);
            assert_eq!(additions[0].text, "first");
            assert_eq!(additions[0].file, data.path().join("own.toml").display().to_string());
            assert_eq!(inherited.config.log.level, crate::config::LogLevel::Warn);
        }
        let changed: Vec<_> = settings.changed().iter().map(|source| &source.path).collect();
        assert_eq!(changed, [&data.path().join("config.toml"), &data.path().join("own.toml")]);
    }

    #[test]
    fn what_is_as_it_was_is_not_said_to_be_changed() {
        let data = folder();
        let settings = Settings::read(data.path()).expect("read");
        fs::write(data.path().join("config.toml"), CONFIG).expect("written");
        assert!(settings.changed().is_empty());
        fs::remove_file(data.path().join("own.toml")).expect("removed");
        assert_eq!(settings.changed()[0].path, data.path().join("own.toml"));
    }

    #[test]
    fn only_what_the_core_can_write_is_put_back() {
        let data = folder();
        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        fs::write(elsewhere.path(), "there").expect("written");
        let config = format!("[catalog]\nadditions = [\"own.toml\", {:?}]\n", elsewhere.path());
        fs::write(data.path().join("config.toml"), &config).expect("written");
        let settings = Settings::read(data.path()).expect("read");
        for file in
            [elsewhere.path(), &data.path().join("own.toml"), &data.path().join("config.toml")]
        {
            fs::write(file, "other").expect("written");
        }
        settings.put_back(data.path()).expect("all of it");
        assert_eq!(fs::read_to_string(data.path().join("config.toml")).expect("read"), config);
        assert_eq!(fs::read_to_string(data.path().join("own.toml")).expect("read"), "first");
        assert_eq!(fs::read_to_string(elsewhere.path()).expect("read"), "other");
    }

    /// A start without `config.toml` ends; a person looks.
    #[test]
    fn where_something_cannot_be_put_back_nothing_is_left_to_start_with() {
        let data = folder();
        // Nothing can be beside it.
        let long = "c".repeat(250);
        let config = format!("[catalog]\nadditions = [{long:?}]\n");
        fs::write(data.path().join("config.toml"), &config).expect("written");
        fs::write(data.path().join(&long), "first").expect("written");
        let settings = Settings::read(data.path()).expect("read");
        fs::write(data.path().join(&long), "other").expect("written");
        assert!(settings.put_back(data.path()).is_err());
        assert!(!data.path().join("config.toml").exists());
        let held = fs::read_to_string(data.path().join("config.toml.held")).expect("kept");
        assert_eq!(held, config);
    }

    #[test]
    fn a_database_that_the_core_could_write_is_copied() {
        let data = folder();
        let read = |settings: &Settings| {
            let geoip = settings.geoip(data.path()).expect("opened").expect("one");
            fs::write(data.path().join("countries"), "second").expect("written");
            geoip.file().expect("a file").read().expect("read")
        };
        assert_eq!(read(&Settings::read(data.path()).expect("read")), b"first");

        let elsewhere = tempfile::NamedTempFile::new().expect("a file");
        fs::write(elsewhere.path(), "there").expect("written");
        let config = format!("[geoip]\ndatabase = {:?}\n", elsewhere.path());
        fs::write(data.path().join("config.toml"), config).expect("written");
        assert_eq!(read(&Settings::read(data.path()).expect("read")), b"there");
    }

    #[test]
    fn what_is_sealed_cannot_be_written() {
        let mut file = File::from(sealed(b"text").expect("sealed"));
        assert!(file.write_all(b"other").is_err());
        assert!(file.write_at(b"other", 0).is_err());
        assert!(file.set_len(0).is_err() && file.set_len(9).is_err());
        assert!(rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::EXEC).is_err());
    }
}
