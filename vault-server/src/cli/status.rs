//! `vault-server status`.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vault_core::DataDir;
use vault_ipc::proto::shown::confined;
use vault_ipc::proto::v1::{ProcessHardening, StatusResponse};
use vault_model::Timestamp;

use crate::config;
use crate::fault::Fault;
use crate::local::Vault;
use crate::output::{Output, pairs};
use crate::supervisor::state_word;

pub fn run(output: Output, data: &Path) -> Result<(), Fault> {
    let status = Vault::connect(data)?.status()?;
    let is_changed = is_config_changed(data);
    let mut value = value(&status);
    value["config_changed"] = json!(is_changed);
    output.show(&value, || people(&status, is_changed))
}

const CONFIG_CHANGED: &str = "touched since the start, and obeyed from the next one on";

/// The same names as `vaultctl status --json` has under `vault`.
fn value(status: &StatusResponse) -> Value {
    let slots: Vec<_> =
        status.slots.iter().map(|slot| json!({ "id": slot.id, "kind": slot.kind })).collect();
    let catalogs: Vec<_> = status
        .catalogs
        .iter()
        .map(|catalog| {
            json!({
                "venue": catalog.venue,
                "hash": hex::encode(&catalog.hash),
                "operations": catalog.operations,
            })
        })
        .collect();
    json!({
        "state": state_word(status.state()),
        "reason": status.reason,
        "development": status.development,
        "version": status.version,
        "build": status.build,
        "instance_id": hex::encode(&status.instance_id),
        "node": status.node,
        "epoch": status.epoch,
        "log_origin": status.log_origin,
        "log_size": status.log_size,
        "state_rev": status.state_rev,
        "slots": slots,
        "retry_after_s": status.retry_after_s,
        "time_ms": status.time_ms,
        "server_not_after_ms": status.server_not_after_ms,
        "catalogs": catalogs,
        "catalog_additions": status.catalog_additions,
        "hardening": status.hardening.iter().map(hardening).collect::<Vec<_>>(),
    })
}

fn hardening(process: &ProcessHardening) -> Value {
    json!({
        "process": process.process,
        "dumps_off": process.dumps_off,
        "no_new_privileges": process.no_new_privileges,
        "no_capabilities": process.no_capabilities,
        "seccomp": process.seccomp,
        "landlock_abi": process.landlock_abi,
        "secret_memory": process.secret_memory,
        "memory_locked": process.memory_locked,
    })
}

/// Whether `config.toml` was touched after the supervisor had made its socket. Code in the core can
/// write the one and rename both, but the sandbox lets it set no times.
fn is_config_changed(data: &Path) -> bool {
    let about = |path: PathBuf| std::fs::symlink_metadata(path).ok();
    let socket = about(DataDir::new(data).socket()).filter(|about| about.file_type().is_socket());
    let config = about(data.join(config::FILE_NAME));
    let touched = |about: std::fs::Metadata| {
        (about.mtime(), about.mtime_nsec()).max((about.ctime(), about.ctime_nsec()))
    };
    match (socket, config) {
        (Some(socket), Some(config)) => touched(config) > (socket.mtime(), socket.mtime_nsec()),
        (None, _) => false,
        (Some(_), None) => true,
    }
}

fn people(status: &StatusResponse, is_config_changed: bool) -> String {
    let slots: Vec<String> =
        status.slots.iter().map(|slot| format!("{} ({})", slot.id, slot.kind)).collect();
    let retry = match status.retry_after_s {
        0 => String::new(),
        seconds => format!("{seconds} s"),
    };
    let development = if status.development { "DEVELOPMENT: for tests only" } else { "" };
    let catalogs: Vec<String> = status
        .catalogs
        .iter()
        .map(|catalog| {
            let hash = hex::encode(&catalog.hash);
            format!("{} {}", catalog.venue, hash.get(..12).unwrap_or_default())
        })
        .collect();
    let additions = match status.catalog_additions {
        0 => String::new(),
        count => count.to_string(),
    };
    let processes: Vec<(String, String)> = status
        .hardening
        .iter()
        .map(|process| (format!("sandbox of {}", process.process), confined(process)))
        .collect();
    let mut rows = vec![
        ("vault", state_word(status.state()).to_owned()),
        ("reason", status.reason.clone()),
        ("mode", development.to_owned()),
        ("config.toml", if is_config_changed { CONFIG_CHANGED } else { "" }.to_owned()),
        ("next unseal attempt in", retry),
        ("version", format!("{} ({})", status.version, status.build)),
        ("node", format!("{}, epoch {}", status.node, status.epoch)),
        ("log", format!("{}, {} entries", status.log_origin, status.log_size)),
        ("state revision", status.state_rev.to_string()),
        ("slots", slots.join(", ")),
        ("catalogues", catalogs.join(", ")),
        ("catalogue additions", additions),
        ("server certificate", Timestamp::from_millis(status.server_not_after_ms).to_string()),
    ];
    rows.extend(processes.iter().map(|(name, text)| (name.as_str(), text.clone())));
    pairs(&rows)
}
