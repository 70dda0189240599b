//! Wrong arguments, and vaults that are not there.

use crate::bed::{Bed, stderr, vault_server};

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["no-such-command"][..],
        &[],
        &["run"],
        &["init", "--data", "/nowhere", "--kdf-light"],
        &["init", "--data", "/nowhere", "--name", "a b"],
        &["init", "--data", "/nowhere", "--admin", "Not A Name"],
        &["init", "--data", "/nowhere", "--passphrase-stdin", "--generate-passphrase"],
        &["operator", "reissue", "a", "--data", "/nowhere", "--ttl-s", "1"],
    ] {
        let output = vault_server(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).starts_with("vault-server: error: "), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_passphrase_that_nobody_gives_is_2_and_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for more in [None, Some("--passphrase-stdin")] {
        let mut arguments = vec!["init", "--data", data.to_str().expect("UTF-8")];
        arguments.extend(more);
        let output = vault_server(&arguments, "");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    assert!(!data.exists());
}

#[test]
fn help_and_version_are_data() {
    for argument in ["--help", "--version"] {
        let output = vault_server(&[argument], "");
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout.starts_with(b"Countersign") || output.stdout.starts_with(b"vault-"));
        assert!(output.stderr.is_empty());
    }
    let help = vault_server(&["--help"], "");
    assert!(!String::from_utf8_lossy(&help.stdout).contains("__core"));
}

#[test]
fn errors_are_json_where_json_is_wanted() {
    let output = vault_server(&["status", "--data", "/nowhere", "--json"], "");
    let error: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("JSON");

    assert_eq!(output.status.code(), Some(6));
    assert_eq!(error["error"]["exit_code"], 6);
    assert_eq!(error["error"]["kind"], "unreachable");
}

#[test]
fn a_vault_that_does_not_run_is_6() {
    let bed = Bed::new(&[]);
    for command in [&["status"][..], &["seal"], &["unseal"], &["operator", "reissue", "admin"]] {
        assert_eq!(bed.run(command, "").status.code(), Some(6), "{command:?}");
    }
}

#[test]
fn children_are_the_supervisors_alone() {
    for arguments in
        [&["__front", "{}"][..], &["__core", "--data", "/nowhere", "{}"], &["__egress", "{}"]]
    {
        let output = vault_server(arguments, "");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("the supervisor's own"), "{}", stderr(&output));
    }
}

#[test]
fn completion_is_a_script() {
    let output = vault_server(&["completion", "bash"], "");

    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete"));
}
