//! Files that somebody else has edited.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use vault_audit::Outcome;
use vault_client::v1;
use vault_tests::{OKX_SCOPE, PASSPHRASE, TestVault, okx_balance, order};

/// Copies of every file of the database.
struct Copy(Vec<(PathBuf, Vec<u8>)>);

impl Copy {
    fn of(vault: &TestVault) -> Self {
        let files = ["vault.db", "vault.db-wal", "vault.db-shm", "vault.db-journal"];
        let paths = files.map(|name| vault.data().join(name));
        let there = paths.into_iter().filter(|path| path.exists());
        Self(there.map(|path| (path.clone(), fs::read(path).expect("read"))).collect())
    }

    /// Puts them back, and nothing beside them.
    fn put_back(&self, vault: &TestVault) {
        for name in ["vault.db-wal", "vault.db-shm", "vault.db-journal"] {
            let path = vault.data().join(name);
            if path.exists() {
                fs::remove_file(path).expect("removed");
            }
        }
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).expect("written");
        }
    }
}

/// Starts a vault whose database was tampered with: it must stay sealed and say why.
async fn is_refused(vault: &mut TestVault, what: &str) -> String {
    let ready = vault.run().await;
    assert_ne!(ready.state, "unsealed", "{what}");
    let refused = vault.local().unseal(PASSPHRASE).expect_err(what);
    assert_eq!(refused.reason, "STATE_REFUSED", "{what}");
    let status = vault.local().status();
    assert_eq!(status.state(), v1::SealState::Refused, "{what}");
    assert!(!status.reason.is_empty(), "{what}: no explanation");
    let words = vault.server_command(
        &["unseal", "--data", vault.data().to_str().expect("plain"), "--passphrase-stdin"],
        Some(PASSPHRASE),
    );
    assert!(!words.status.success());
    let said = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(said.contains("refuses"), "{what}: {said}");
    let logged = vault.log_entries().iter().any(|entry| {
        entry.outcome != Outcome::Ok && entry.reason.as_deref() == Some("STATE_REFUSED")
    });
    assert!(logged, "{what}: not in the log");
    vault.stop().await;
    status.reason
}

/// A vault with a bot that was revoked, a halt, two versions of a scope and of a credential; and the
/// database as it was before the revocation.
async fn with_a_past() -> (TestVault, Copy) {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    vault.bot_identity("good", OKX_SCOPE, &[]).await;
    vault.stop().await;
    let older = Copy::of(&vault);
    vault.run_and_unseal().await;
    vault.put_scope(&OKX_SCOPE.replace(r#", "ETH-USDT""#, "")).await;
    let admin = vault.admin().await;
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: String::new() };
    admin.revoke_client(revoke).await.expect("revoked");
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "venue:kraken".to_owned(),
        reason: String::new(),
    };
    admin.halt(halt).await.expect("halted");
    vault.stop().await;
    (vault, older)
}

fn database(vault: &TestVault) -> Connection {
    Connection::open(vault.data().join("vault.db")).expect("the database")
}

type Row = (String, String, Vec<u8>);

fn row(database: &Connection, table: &str, key: &str) -> Row {
    let sql = format!("SELECT key, doc, mac FROM {table} WHERE key LIKE ?1");
    database
        .query_row(&sql, [key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_deleted_and_old_rows() {
    let (mut vault, older) = with_a_past().await;
    let newest = Copy::of(&vault);
    // Rows as they were, with MACs that were once good.
    older.put_back(&vault);
    let (old_client, old_scope) =
        (row(&database(&vault), "client", "%bot%"), row(&database(&vault), "scope", "%okx-demo%"));
    newest.put_back(&vault);
    let halt = row(&database(&vault), "halt", "%kraken%");

    type Edit<'a> = &'a dyn Fn(&Connection) -> rusqlite::Result<usize>;
    let put = |table: &'static str, row: Row| {
        move |database: &Connection| {
            let sql = format!("INSERT OR REPLACE INTO {table} (key, doc, mac) VALUES (?1, ?2, ?3)");
            database.execute(&sql, (&row.0, &row.1, &row.2))
        }
    };
    let old_client = put("client", old_client);
    let old_scope = put("scope", old_scope);
    let moved = put("halt", (halt.0.replace("kraken", "okx"), halt.1.clone(), halt.2.clone()));
    let garbage = put("scope", ("okx-demo".to_owned(), "{".to_owned(), vec![0; 32]));
    let edits: [(&str, Edit<'_>); 11] = [
        ("an edited document", &|database| {
            database.execute(r#"UPDATE client SET doc = replace(doc, '"revoked"', '"active"')"#, [])
        }),
        ("a bent MAC", &|database| database.execute("UPDATE scope SET mac = zeroblob(32)", [])),
        ("a deleted halt", &|database| database.execute("DELETE FROM halt", [])),
        ("a deleted client", &|database| {
            database.execute("DELETE FROM client WHERE doc LIKE '%revoked%'", [])
        }),
        ("a revoked client as it was", &old_client),
        ("a wider scope as it was", &old_scope),
        ("a row under another key", &moved),
        ("a document that is none", &garbage),
        ("two secrets swapped", &|database| {
            database.execute("UPDATE credential_version SET doc = replace(doc, '1', '2')", [])
        }),
        ("another head", &|database| {
            database.execute("UPDATE meta SET value = zeroblob(32) WHERE key = 'head_mac'", [])
        }),
        ("a keyring's key bent", &|database| {
            database.execute("UPDATE keyring SET wrapped = zeroblob(length(wrapped))", [])
        }),
    ];
    for (what, edit) in edits {
        newest.put_back(&vault);
        let changed = edit(&database(&vault)).expect("the edit");
        assert!(changed > 0, "{what}: nothing was edited");
        is_refused(&mut vault, what).await;
    }

    newest.put_back(&vault);
    vault.run_and_unseal().await;
    let good = vault.connect_bot("good").await;
    good.sign(order("okx-main", okx_balance())).await.expect("the true database opens");
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database() {
    let (mut vault, older) = with_a_past().await;
    let newest = Copy::of(&vault);

    older.put_back(&vault);
    let said = is_refused(&mut vault, "an older database").await;
    assert!(said.contains("older"), "{said}");
    newest.put_back(&vault);
    vault.run_and_unseal().await;
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_was_deleted_and_put_back() {
    let (mut vault, _) = with_a_past().await;
    let halt = row(&database(&vault), "halt", "%kraken%");
    database(&vault).execute("DELETE FROM halt", []).expect("deleted");
    is_refused(&mut vault, "a deleted halt").await;

    // Put back as it was, the database is what the log says again.
    database(&vault)
        .execute(
            "INSERT INTO halt (key, doc, mac) VALUES (?1, ?2, ?3)",
            (&halt.0, &halt.1, &halt.2),
        )
        .expect("put back");
    vault.run_and_unseal().await;
    // Lifted by an admin and put back by hand, it is not.
    let resume = v1::ResumeCommand { target: "venue:kraken".to_owned(), ..Default::default() };
    vault.admin().await.resume(resume).await.expect("resumed");
    vault.stop().await;
    database(&vault)
        .execute(
            "INSERT INTO halt (key, doc, mac) VALUES (?1, ?2, ?3)",
            (&halt.0, &halt.1, &halt.2),
        )
        .expect("put back");
    is_refused(&mut vault, "a halt that was lifted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_none() {
    let (mut vault, _) = with_a_past().await;
    let newest = Copy::of(&vault);
    for (what, bytes) in [
        ("an empty file", Vec::new()),
        ("garbage", vec![0x5a; 8_192]),
        ("half of it", newest.0[0].1[..newest.0[0].1.len() / 2].to_vec()),
    ] {
        newest.put_back(&vault);
        fs::write(vault.data().join("vault.db"), &bytes).expect("written");
        let before = fs::read(vault.data().join("vault.db")).expect("read");
        match vault.try_run().await {
            Err(refused) => {
                assert!(refused.status.is_some_and(|status| !status.success()), "{what}");
                assert!(refused.stderr.contains("database"), "{what}: {}", refused.stderr);
            }
            Ok(_) => {
                let refused = vault.local().unseal(PASSPHRASE).expect_err(what);
                assert_eq!(refused.reason, "STATE_REFUSED", "{what}");
                vault.stop().await;
            }
        }
        let after = fs::read(vault.data().join("vault.db")).expect("read");
        assert!(before == after, "{what}: the file was changed");
    }
    newest.put_back(&vault);
    vault.run_and_unseal().await;
}

fn segments(vault: &TestVault) -> Vec<PathBuf> {
    let folder = fs::read_dir(vault.data().join("audit")).expect("a folder");
    let mut paths: Vec<_> = folder.map(|file| file.expect("listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

/// Where the bytes of an entry's line are in a segment.
fn position(bytes: &[u8], text: &str) -> usize {
    let found = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    found.expect("the text is in the segment")
}

async fn does_not_start(vault: &mut TestVault, what: &str) -> String {
    let refused = vault.try_run().await.expect_err(what);
    let status = refused.status.expect("it ends by itself");
    assert!(!status.success(), "{what}");
    refused.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_log() {
    let (mut vault, _) = with_a_past().await;
    let [segment] = segments(&vault).try_into().expect("one segment");
    let whole = fs::read(&segment).expect("read");
    let name = segment.file_name().expect("a name").to_string_lossy().into_owned();
    for (what, at) in [
        ("in the header", 3),
        ("in the first entry", position(&whole, "admin.intent") + 2),
        ("in a revocation", position(&whole, "ClientService/Revoke") + 5),
    ] {
        let mut bent = whole.clone();
        bent[at] ^= 0x04;
        fs::write(&segment, &bent).expect("written");
        let said = does_not_start(&mut vault, what).await;
        assert!(said.contains("damaged") && said.contains(&name), "{what}: {said}");
        assert!(fs::read(&segment).expect("read") == bent, "{what}: nothing was changed");
    }
    fs::write(&segment, &whole).expect("written");
    vault.run_and_unseal().await;
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end() {
    let (mut vault, _) = with_a_past().await;
    let audit = vault.data().join("audit");
    let [segment] = segments(&vault).try_into().expect("one segment");
    let whole = fs::read(&segment).expect("read");
    let note = fs::read(audit.join("checkpoint")).expect("read");
    let cut = position(&whole, "ClientService/Revoke");
    fs::write(&segment, &whole[..cut]).expect("written");
    let said = does_not_start(&mut vault, "shorter than its checkpoint").await;
    assert!(said.contains("checkpoint") || said.contains("damaged"), "{said}");

    // Without the checkpoint there is still the database, which remembers how long it was.
    remove(&audit.join("checkpoint"));
    match vault.try_run().await {
        Err(refused) => {
            let known = ["entries", "damaged", "checkpoint"];
            let clear = known.iter().any(|word| refused.stderr.contains(word));
            assert!(clear, "{}", refused.stderr);
        }
        Ok(_) => {
            let refused = vault.local().unseal(PASSPHRASE).expect_err("entries are missing");
            assert_eq!(refused.reason, "STATE_REFUSED");
            vault.stop().await;
        }
    }
    for segment in segments(&vault) {
        remove(&segment);
    }
    fs::write(&segment, &whole).expect("written");
    fs::write(audit.join("checkpoint"), note).expect("written");
    vault.run_and_unseal().await;
    vault.verify();
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong() {
    let mut vault = TestVault::start().await;
    vault.stop().await;
    let path = vault.data().join("config.toml");
    for (text, at) in [
        ("development = true\n[listen]\nbots = \"127.0.0.1:1\"\n", "config.toml:3:1"),
        ("development = true\n[audit]\nsegment_bytes = 1\n", "config.toml:3:17"),
        ("development = true\n[log\n", "config.toml:2:"),
    ] {
        fs::write(&path, text).expect("written");
        let data = vault.data();
        let words = ["run", "--data", data.to_str().expect("plain")];
        let output = vault.server_command(&words, None);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(at), "{said}");
    }
    // Every start of the harness writes the file anew.
    vault.run_and_unseal().await;
}
