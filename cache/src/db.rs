//! The database: connections, transactions, tables.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::Result;
use crate::error::{DbContext, IoContext};

/// How long to wait for other processes' transactions. They take milliseconds; a stopped process can take for ever.
const BUSY: Duration = Duration::from_mins(1);

/// The format in which results didn't say on whose word they rest.
const BEFORE_VOUCHERS: i64 = 3;
/// Format of the tables, in `user_version`.
const FORMAT: i64 = 4;

// Digests are text as in manifests, keys are 32 bytes, times are seconds since 1970. `folder_boot` is NULL for a layer
// without a folder, empty for a folder that was synced, else the boot in which it was written. `rests_on` is the layer
// whose folder lies under this one's, NULL for a folder that is whole by itself. `toc` is NULL for a
// table of contents that is in a file of its own. `verified` is 1 for a blob whose content is known to have the layer's
// `diff_id`: it was written or unpacked here. A blob of which that is only claimed (0) is the only form of its layer.
const TABLES: &str = "
CREATE TABLE layers(
    id TEXT PRIMARY KEY, diff_id TEXT, has_toc INTEGER NOT NULL, toc_size INTEGER NOT NULL,
    toc BLOB, is_empty INTEGER NOT NULL, folder_boot TEXT, folder_size INTEGER NOT NULL, rests_on TEXT,
    created INTEGER NOT NULL, last_used INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers(diff_id) WHERE diff_id IS NOT NULL;
CREATE TABLE layer_blobs(
    layer TEXT NOT NULL REFERENCES layers ON DELETE CASCADE, digest TEXT NOT NULL, media_type TEXT NOT NULL,
    size INTEGER NOT NULL, annotations TEXT NOT NULL, verified INTEGER NOT NULL,
    PRIMARY KEY(layer, digest)) WITHOUT ROWID;
CREATE INDEX layer_blobs_by_digest ON layer_blobs(digest);
CREATE TABLE origins(
    layer TEXT NOT NULL REFERENCES layers ON DELETE CASCADE, host TEXT NOT NULL, repository TEXT NOT NULL,
    digest TEXT NOT NULL, PRIMARY KEY(layer, host, repository, digest)) WITHOUT ROWID;
CREATE TABLE records(
    id INTEGER PRIMARY KEY, layer TEXT REFERENCES layers ON DELETE CASCADE, content BLOB, created INTEGER NOT NULL,
    description TEXT NOT NULL, inputs TEXT NOT NULL, duration_ms INTEGER NOT NULL,
    vouchers TEXT NOT NULL DEFAULT '');
CREATE INDEX records_by_layer ON records(layer);
CREATE INDEX records_by_description ON records(description);
CREATE TABLE record_keys(
    key BLOB PRIMARY KEY, record INTEGER NOT NULL REFERENCES records ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX record_keys_by_record ON record_keys(record);
CREATE TABLE meta(
    namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, updated INTEGER NOT NULL,
    PRIMARY KEY(namespace, key)) WITHOUT ROWID;
CREATE INDEX meta_by_age ON meta(updated);
";

/// The database of one store; connections are opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    reader: Mutex<Option<Connection>>,
    writer: Mutex<Option<Connection>>,
}

impl Database {
    /// Does not touch the file yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, reader: Mutex::new(None), writer: Mutex::new(None) }
    }

    /// Makes file and tables. For a holder of the exclusive `gc` lock.
    pub(crate) fn create(path: &Path) -> Result<()> {
        // Before SQLite makes it readable for all; the log gets the mode of the database.
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .on("create database", path)?;
        let mut db = open(path)?;
        db.pragma_update(None, "journal_mode", "wal").doing("turn on the log")?;
        let format: i64 = db.query_row("PRAGMA user_version", [], |r| r.get(0)).doing("read the format")?;
        if format == 0 {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).doing("make tables")?;
            tx.execute_batch(TABLES).doing("make tables")?;
            tx.pragma_update(None, "user_version", FORMAT).doing("make tables")?;
            tx.commit().doing("make tables")?;
        }
        Ok(())
    }

    /// Runs queries. Each sees its own moment.
    pub(crate) fn read<T>(
        &self,
        action: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        query(connected(&mut lock(&self.reader), &self.path)?).doing(action)
    }

    /// Runs a transaction that no other writer comes between; an error undoes it.
    pub(crate) fn write<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut slot = lock(&self.writer);
        let db = connected(&mut slot, &self.path)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).doing(action)?;
        let result = change(&tx)?;
        tx.commit().doing(action)?;
        Ok(result)
    }
}

/// A panic while a lock was held leaves a connection that has rolled back: fine to use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connected<'a>(slot: &'a mut Option<Connection>, path: &Path) -> Result<&'a mut Connection> {
    if slot.is_none() {
        *slot = Some(open(path)?);
    }
    Ok(slot.as_mut().expect("filled just above"))
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).doing("open")?;
    db.busy_timeout(BUSY).doing("open")?;
    // Closing would copy the log into the database and wait for the disk at the end of every build.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).doing("open")?;
    db.pragma_update(None, "synchronous", "normal").doing("open")?;
    db.pragma_update(None, "foreign_keys", true).doing("open")?;
    db.pragma_update(None, "temp_store", "memory").doing("open")?;
    db.set_prepared_statement_cache_capacity(64);
    upgrade(&mut db)?;
    Ok(db)
}

/// Brings tables of an earlier format up to date, in a way that programs of that format don't notice.
fn upgrade(db: &mut Connection) -> Result<()> {
    let format = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if format(db).doing("read the format")? != BEFORE_VOUCHERS {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).doing("bring tables up to date")?;
    // Another process may have been first.
    if format(&tx).doing("read the format")? == BEFORE_VOUCHERS {
        tx.execute_batch("ALTER TABLE records ADD COLUMN vouchers TEXT NOT NULL DEFAULT ''")
            .and_then(|()| tx.pragma_update(None, "user_version", FORMAT))
            .doing("bring tables up to date")?;
    }
    tx.commit().doing("bring tables up to date")
}

#[cfg(test)]
mod tests {
    use crate::testing::test_store;
    use crate::{Key, OpenOptions, Record, Store, Vouchers};

    #[test]
    fn tables_without_vouchers_get_them() {
        let (dir, store) = test_store();
        let record = Record { description: "RUN x".into(), ..Record::default() };
        store.put_record(&[Key([1; 32])], &record).unwrap();
        drop(store);
        let root = dir.path().join("store");
        let db = rusqlite::Connection::open(root.join("db.sqlite")).unwrap();
        db.execute_batch("ALTER TABLE records DROP COLUMN vouchers; PRAGMA user_version = 3").unwrap();
        drop(db);
        let store = Store::open(&root, OpenOptions::default()).unwrap();
        assert_eq!(store.record(&Key([1; 32])).unwrap(), Some(record.clone()));
        let claimed = Record { vouchers: Vouchers::one("h/a:b"), ..record };
        store.put_record(&[Key([2; 32])], &claimed).unwrap();
        assert_eq!(store.record(&Key([2; 32])).unwrap(), Some(claimed));
    }
}
