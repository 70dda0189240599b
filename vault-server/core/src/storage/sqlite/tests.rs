//! The database as one file, and what is done to it from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{APPLICATION_ID, Sqlite};
use crate::storage::sample::{genesis, rows, stamp, state_mac};
use crate::storage::schema::{MIGRATIONS, migrate};
use crate::storage::suite::{self, Bed};
use crate::storage::{Changes, Row, State, StateError, Store, StoreError, Table};

struct Files {
    directory: TempDir,
    made: usize,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), made: 0 }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("{}.db", self.made))
    }

    fn edit(&self, sql: &str) {
        let connection = Connection::open(self.path()).expect("opens");
        connection.execute_batch(sql).expect("edits");
    }

    /// Makes a vault with the sample rows and closes it.
    fn filled(&mut self) {
        let store = self.fresh();
        self.fill(store, rows());
    }

    /// Makes a vault as the first release did, with the sample rows that it knew.
    fn filled_at_version_1(&mut self) -> State {
        self.made += 1;
        let connection = Connection::open(self.path()).expect("a new file");
        connection.execute_batch(MIGRATIONS[0]).expect("the first schema");
        connection.pragma_update(None, "application_id", APPLICATION_ID).expect("marks");
        connection.pragma_update(None, "user_version", 1).expect("marks");
        let known = |row: &Row| !matches!(row.table(), Table::Feed | Table::Instrument);
        let rows = rows().into_iter().filter(known).collect();
        self.fill(Box::new(Sqlite { connection }), rows)
    }

    fn fill(&mut self, mut store: Box<dyn Store>, rows: Vec<Row>) -> State {
        store.initialise(&genesis()).expect("empty");
        // From another database: this one need not have every table.
        self.made += 1;
        let mut empty = Sqlite::create(&self.path()).expect("a new file");
        self.made -= 1;
        empty.initialise(&genesis()).expect("empty");
        let mut state = State::load(&empty, &state_mac()).expect("verifies");
        drop(empty);
        fs::remove_file(self.directory.path().join(format!("{}.db", self.made + 1)))
            .expect("removed");
        let mut changes = Changes::new();
        for row in rows {
            changes.put(row);
        }
        let applied = state.apply(&changes, &state_mac()).expect("applies");
        let commit = applied.into_commit(stamp(), &state_mac()).expect("a commit");
        store.commit(&commit).expect("commits");
        state
    }

    fn version(&self) -> i64 {
        let connection = Connection::open(self.path()).expect("opens");
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
    }
}

impl Bed for Files {
    fn fresh(&mut self) -> Box<dyn Store> {
        self.made += 1;
        Box::new(Sqlite::create(&self.path()).expect("a new file"))
    }

    fn reopen(&mut self, store: Box<dyn Store>) -> Box<dyn Store> {
        drop(store);
        Box::new(Sqlite::open(&self.path()).expect("opens"))
    }
}

#[test]
fn conforms() {
    suite::run(&mut Files::new());
}

#[test]
fn creates_no_file_twice_and_opens_none_that_is_missing() {
    let mut files = Files::new();
    drop(files.fresh());
    let before = fs::read(files.path()).expect("the file");

    assert!(matches!(Sqlite::create(&files.path()), Err(StoreError::Exists)));
    assert_eq!(fs::read(files.path()).expect("the file"), before);
    let mode = fs::metadata(files.path()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let missing = files.directory.path().join("missing.db");
    assert!(matches!(Sqlite::open(&missing), Err(StoreError::Missing)));
    assert!(!missing.exists());
}

#[test]
fn opens_only_vaults_of_a_known_schema() {
    let mut files = Files::new();

    files.filled();
    files.edit("PRAGMA user_version = 3");
    let newer = Sqlite::open(&files.path());
    assert!(matches!(newer, Err(StoreError::NewerSchema { found: 3, known: 2 })));

    files.filled();
    files.edit("PRAGMA user_version = 0");
    assert!(matches!(Sqlite::open(&files.path()), Err(StoreError::NotVault)));

    files.filled();
    files.edit("PRAGMA application_id = 1");
    assert!(matches!(Sqlite::open(&files.path()), Err(StoreError::NotVault)));

    for content in ["", "not a database at all, but long enough to have a header in it"] {
        files.made += 1;
        fs::write(files.path(), content).expect("written");
        assert!(matches!(Sqlite::open(&files.path()), Err(StoreError::NotVault)), "{content}");
    }
}

#[test]
fn a_database_of_the_first_release_is_brought_up_to_date() {
    let mut files = Files::new();
    let mut state = files.filled_at_version_1();
    assert_eq!(files.version(), 1);

    let mut store = Sqlite::open(&files.path()).expect("opens");
    let loaded = State::load(&store, &state_mac()).expect("verifies");
    assert_eq!(loaded.tables(), state.tables());
    assert_eq!(loaded.state_root(), state.state_root());
    let mut changes = Changes::new();
    for row in rows() {
        changes.put(row);
    }
    let applied = state.apply(&changes, &state_mac()).expect("applies");
    let commit = applied.into_commit(stamp(), &state_mac()).expect("a commit");
    store.commit(&commit).expect("commits");
    drop(store);

    assert_eq!(files.version(), 2);
    let store = Sqlite::open(&files.path()).expect("opens again");
    let loaded = State::load(&store, &state_mac()).expect("verifies");
    assert_eq!(loaded.tables(), state.tables());
    assert!(!loaded.tables().feeds.is_empty() && !loaded.tables().instruments.is_empty());
}

#[test]
fn an_upgrade_that_was_cut_short_begins_again() {
    let mut files = Files::new();
    let state = files.filled_at_version_1();
    let journal = |path: PathBuf| path.with_extension("db-journal");
    let (from, journal_from) = (files.path(), journal(files.path()));
    let mut connection = Connection::open(&from).expect("opens");
    // So that pages are in the file before the transaction has ended.
    connection.pragma_update(None, "cache_size", 1).expect("set");
    let transaction = connection.transaction().expect("begins");
    migrate(&transaction, 1).expect("half an upgrade");
    // What a kill leaves behind here.
    files.made += 1;
    fs::copy(&from, files.path()).expect("copied");
    fs::copy(journal_from, journal(files.path())).expect("copied");
    drop(transaction);

    let store = Sqlite::open(&files.path()).expect("opens");
    let loaded = State::load(&store, &state_mac()).expect("verifies");
    assert_eq!(loaded.tables(), state.tables());
    drop(store);
    assert_eq!(files.version(), 2);
    files.made -= 1;
    assert_eq!(files.version(), 1, "rolled back");
}

#[test]
fn an_older_schema_that_was_altered_is_not_brought_up_to_date() {
    let mut files = Files::new();
    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON client BEGIN DELETE FROM halt; END",
        "CREATE TABLE feed (key TEXT, doc TEXT, mac BLOB)",
    ] {
        files.filled_at_version_1();
        files.edit(sql);
        let opened = Sqlite::open(&files.path());
        assert!(matches!(opened, Err(StoreError::SchemaAltered)), "{sql}");
        assert_eq!(files.version(), 1);
    }
}

#[test]
fn opens_no_schema_that_was_altered() {
    let mut files = Files::new();

    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON client BEGIN DELETE FROM halt; END",
        "CREATE VIEW v AS SELECT * FROM client",
        "CREATE TABLE extra (a)",
        "DROP TABLE halt",
        "DROP INDEX command_nonce_expires_at",
    ] {
        files.filled();
        files.edit(sql);
        let opened = Sqlite::open(&files.path());
        assert!(matches!(opened, Err(StoreError::SchemaAltered)), "{sql}");
    }
}

/// What somebody with a copy of `sqlite3` can do to the file, while the vault is down.
#[test]
fn edited_deleted_added_and_older_rows_do_not_verify() {
    let mut files = Files::new();
    type Expected = fn(&StateError) -> bool;
    let false_client: Expected =
        |error| matches!(error, StateError::Row { table: Table::Client, key } if key == "mm-1");
    let root: Expected = |error| matches!(error, StateError::Root);
    let attacks: [(&str, Expected); 8] = [
        (
            "UPDATE client SET doc = replace(doc, '192.0.2.0/24', '0.0.0.0/0') \
             WHERE key = 'mm-1'",
            false_client,
        ),
        (
            "UPDATE client SET doc = (SELECT doc FROM client WHERE key = 'mm-2'), \
             mac = (SELECT mac FROM client WHERE key = 'mm-2') WHERE key = 'mm-1'",
            false_client,
        ),
        ("UPDATE client SET mac = x'00' WHERE key = 'mm-1'", false_client),
        ("DELETE FROM halt", root),
        ("DELETE FROM client WHERE key = 'mm-2'", root),
        (
            "UPDATE meta SET value = CAST(replace(CAST(value AS TEXT), '\"state_rev\":1', \
             '\"state_rev\":2') AS BLOB) WHERE key = 'head'",
            |error| matches!(error, StateError::Head),
        ),
        (
            "UPDATE meta SET value = CAST(replace(CAST(value AS TEXT), 'true', 'false') \
             AS BLOB) WHERE key = 'instance'",
            |error| matches!(error, StateError::Instance),
        ),
        ("DELETE FROM meta WHERE key = 'head_mac'", |error| {
            matches!(error, StateError::Store(StoreError::NotVault))
        }),
    ];

    for (sql, expected) in attacks {
        files.filled();
        let store = Sqlite::open(&files.path()).expect("opens");
        assert!(State::load(&store, &state_mac()).is_ok());
        drop(store);
        files.edit(sql);
        let store = Sqlite::open(&files.path()).expect("opens");
        let error = State::load(&store, &state_mac()).expect_err(sql);
        assert!(expected(&error), "{sql}: {error:?}");
    }
}

#[test]
fn a_cut_or_overwritten_file_is_not_used() {
    let mut files = Files::new();
    files.filled();
    let whole = fs::read(files.path()).expect("the file");

    // Whatever page is hit: the file does not open, or its rows do not verify.
    for page in 0..whole.len() / 4_096 {
        let mut broken = whole.clone();
        broken[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        fs::write(files.path(), &broken).expect("written");
        let verified = Sqlite::open(&files.path()).map(|store| {
            let keys = store.keyring().is_ok() && store.slots().is_ok();
            keys && State::load(&store, &state_mac()).is_ok()
        });
        // A page of slots or keyring is not vouched for here: its envelopes fail at unseal.
        let harmless = matches!(verified, Ok(true));
        assert!(!harmless || page_is_free_of_rows(&whole, page), "page {page}");
    }
    fs::write(files.path(), &whole[..whole.len() - 4_096]).expect("written");
    assert!(Sqlite::open(&files.path()).is_err());
}

/// A page that holds nothing yet can be overwritten without harm.
fn page_is_free_of_rows(file: &[u8], page: usize) -> bool {
    // Bytes 3 and 4 of a b-tree page: its number of cells.
    page > 0 && file[page * 4_096 + 3..page * 4_096 + 5] == [0, 0]
}

#[test]
fn is_one_file_that_only_its_owner_reads() {
    let mut files = Files::new();
    let mut store = files.fresh();
    store.initialise(&genesis()).expect("empty");

    let names = fs::read_dir(files.directory.path()).expect("the directory");
    assert_eq!(names.count(), 1);
}

#[test]
fn every_table_has_its_place_in_the_schema() {
    let migrations = MIGRATIONS.concat();
    for table in Table::ALL {
        assert!(migrations.contains(&format!("CREATE TABLE {table} (")), "{table}");
    }
}

#[test]
fn moves_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Sqlite>();
}
