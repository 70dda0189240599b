//! `init`, and what `run` thinks of what it finds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::bed::{Bed, PASSPHRASE, json, stderr, vault_server};

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("read")))
        .collect()
}

#[test]
fn a_directory_in_use_is_refused_and_unchanged() {
    let bed = Bed::new(&[]);
    let before = content(&bed.data());
    let again = ["init", "--data", &bed.text(), "--generate-passphrase"];
    let output = vault_server(&again, "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is in use; nothing was changed"), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: "));
    assert_eq!(content(&bed.data()), before);
}

#[test]
fn what_it_makes_is_the_owners_alone() {
    let bed = Bed::new(&[]);

    for path in [bed.data(), bed.data().join("audit")] {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
    for (path, bytes) in content(&bed.data()) {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path}");
        assert!(!bytes.windows(12).any(|window| window == &PASSPHRASE.as_bytes()[..12]), "{path}");
    }
}

#[test]
fn a_weak_passphrase_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let arguments = ["init", "--data", data.to_str().expect("UTF-8"), "--passphrase-stdin"];
    let output = vault_server(&arguments, "Tr0ub4dor&3\n");

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!stderr(&output).contains("Tr0ub4dor"));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_generated_passphrase_and_the_tokens_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let more = ["--generate-passphrase", "--development", "--kdf-light"];
    let output = vault_server(&[&["init", "--data", data][..], &more].concat(), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();

    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(text.matches("cs1_").count(), 2);
    for heading in ["KEEP SAFE", "KEEP, not secret", "HAND OVER", "NEXT"] {
        assert!(text.contains(heading), "{text}");
    }
    assert!(!stderr(&output).contains("cs1_"));
}

#[test]
fn a_directory_that_others_may_enter_is_not_run() {
    let bed = Bed::new(&[]);
    fs::set_permissions(bed.data(), fs::Permissions::from_mode(0o750)).expect("set");
    let output = bed.run(&["run"], "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("must not be accessible"), "{}", stderr(&output));
}

#[test]
fn an_empty_directory_is_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = vault_server(&["run", "--data", folder.path().to_str().expect("UTF-8")], "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is not a vault's data directory"), "{}", stderr(&output));
}

#[test]
fn a_wrong_configuration_is_named_by_line_and_column() {
    let bed = Bed::new(&[]);
    let path = bed.data().join("config.toml");
    fs::write(&path, "[listen]\nbots = 1\n").expect("written");
    let output = bed.run(&["run"], "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("config.toml:2:1: unknown field"), "{}", stderr(&output));
}

/// Ports of the system's choice, and one catalogue file beside the configuration.
fn with_addition(bed: &Bed, text: &str) {
    let config = "development = true\n[listen]\nbot = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
                  enroll = \"127.0.0.1:0\"\n[catalog]\nadditions = [\"own.toml\"]\n";
    fs::write(bed.data().join("config.toml"), config).expect("written");
    fs::write(bed.data().join("own.toml"), text).expect("written");
}

#[test]
fn a_broken_catalogue_file_is_named_by_line_and_column() {
    let bed = Bed::new(&[]);
    let stated_twice = "format = 1\nvenue = \"kraken\"\n[sources]\nown = \"ours\"\n[[operation]]\n\
                        method = \"POST\"\npath = \"/0/private/AddOrder\"\nclass = \"read\"\n\
                        source = \"own\"\nbody = \"form\"\n";
    for (text, at) in [
        ("format = 1\nvenue = \"kraken\"\nunheard_of = 1\n", "own.toml:3:1: "),
        ("format = 1\nvenue = \"kraken\n", "own.toml:2:"),
        ("format = 1\nvenue = \"nowhere\"\n", "own.toml: this build knows no venue"),
        (stated_twice, "own.toml:5:1: POST /0/private/AddOrder: stated twice"),
    ] {
        with_addition(&bed, text);
        let output = bed.run(&["run"], "");

        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(at), "{at}: {}", stderr(&output));
    }
    fs::remove_file(bed.data().join("own.toml")).expect("removed");
    let output = bed.run(&["run"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("own.toml: "), "{}", stderr(&output));
}

#[test]
fn a_catalogue_file_of_ones_own_is_in_the_hash() {
    let hash = |text: Option<&str>| {
        let bed = Bed::new(&[]);
        if let Some(text) = text {
            with_addition(&bed, text);
        }
        let _server = bed.start();
        let status = json(&bed.run(&["status"], ""));
        assert_eq!(status["catalog_additions"], u64::from(text.is_some()));
        let catalogs = status["catalogs"].as_array().expect("a list").clone();
        let kraken = catalogs.iter().find(|catalog| catalog["venue"] == "kraken").expect("there");
        (kraken["hash"].clone(), kraken["operations"].as_u64().expect("a number"))
    };
    let own = "format = 1\nvenue = \"kraken\"\n[sources]\nown = \"ours\"\n[[operation]]\n\
               method = \"POST\"\npath = \"/0/private/OurOwn\"\nclass = \"read\"\nsource = \"own\"\n\
               body = \"form\"\n";
    let (bundled, added) = (hash(None), hash(Some(own)));

    assert_ne!(bundled.0, added.0);
    assert_eq!(bundled.1 + 1, added.1);
}

#[test]
fn a_taken_address_is_named() {
    let bed = Bed::new(&[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address");
    let text = format!(
        "development = true\n[listen]\nenroll = \"{address}\"\nbot = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n"
    );
    fs::write(bed.data().join("config.toml"), text).expect("written");
    let output = bed.run(&["run"], "");

    assert_eq!(output.status.code(), Some(1));
    let expected = format!("cannot listen on {address} (listen.enroll in config.toml)");
    assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
}

#[test]
fn a_key_file_that_cannot_be_made_makes_no_vault() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::write(place("taken.key"), "precious").expect("written");
    for (key_file, exit) in [("taken.key", 1), ("no/folder.key", 1), ("data/in.key", 2)] {
        let more = ["--generate-passphrase", "--key-file", &place(key_file)];
        let output = vault_server(&[&["init", "--data", &place("data")][..], &more].concat(), "");
        assert_eq!(output.status.code(), Some(exit), "{key_file}: {}", stderr(&output));
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    assert_eq!(fs::read(place("taken.key")).expect("there"), b"precious");
}

#[test]
fn a_key_file_opens_the_vault_at_every_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("unseal.key");
    let bed = Bed::new(&["--key-file", key_file.to_str().expect("UTF-8")]);
    let mode = fs::metadata(&key_file).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = bed.start();
    assert!(crate::bed::eventually(|| bed.state() == "unsealed"));
    let slots = &json(&bed.run(&["status"], ""))["slots"];
    assert_eq!(slots.as_array().expect("slots").len(), 2);
    drop(server);
}
