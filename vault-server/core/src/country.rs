//! In which country an address is, by a local database in the MaxMind DB format. Nothing is ever
//! asked of the network: whoever wants new data puts a new file in place and starts the vault anew.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, WithinOptions, path};
use vault_policy::Country;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoipError {
    /// Not a database, or a damaged one.
    #[error("{}: not a sound database in the MaxMind DB format", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: MaxMindDbError,
    },
    /// It cannot be read.
    #[error("{}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says no country of any address.
    #[error("{}: a database of something else: no entry has country.iso_code", .path.display())]
    NoCountries {
        /// The file.
        path: PathBuf,
    },
}

/// A database of countries that is open. It stays what it was when it was opened, whatever lies at its
/// path later.
#[derive(Clone, Debug)]
pub struct GeoipFile {
    path: PathBuf,
    file: Arc<File>,
}

impl GeoipFile {
    /// Takes an open file; `path` is for messages only.
    pub fn new(path: impl Into<PathBuf>, file: File) -> Self {
        Self { path: path.into(), file: Arc::new(file) }
    }

    /// What is in it. The file's own place is left alone: other processes have the same one.
    ///
    /// # Errors
    ///
    /// [`GeoipError::Io`], also for one of more than 512 MiB.
    pub fn read(&self) -> Result<Vec<u8>, GeoipError> {
        let io = |source| GeoipError::Io { path: self.path.clone(), source };
        let length = self.file.metadata().map_err(io)?.len();
        if length > FILE_BYTES_MAX {
            return Err(io(std::io::Error::other("longer than such a file can be")));
        }
        let length = usize::try_from(length).map_err(|error| io(std::io::Error::other(error)))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0).map_err(io)?;
        Ok(bytes)
    }

    fn reader(&self) -> Result<Reader<Vec<u8>>, GeoipError> {
        let damaged = |source| GeoipError::Damaged { path: self.path.clone(), source };
        Reader::from_source(self.read()?).map_err(damaged)
    }
}

/// Reads the whole of a database and looks whether it can say countries.
///
/// # Errors
///
/// [`GeoipError`] names the file.
pub fn check_geoip(database: &GeoipFile) -> Result<(), GeoipError> {
    let reader = database.reader()?;
    let path = &database.path;
    let damaged = |source| GeoipError::Damaged { path: path.clone(), source };
    reader.verify().map_err(damaged)?;
    let mut networks = reader.networks(WithinOptions::default()).map_err(damaged)?;
    let says_one = networks.any(|network| network.is_ok_and(|found| iso_code(&found).is_some()));
    if says_one { Ok(()) } else { Err(GeoipError::NoCountries { path: path.clone() }) }
}

/// Countries of addresses. Without a database all are unknown.
#[derive(Default)]
pub struct Countries(Option<Reader<Vec<u8>>>);

impl Countries {
    /// Takes a database that is in memory already. It is not verified: what is damaged in it makes
    /// countries unknown.
    ///
    /// # Errors
    ///
    /// What is wrong with its head.
    pub fn read(database: Vec<u8>) -> Result<Self, MaxMindDbError> {
        Reader::from_source(database).map(Some).map(Self)
    }

    /// Reads a database into memory; none without a file.
    ///
    /// # Errors
    ///
    /// [`GeoipError`] names the file.
    pub fn open(database: Option<&GeoipFile>) -> Result<Self, GeoipError> {
        database.map(GeoipFile::reader).transpose().map(Self)
    }

    /// The country of an address; `None` if it is not known, as that of a private one never is.
    pub fn of(&self, address: IpAddr) -> Option<Country> {
        let address = address.to_canonical();
        if !is_public(address) {
            return None;
        }
        iso_code(&self.0.as_ref()?.lookup(address).ok()?)
    }
}

fn iso_code(found: &maxminddb::LookupResult<'_, Vec<u8>>) -> Option<Country> {
    found.decode_path::<&str>(&path!["country", "iso_code"]).ok()??.parse().ok()
}

/// Whether it can be anywhere at all, as far as is known without a database.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // 100.64.0.0/10: shared by the customers of a provider.
            let is_shared = first == 100 && second & 0xc0 == 64;
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local())
        }
    }
}

/// Longest database read, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::IpAddr;

    use ipnet::IpNet;

    use super::{Countries, GeoipError, GeoipFile, check_geoip};

    /// A database in the MaxMind DB format, version 2.0.
    ///
    /// Source: <https://maxmind.github.io/MaxMind-DB/>, read 2026-11-22. A tree of nodes with two
    /// records of 24 bits; 16 zero bytes; values; a marker; a map that describes it all.
    fn database(key: &str, networks: &[(&str, &str)]) -> Vec<u8> {
        let mut nodes = vec![[None, None]];
        let (mut data, mut offsets) = (Vec::new(), HashMap::new());
        for (network, code) in networks {
            let offset = *offsets.entry(*code).or_insert_with(|| {
                let at = data.len();
                map(1, &mut data);
                text(key, &mut data);
                map(1, &mut data);
                text("iso_code", &mut data);
                text(code, &mut data);
                at
            });
            let network: IpNet = network.parse().expect("a network");
            // IPv4 lies at ::/96.
            let (bits, length) = match network {
                IpNet::V4(v4) => (u128::from(u32::from(v4.network())), v4.prefix_len() + 96),
                IpNet::V6(v6) => (u128::from(v6.network()), v6.prefix_len()),
            };
            let mut node = 0;
            for depth in 0..length {
                let side = usize::from(bits >> (127 - depth) & 1 == 1);
                if depth + 1 == length {
                    nodes[node][side] = Some(Record::Data(offset));
                } else {
                    node = match nodes[node][side] {
                        Some(Record::Node(next)) => next,
                        _ => {
                            let next = nodes.len();
                            nodes[node][side] = Some(Record::Node(next));
                            nodes.push([None, None]);
                            next
                        }
                    };
                }
            }
        }
        let mut file = Vec::new();
        for record in nodes.iter().flatten() {
            let value = match record {
                None => nodes.len(),
                Some(Record::Node(next)) => *next,
                Some(Record::Data(offset)) => nodes.len() + 16 + offset,
            };
            file.extend_from_slice(&u32::try_from(value).expect("small").to_be_bytes()[1..]);
        }
        file.extend_from_slice(&[0; 16]);
        file.append(&mut data);
        file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        map(9, &mut file);
        for (name, number) in [
            ("binary_format_major_version", 2),
            ("binary_format_minor_version", 0),
            ("ip_version", 6),
            ("record_size", 24),
        ] {
            text(name, &mut file);
            unsigned(5, number, &mut file);
        }
        text("node_count", &mut file);
        unsigned(6, u32::try_from(nodes.len()).expect("small"), &mut file);
        text("build_epoch", &mut file);
        // 64 bits: a type beyond 7.
        file.extend_from_slice(&[1, 2, 1]);
        text("database_type", &mut file);
        text("Test-Country", &mut file);
        text("languages", &mut file);
        file.extend_from_slice(&[0, 4]);
        text("description", &mut file);
        map(1, &mut file);
        text("en", &mut file);
        text("made by a test", &mut file);
        file
    }

    #[derive(Clone, Copy)]
    enum Record {
        Data(usize),
        Node(usize),
    }

    fn map(pairs: u8, to: &mut Vec<u8>) {
        to.push(7 << 5 | pairs);
    }

    fn text(text: &str, to: &mut Vec<u8>) {
        let length = u8::try_from(text.len()).expect("short");
        match length {
            0..29 => to.push(2 << 5 | length),
            _ => to.extend_from_slice(&[2 << 5 | 29, length - 29]),
        }
        to.extend_from_slice(text.as_bytes());
    }

    fn unsigned(kind: u8, number: u32, to: &mut Vec<u8>) {
        let bytes = number.to_be_bytes();
        let bytes = if kind == 5 { &bytes[2..] } else { &bytes[..] };
        to.push(kind << 5 | u8::try_from(bytes.len()).expect("short"));
        to.extend_from_slice(bytes);
    }

    fn written(bytes: &[u8]) -> GeoipFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        GeoipFile::new(file.path(), file.reopen().expect("opened"))
    }

    fn of(countries: &Countries, address: &str) -> Option<String> {
        let address: IpAddr = address.parse().expect("an address");
        countries.of(address).map(|country| country.to_string())
    }

    #[test]
    fn addresses_are_where_the_database_says() {
        let file = written(&database(
            "country",
            &[
                ("203.0.113.0/24", "DE"),
                ("198.51.100.128/25", "US"),
                ("2001:db8::/32", "FR"),
                ("10.0.0.0/8", "XX"),
                ("fd00::/8", "XX"),
                ("192.0.2.0/24", "??"),
            ],
        ));
        check_geoip(&file).expect("a sound database");
        let countries = Countries::open(Some(&file)).expect("opens");

        for (address, country) in [
            ("203.0.113.7", Some("DE")),
            // The same, as a listener for both families reports it.
            ("::ffff:203.0.113.7", Some("DE")),
            ("198.51.100.200", Some("US")),
            ("2001:db8::1", Some("FR")),
            ("198.51.100.1", None),
            ("8.8.8.8", None),
            // Private, whatever a database says.
            ("10.0.0.1", None),
            ("fd00::1", None),
            ("100.64.0.1", None),
            ("127.0.0.1", None),
            ("::1", None),
            // Not a country.
            ("192.0.2.1", None),
        ] {
            assert_eq!(of(&countries, address).as_deref(), country, "{address}");
        }
        assert_eq!(of(&Countries::default(), "203.0.113.7"), None);
    }

    #[test]
    fn a_file_that_is_no_database_of_countries_is_refused() {
        let sound = database("country", &[("203.0.113.0/24", "DE")]);
        for bytes in [&b""[..], b"not a database", &sound[..sound.len() - 40], &sound[20..]] {
            let error = check_geoip(&written(bytes)).expect_err("damaged");
            assert!(matches!(error, GeoipError::Damaged { .. }), "{error:?}");
        }
        // A record that leads beyond the values.
        let mut astray = sound.clone();
        astray[0..3].copy_from_slice(&[0xff, 0xff, 0xff]);
        let error = check_geoip(&written(&astray)).expect_err("damaged");
        assert!(matches!(error, GeoipError::Damaged { .. }), "{error:?}");

        let other = written(&database("continent", &[("203.0.113.0/24", "EU")]));
        assert!(matches!(check_geoip(&other), Err(GeoipError::NoCountries { .. })));
    }
}
