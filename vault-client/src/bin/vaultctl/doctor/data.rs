//! The vault's data directory, looked at on its own host. No file of it is read but `config.toml`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::collector::{self, Collector};
use super::finding::{Code, Finding, listed};
use super::identity::Node;
use super::status;

/// What the file system says of a data directory.
#[derive(Clone, Debug)]
pub struct Data {
    pub directory: Node,
    /// Everything in it, and in `audit`.
    pub nodes: Vec<Node>,
    /// `f_type` of statfs(2).
    pub file_system: u64,
    pub free_bytes: u64,
    pub total_bytes: u64,
    pub config: Config,
}

/// What is to be known of `config.toml`.
#[derive(Clone, Debug)]
pub enum Config {
    Read {
        /// `[unseal] key_file`.
        key_file: Option<PathBuf>,
        /// It was touched after the vault that runs had made its socket.
        is_newer_than_start: bool,
        /// What listens at `[tracing] otlp_endpoint`, if it is stated.
        collector: Option<Collector>,
    },
    /// It is not what the vault would read.
    Unreadable(String),
}

impl Data {
    pub fn read(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let directory = Node::read(&path)?;
        let mut nodes = Vec::new();
        for folder in [path.clone(), path.join(AUDIT)] {
            if folder.is_dir() {
                for entry in std::fs::read_dir(&folder)? {
                    nodes.push(Node::read(&entry?.path())?);
                }
            }
        }
        nodes.sort_by(|one, other| one.path.cmp(&other.path));
        let space = rustix::fs::statfs(&path)?;
        let block_bytes = u64::try_from(space.f_bsize).unwrap_or(0);
        Ok(Self {
            directory,
            nodes,
            file_system: (space.f_type as u64) & 0xffff_ffff,
            free_bytes: space.f_bavail.saturating_mul(block_bytes),
            total_bytes: space.f_blocks.saturating_mul(block_bytes),
            config: Config::read(&path),
        })
    }
}

impl Config {
    /// Whoever runs this may be root, and the file somebody else's: a pipe is not waited for, a device
    /// not read to its end.
    fn read(directory: &Path) -> Self {
        match read_regular(&directory.join(CONFIG)) {
            Ok(text) => Self::Read {
                key_file: key_file(&text),
                is_newer_than_start: is_newer_than_start(directory),
                collector: Collector::read(&text),
            },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

fn read_regular(path: &Path) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(io::Error::other("longer than 64 KiB"));
    }
    Ok(text)
}

/// Code in the vault's core can write the one and rename both, but the sandbox lets it set no times.
fn is_newer_than_start(directory: &Path) -> bool {
    let about = |name| std::fs::symlink_metadata(directory.join(name)).ok();
    let (Some(socket), Some(config)) = (about(SOCKET), about(CONFIG)) else { return false };
    let touched = (config.mtime(), config.mtime_nsec()).max((config.ctime(), config.ctime_nsec()));
    socket.file_type().is_socket() && touched > (socket.mtime(), socket.mtime_nsec())
}

fn key_file(config: &str) -> Option<PathBuf> {
    let table: toml::Table = toml::from_str(config).ok()?;
    Some(table.get("unseal")?.get("key_file")?.as_str()?.into())
}

/// That the directory cannot be looked at.
pub fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let words = format!("{} cannot be looked at: {error}", path.display());
    Finding::problem(Code::DataUnreadable, words)
        .remedy("name the vault's data directory, and run this as its user or as root")
}

/// Judges a data directory.
pub fn data(data: &Data) -> Vec<Finding> {
    let root = &data.directory.path;
    let within =
        |node: &Node| node.path.strip_prefix(root).unwrap_or(&node.path).display().to_string();
    let mut findings = Vec::new();

    let missing: Vec<&str> = NEEDED
        .iter()
        .copied()
        .filter(|name| !data.nodes.iter().any(|node| node.path == root.join(name)))
        .collect();
    if !missing.is_empty() {
        let words = format!(
            "{} is not a whole data directory: without {}",
            root.display(),
            missing.join(", ")
        );
        findings.push(Finding::problem(Code::DataIncomplete, words).remedy(
            "put back what is missing, from a copy of the same time; or name another directory",
        ));
    }
    if missing.len() == NEEDED.len() {
        // Whatever directory this is, nobody should be told to change it.
        return findings;
    }
    let mut open: Vec<String> = Vec::new();
    if data.directory.is_open() {
        open.push(".".to_owned());
    }
    open.extend(data.nodes.iter().filter(|node| node.is_open()).map(within));
    if open.is_empty() {
        let words = format!("{} is its owner's alone", root.display());
        findings.push(Finding::ok(Code::DataPrivate, words));
    } else {
        let names: Vec<&str> = open.iter().map(String::as_str).collect();
        // Behind a directory that nobody else may enter the rest cannot be reached.
        let words = format!("others have rights in {}: {}", root.display(), listed(&names));
        let finding = if data.directory.is_open() {
            Finding::problem(Code::DataExposed, words)
        } else {
            Finding::warning(Code::DataExposed, words)
        };
        findings.push(finding.remedy(format!("chmod -R go= {}", root.display())));
    }
    let foreign: Vec<String> =
        data.nodes.iter().filter(|node| node.owner != data.directory.owner).map(within).collect();
    if !foreign.is_empty() {
        let names: Vec<&str> = foreign.iter().map(String::as_str).collect();
        let words = format!("not the directory's owner's: {}", listed(&names));
        findings.push(
            Finding::problem(Code::DataForeign, words)
                .remedy(format!("chown -R --reference={0} {0}", root.display()))
                .remedy("run vault-server as the vault's user, never as another"),
        );
    }
    findings.extend(disk(data.file_system));
    findings.push(status::disk(data.free_bytes, data.total_bytes));
    findings.extend(config(&data.config, root));
    findings.push(keep_elsewhere(root));
    findings
}

fn config(config: &Config, root: &Path) -> Vec<Finding> {
    let (key_file, is_newer_than_start, collector) = match config {
        Config::Read { key_file, is_newer_than_start, collector } => {
            (key_file, *is_newer_than_start, collector)
        }
        Config::Unreadable(why) => {
            let words = format!("{CONFIG} cannot be read: {why}");
            return vec![
                Finding::problem(Code::ConfigUnreadable, words)
                    .remedy("put your own copy of it back, before the next start"),
            ];
        }
    };
    let mut findings = Vec::new();
    if is_newer_than_start {
        let words = "config.toml was touched after the vault was started: the next start obeys what is in it now";
        findings.push(
            Finding::warning(Code::ConfigChanged, words)
                .remedy("if you changed it: start the vault anew when it suits you")
                .remedy("if not: compare it with your own copy, and see docs/runbooks/first-15-minutes.md"),
        );
    }
    if key_file.as_ref().is_some_and(|file| file.starts_with(root)) {
        let words = "the key file that opens the vault lies in its data directory: a copy of the one is a copy \
            of the other";
        findings.push(Finding::warning(Code::KeyFileBeside, words).remedy(
            "move it to another disk, or use a systemd credential: [unseal] systemd_credential",
        ));
    }
    findings.extend(collector.as_ref().map(collector::collector));
    findings
}

fn disk(file_system: u64) -> Option<Finding> {
    let (code, what, remedy) = match file_system {
        TMPFS | RAMFS => (
            Code::DiskVolatile,
            "in memory: it is gone with the next boot",
            "put the data directory on a disk",
        ),
        OVERLAY => (
            Code::DiskVolatile,
            "in a container's own layer: it is gone with the container",
            "mount a volume for the data directory",
        ),
        NFS | SMB | SMB2 | CIFS | FUSE => (
            Code::DiskNetwork,
            "on a network's or a program's file system: locks and syncs may not hold there",
            "put the data directory on a local disk: what was acknowledged must survive a loss of power",
        ),
        _ => return None,
    };
    let words = format!("the data directory lies {what}");
    let finding = match code {
        Code::DiskVolatile => Finding::problem(code, words),
        _ => Finding::warning(code, words),
    };
    Some(finding.remedy(remedy))
}

/// What no command can check: that somebody has it.
fn keep_elsewhere(root: &Path) -> Finding {
    let words = "keep these away from this machine, and try once a year whether they are there: the \
        passphrase; the log's verifier key; a checkpoint, new each week; a copy of the data directory";
    Finding::note(Code::KeepElsewhere, words)
        .remedy("an auditor, elsewhere: vaultctl audit checkpoint, and vaultctl doctor --kept FILE")
        .remedy(format!(
            "copy {} with the vault stopped or from a snapshot of its file system, apart from the passphrase",
            root.display()
        ))
}

const AUDIT: &str = "audit";
const CONFIG: &str = "config.toml";
/// Longer ones the vault does not read either.
const CONFIG_BYTES_MAX: u64 = 64 << 10;
/// Made by the supervisor when it starts.
const SOCKET: &str = "vault.sock";
/// What every vault has.
const NEEDED: &[&str] = &[AUDIT, CONFIG, "core-identity.key", "vault.db"];

// Source: include/uapi/linux/magic.h of Linux, read 2026-11-22.
const CIFS: u64 = 0xff53_4d42;
const FUSE: u64 = 0x6573_5546;
const NFS: u64 = 0x6969;
const OVERLAY: u64 = 0x794c_7630;
const RAMFS: u64 = 0x8584_58f6;
const SMB: u64 = 0x517b;
const SMB2: u64 = 0xfe53_4d42;
const TMPFS: u64 = 0x0102_1994;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode};

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{Finding, Level};
    use super::{Config, Data, NEEDED, NFS, Node, OVERLAY, TMPFS, data, key_file, unreadable};

    fn node(path: &str, mode: u32) -> Node {
        Node { path: PathBuf::from(path), mode, owner: 7 }
    }

    fn configured(key_file: &str, is_newer_than_start: bool) -> Config {
        Config::Read { key_file: Some(key_file.into()), is_newer_than_start, collector: None }
    }

    fn good() -> Data {
        Data {
            directory: node("/v", 0o700),
            nodes: NEEDED.iter().map(|name| node(&format!("/v/{name}"), 0o600)).collect(),
            file_system: 0xef53,
            free_bytes: 8 << 30,
            total_bytes: 9 << 30,
            config: configured("/run/keys/vault", false),
        }
    }

    fn found(change: impl FnOnce(&mut Data)) -> Vec<Finding> {
        let mut data_directory = good();
        change(&mut data_directory);
        let found = data(&data_directory);
        assert!(is_helpful(&found));
        found.into_iter().filter(|finding| finding.level > Level::Note).collect()
    }

    #[test]
    fn a_good_directory_leaves_what_is_to_be_kept() {
        assert_eq!(
            codes(&data(&good())),
            [
                ("DATA_PRIVATE", Level::Ok),
                ("DISK_FREE", Level::Ok),
                ("KEEP_ELSEWHERE", Level::Note),
            ]
        );
    }

    #[test]
    fn everything_that_is_wrong_is_found() {
        let open = found(|data| data.directory.mode = 0o750);
        assert_eq!(codes(&open), [("DATA_EXPOSED", Level::Problem)]);
        let open = found(|data| data.nodes[3].mode = 0o644);
        assert_eq!(codes(&open), [("DATA_EXPOSED", Level::Warning)]);
        assert!(open[0].words.ends_with(": vault.db"), "{open:?}");
        let foreign = found(|data| data.nodes[0].owner = 0);
        assert_eq!(codes(&foreign), [("DATA_FOREIGN", Level::Problem)]);
        let missing = found(|data| drop(data.nodes.pop()));
        assert_eq!(codes(&missing), [("DATA_INCOMPLETE", Level::Problem)]);
        let another = found(|data| {
            data.directory.mode = 0o777;
            data.nodes = vec![node("/v/notes.txt", 0o644)];
        });
        assert_eq!(codes(&another), [("DATA_INCOMPLETE", Level::Problem)]);
        for (file_system, code, level) in [
            (TMPFS, "DISK_VOLATILE", Level::Problem),
            (OVERLAY, "DISK_VOLATILE", Level::Problem),
            (NFS, "DISK_NETWORK", Level::Warning),
        ] {
            assert_eq!(codes(&found(|data| data.file_system = file_system)), [(code, level)]);
        }
        let full = found(|data| data.free_bytes = 1 << 20);
        assert_eq!(codes(&full), [("DISK_FULL", Level::Problem)]);
        let beside = found(|data| data.config = configured("/v/unseal.key", false));
        assert_eq!(codes(&beside), [("KEY_FILE_BESIDE", Level::Warning)]);
        let changed = found(|data| data.config = configured("/k", true));
        assert_eq!(codes(&changed), [("CONFIG_CHANGED", Level::Warning)]);
        let unreadable = found(|data| data.config = Config::Unreadable("why".to_owned()));
        assert_eq!(codes(&unreadable), [("CONFIG_UNREADABLE", Level::Problem)]);
    }

    /// A doctor who is root's must not be held up by whoever has the directory.
    #[test]
    fn a_pipe_or_a_device_is_said_and_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        let unreadable = || match Data::read(folder.path()).expect("read").config {
            Config::Unreadable(why) => why,
            Config::Read { .. } => panic!("it was read"),
        };
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        assert_eq!(unreadable(), "not a regular file");
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("made");
        assert_eq!(unreadable(), "not a regular file");
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, " ".repeat((64 << 10) + 1)).expect("written");
        assert_eq!(unreadable(), "longer than 64 KiB");
    }

    #[test]
    fn reads_a_directory_and_its_key_file() {
        let config = "[unseal]\nkey_file = \"/k\"\n";
        assert_eq!(key_file(config), Some(PathBuf::from("/k")));
        assert_eq!(key_file("[unseal]\n"), None);

        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("audit")).expect("made");
        std::fs::write(folder.path().join("audit/lock"), "").expect("written");
        std::fs::write(folder.path().join("config.toml"), config).expect("written");
        let read = Data::read(folder.path()).expect("read");
        assert_eq!(read.nodes.len(), 3);
        let config_of = |read: Data| match read.config {
            Config::Read { key_file, is_newer_than_start, .. } => (key_file, is_newer_than_start),
            Config::Unreadable(why) => panic!("{why}"),
        };
        let (key_file, is_newer_than_start) = config_of(read.clone());
        assert_eq!((key_file, is_newer_than_start), (Some(PathBuf::from("/k")), false));
        assert!(read.free_bytes <= read.total_bytes && read.total_bytes > 0);

        // The vault starts; somebody touches the file.
        let _socket = UnixListener::bind(folder.path().join("vault.sock")).expect("bound");
        assert!(!config_of(Data::read(folder.path()).expect("read")).1);
        std::thread::sleep(Duration::from_millis(50));
        std::fs::write(folder.path().join("config.toml"), config).expect("written");
        assert!(config_of(Data::read(folder.path()).expect("read")).1);

        let nowhere = Path::new("/nonexistent");
        let error = Data::read(nowhere).expect_err("not there");
        assert_eq!(codes(&[unreadable(nowhere, &error)]), [("DATA_UNREADABLE", Level::Problem)]);
    }
}
