//! The config file: which identity a profile stands for.
//!
//! ```toml
//! default_profile = "alice"
//!
//! [profile."alice"]
//! identity = "/home/alice/.config/countersign/identities/alice"
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use crate::context::Context;
use crate::fault::{Fault, file};
use crate::output::table;

/// The file's content.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    default_profile: Option<String>,
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// One profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    /// Folder; relative to the config file's own.
    identity: PathBuf,
    /// `host:port` instead of the identity's.
    address: Option<String>,
}

/// Where the config file is or would be.
pub fn path(context: &Context) -> Result<PathBuf, Fault> {
    if let Some(path) = &context.global.config {
        return Ok(path.clone());
    }
    let folder = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty());
    let base = folder("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| folder("HOME").map(|home| Path::new(&home).join(".config")))
        .ok_or_else(|| Fault::usage("neither --config nor XDG_CONFIG_HOME nor HOME is set"))?;
    Ok(base.join("countersign/config.toml"))
}

/// The folder that the config file lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Identity folder and address of the profile in use.
pub fn identity(context: &Context) -> Result<(PathBuf, Option<String>), Fault> {
    let path = path(context)?;
    let config = parse(&read(&path)?, &path)?;
    let name = context.global.profile.as_ref().or(config.default_profile.as_ref());
    let profile = match name {
        Some(name) => config.profile.get(name).ok_or_else(|| {
            Fault::usage(format!("there is no profile {name:?} in {}", path.display()))
                .with_hint("vaultctl config")
        })?,
        None => {
            let mut profiles = config.profile.values();
            match (profiles.next(), profiles.next()) {
                (Some(only), None) => only,
                (None, _) => {
                    return Err(Fault::usage("there is no identity yet")
                        .with_hint("vaultctl enroll TOKEN, or name one with --identity DIR"));
                }
                (Some(_), Some(_)) => {
                    return Err(Fault::usage("there are several profiles and no default_profile")
                        .with_hint("choose one with --profile NAME"));
                }
            }
        }
    };
    Ok((folder(&path).join(&profile.identity), profile.address.clone()))
}

/// What a profile that is to be added meets in the file.
pub enum Place {
    Free,
    Taken,
}

/// Whether a profile of that name can be added.
pub fn place(path: &Path, name: &str) -> Result<Place, Fault> {
    let config = parse(&read(path)?, path)?;
    Ok(if config.profile.contains_key(name) { Place::Taken } else { Place::Free })
}

/// Adds a profile; the first one becomes the default. What people wrote stays as it is.
pub fn add(path: &Path, name: &str, identity: &Path) -> Result<(), Fault> {
    let text = read(path)?;
    let new_text = with_profile(&text, name, identity, path)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder(path))
        .map_err(file(folder(path)))?;
    let beside = path.with_extension("toml.new");
    let write = || {
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        out.write_all(new_text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(file(path))
}

fn with_profile(text: &str, name: &str, identity: &Path, path: &Path) -> Result<String, Fault> {
    let config = parse(text, path)?;
    let identity = identity
        .to_str()
        .ok_or_else(|| Fault::other(format!("{} is not UTF-8", identity.display())))?;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut new_text = String::new();
    if config.default_profile.is_none() && config.profile.is_empty() {
        new_text += &format!("default_profile = {}\n", quoted(name));
    }
    new_text += text;
    if !new_text.ends_with('\n') {
        new_text.push('\n');
    }
    // A key is quoted as JSON is: a literal string could not hold every name.
    new_text += &format!("\n[profile.{}]\nidentity = {}\n", json!(name), quoted(identity));
    parse(&new_text, path)?;
    Ok(new_text)
}

/// Shows the file's place and profiles.
pub fn show(context: &Context) -> Result<(), Fault> {
    let path = path(context)?;
    let config = parse(&read(&path)?, &path)?;
    let profiles: Vec<_> = config
        .profile
        .iter()
        .map(|(name, profile)| {
            json!({
                "name": name,
                "identity": folder(&path).join(&profile.identity),
                "address": profile.address,
                "default": config.default_profile.as_ref() == Some(name),
            })
        })
        .collect();
    let value = json!({
        "config": path,
        "default_profile": config.default_profile,
        "profiles": profiles,
    });
    context.output.show(&value, || {
        let rows: Vec<Vec<String>> = config
            .profile
            .iter()
            .map(|(name, profile)| {
                let mark = if config.default_profile.as_ref() == Some(name) { "*" } else { "" };
                vec![
                    name.clone(),
                    mark.to_owned(),
                    folder(&path).join(&profile.identity).display().to_string(),
                    profile.address.clone().unwrap_or_default(),
                ]
            })
            .collect();
        let head = format!("config  {}\n\n", path.display());
        head + &table(&["PROFILE", "DEFAULT", "IDENTITY", "ADDRESS"], &rows)
    })
}

fn read(path: &Path) -> Result<String, Fault> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(file(path)),
    }
}

fn parse(text: &str, path: &Path) -> Result<Config, Fault> {
    toml::from_str(text)
        .map_err(|error| Fault::other(format!("{}: {}", path.display(), error.to_string().trim())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{parse, with_profile};

    #[test]
    fn keeps_what_people_wrote() {
        let path = Path::new("config.toml");
        let first = with_profile("# mine\n", "mm-1.a", Path::new("/i/mm"), path).expect("valid");
        let second = with_profile(&first, "ali\"ce", Path::new("/i/al'i"), path).expect("valid");
        let config = parse(&second, path).expect("valid");

        assert!(second.contains("# mine\n"));
        assert_eq!(config.default_profile.as_deref(), Some("mm-1.a"));
        assert_eq!(config.profile["mm-1.a"].identity, Path::new("/i/mm"));
        assert_eq!(config.profile["ali\"ce"].identity, Path::new("/i/al'i"));
        assert!(with_profile(&second, "mm-1.a", Path::new("/x"), path).is_err());
    }

    #[test]
    fn refuses_unknown_keys_with_their_line() {
        let fault = parse("[profile.a]\nidentity = \"x\"\nadress = \"y\"\n", Path::new("c"))
            .expect_err("a misspelling");

        assert!(fault.message.contains("line 3"), "{}", fault.message);
    }
}
