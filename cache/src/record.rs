//! Build records: which result a step with these keys had. And small facts.

use garboard_layer::ContentDigest;
use rusqlite::{OptionalExtension, Row, Transaction};

use crate::error::DbContext;
use crate::layer::{layer_id, require_layer};
use crate::{LayerId, Result, Store, Vouchers};

/// A key of a build step (BLAKE3); shows as hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// Reads what it shows as: 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 {
            return None;
        }
        let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase());
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(bytes.chunks(2)) {
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(key))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::files::hex(&self.0))
    }
}

/// The result of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The layer it made; `None` for a step that makes none.
    pub layer: Option<LayerId>,
    /// Digest of the tree or file that it made.
    pub content: Option<ContentDigest>,
    /// When, seconds since 1970.
    pub created: i64,
    /// For people: the instruction.
    pub description: String,
    /// What went into the keys, as JSON, to explain a later miss.
    pub inputs_json: String,
    /// How long making it took in milliseconds; 0 where nobody said.
    pub duration_ms: u64,
    /// Who has to be believed for it to count.
    pub vouchers: Vouchers,
}

const COLUMNS: &str =
    "r.id, r.layer, r.content, r.created, r.description, r.inputs, r.duration_ms, r.vouchers";

/// A record with its row number.
fn record_row(row: &Row<'_>) -> rusqlite::Result<(i64, Record)> {
    let has_layer = row.get_ref(1)? != rusqlite::types::ValueRef::Null;
    let record = Record {
        layer: if has_layer { Some(layer_id(row, 1)?) } else { None },
        content: row.get::<_, Option<[u8; 32]>>(2)?.map(ContentDigest),
        created: row.get(3)?,
        description: row.get(4)?,
        inputs_json: row.get(5)?,
        duration_ms: row.get(6)?,
        vouchers: Vouchers::of_text(row.get_ref(7)?.as_str()?),
    };
    Ok((row.get(0)?, record))
}

impl Store {
    /// The record with this key. A record whose layer is gone is removed and counts as a miss. Every open lease then
    /// holds the layer.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        let sql =
            format!("SELECT {COLUMNS} FROM record_keys k JOIN records r ON r.id = k.record WHERE k.key = ?1");
        let found = self.inner.db.read("look up record", |db| {
            db.prepare_cached(&sql)?.query_row([key.0.as_slice()], record_row).optional()
        })?;
        let Some((row, record)) = found else { return Ok(None) };
        if let Some(layer) = &record.layer
            && self.layer(layer)?.is_none()
        {
            // The miss stands whether or not the row can be removed.
            let _ = self.inner.db.write("remove record", |tx| {
                tx.execute("DELETE FROM records WHERE id = ?1", [row]).map(drop).doing("remove record")
            });
            return Ok(None);
        }
        Ok(Some(record))
    }

    /// Stores a record under all of `keys`; a key that had another record gets this one.
    ///
    /// # Errors
    /// [`crate::CacheError::LayerMissing`] if its layer is not in the store.
    pub fn put_record(&self, keys: &[Key], record: &Record) -> Result<()> {
        self.put_record_with(keys, record, &[])
    }

    /// As [`Self::put_record`], and notes the first key as small facts of these namespaces and keys.
    ///
    /// # Errors
    /// As [`Self::put_record`].
    pub fn put_record_with(
        &self,
        keys: &[Key],
        record: &Record,
        facts: &[(&'static str, String)],
    ) -> Result<()> {
        if let Some(layer) = &record.layer {
            self.hold_layer(layer)?;
        }
        let now = self.now();
        let _gc = self.gc_shared()?;
        self.inner.db.write("store record", |tx| {
            if let Some(layer) = &record.layer {
                require_layer(tx, layer)?;
            }
            insert_record(tx, keys, record).doing("store record")?;
            let Some(first) = keys.first() else { return Ok(()) };
            let mut note = |(namespace, key): &(&str, String)| put_fact(tx, (namespace, key, &first.0), now);
            facts.iter().try_for_each(&mut note).doing("note a fact")
        })
    }

    /// Stores a record that somebody has to be believed for under those of `keys` that have none which counts for everybody:
    /// what was made here is not replaced by what is claimed.
    ///
    /// # Errors
    /// As [`Self::put_record`].
    pub fn put_claimed_record(&self, keys: &[Key], record: &Record) -> Result<()> {
        // Those whose layer is gone don't count, and are removed by this.
        for key in keys {
            self.record(key)?;
        }
        if let Some(layer) = &record.layer {
            self.hold_layer(layer)?;
        }
        let _gc = self.gc_shared()?;
        self.inner.db.write("store record", |tx| {
            if let Some(layer) = &record.layer {
                require_layer(tx, layer)?;
            }
            let free = without_own(tx, keys).doing("store record")?;
            if free.is_empty() { Ok(()) } else { insert_record(tx, &free, record).doing("store record") }
        })
    }

    /// All keys of the record with this key.
    pub fn record_keys(&self, key: &Key) -> Result<Vec<Key>> {
        let sql = "SELECT other.key FROM record_keys k JOIN record_keys other ON other.record = k.record
            WHERE k.key = ?1 ORDER BY other.key";
        self.inner.db.read("look up record", |db| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([key.0.as_slice()], |row| row.get(0).map(Key))?;
            rows.collect()
        })
    }

    /// Whether a layer is the result of a step, as far as records say.
    pub fn has_results(&self, layer: &LayerId) -> Result<bool> {
        self.inner.db.read("look up records", |db| {
            db.prepare_cached("SELECT 1 FROM records WHERE layer = ?1")?.exists([layer.as_str()])
        })
    }

    /// Removes all records that this remote cache vouches for. Returns how many.
    pub(crate) fn forget_vouched(&self, name: &str) -> Result<usize> {
        let sql = "DELETE FROM records
            WHERE instr(char(10) || vouchers || char(10), char(10) || ?1 || char(10)) > 0";
        self.inner.db.write("forget results", |tx| tx.execute(sql, [name]).doing("forget results"))
    }

    /// Removes all records of a layer, and what is noted of where its table of contents is. Returns how many records.
    pub fn forget_results(&self, layer: &LayerId) -> Result<usize> {
        self.forget_toc_source(layer)?;
        self.inner.db.write("forget results", |tx| {
            tx.execute("DELETE FROM records WHERE layer = ?1", [layer.as_str()]).doing("forget results")
        })
    }

    /// A small fact, such as what a tag resolved to or what was pushed where.
    pub fn get_meta(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT value FROM meta WHERE namespace = ?1 AND key = ?2";
        self.inner.db.read("look up a fact", |db| {
            db.prepare_cached(sql)?.query_row([namespace, key], |row| row.get(0)).optional()
        })
    }

    /// Notes a small fact.
    pub fn put_meta(&self, namespace: &str, key: &str, value: &[u8]) -> Result<()> {
        let now = self.now();
        self.inner
            .db
            .write("note a fact", |tx| put_fact(tx, (namespace, key, value), now).doing("note a fact"))
    }

    /// Forgets a small fact.
    pub fn remove_meta(&self, namespace: &str, key: &str) -> Result<()> {
        let sql = "DELETE FROM meta WHERE namespace = ?1 AND key = ?2";
        self.inner
            .db
            .write("forget a fact", |tx| tx.execute(sql, [namespace, key]).map(drop).doing("forget a fact"))
    }
}

pub(crate) fn put_fact(
    tx: &Transaction<'_>,
    (namespace, key, value): (&str, &str, &[u8]),
    now: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO meta(namespace, key, value, updated) VALUES(?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET value = excluded.value, updated = excluded.updated";
    tx.prepare_cached(sql)?.execute((namespace, key, value, now)).map(drop)
}

/// Those of the keys that have no record which counts for everybody.
fn without_own(tx: &Transaction<'_>, keys: &[Key]) -> rusqlite::Result<Vec<Key>> {
    let sql =
        "SELECT 1 FROM record_keys k JOIN records r ON r.id = k.record WHERE k.key = ?1 AND r.vouchers = ''";
    let mut statement = tx.prepare_cached(sql)?;
    let mut free = Vec::with_capacity(keys.len());
    for key in keys {
        if !statement.exists([key.0.as_slice()])? {
            free.push(*key);
        }
    }
    Ok(free)
}

fn insert_record(tx: &Transaction<'_>, keys: &[Key], record: &Record) -> rusqlite::Result<()> {
    let sql = "INSERT INTO records(layer, content, created, description, inputs, duration_ms, vouchers)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.prepare_cached(sql)?.execute((
        record.layer.as_ref().map(LayerId::as_str),
        record.content.map(|c| c.0),
        record.created,
        &record.description,
        &record.inputs_json,
        record.duration_ms,
        record.vouchers.to_text(),
    ))?;
    let row = tx.last_insert_rowid();
    for key in keys {
        let old_sql = "SELECT record FROM record_keys WHERE key = ?1";
        let old: Option<i64> =
            tx.prepare_cached(old_sql)?.query_row([key.0.as_slice()], |r| r.get(0)).optional()?;
        let set = "INSERT INTO record_keys(key, record) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET record = excluded.record";
        tx.prepare_cached(set)?.execute((key.0.as_slice(), row))?;
        if let Some(old) = old {
            let sql = "DELETE FROM records WHERE id = ?1
                AND NOT EXISTS(SELECT 1 FROM record_keys WHERE record = ?1)";
            tx.prepare_cached(sql)?.execute([old])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CacheError;
    use crate::testing::{folder_layer, test_store};

    #[test]
    fn found_by_each_key_and_replaced() {
        let (_dir, store) = test_store();
        let (a, b, c) = (Key([1; 32]), Key([2; 32]), Key([3; 32]));
        let layer = folder_layer(&store, 0);
        let first = Record {
            layer: Some(layer),
            content: Some(ContentDigest([9; 32])),
            created: 5,
            description: "RUN x".into(),
            inputs_json: "{}".into(),
            duration_ms: 7,
            vouchers: Vouchers::one("h/a:b"),
        };
        store.put_record(&[a, b], &first).unwrap();
        assert_eq!(store.record(&a).unwrap().as_ref(), Some(&first));
        assert_eq!(store.record(&b).unwrap().as_ref(), Some(&first));
        let second = Record { description: "RUN y".into(), ..Record::default() };
        store.put_record(&[b, c], &second).unwrap();
        assert_eq!(store.record(&a).unwrap(), Some(first.clone()));
        assert_eq!(store.record(&b).unwrap().as_ref(), Some(&second));
        store.put_record_with(&[a], &second, &[("hint", "x".into())]).unwrap();
        assert_eq!(store.get_meta("hint", "x").unwrap().as_deref(), Some(&a.0[..]));
        assert_eq!(store.record(&a).unwrap().as_ref(), Some(&second));
    }

    #[test]
    fn a_claim_replaces_only_claims() {
        let (_dir, store) = test_store();
        let (a, b, c) = (Key([1; 32]), Key([2; 32]), Key([3; 32]));
        let own = Record { description: "own".into(), ..Record::default() };
        let claimed = |name: &str| Record { vouchers: Vouchers::one(name), ..Record::default() };
        store.put_record(&[a], &own).unwrap();
        store.put_claimed_record(&[a, b], &claimed("x")).unwrap();
        store.put_claimed_record(&[a, b, c], &claimed("y")).unwrap();
        assert_eq!(store.record(&a).unwrap(), Some(own));
        for key in [b, c] {
            assert_eq!(store.record(&key).unwrap(), Some(claimed("y")));
        }
    }

    #[test]
    fn a_record_without_its_layer_is_a_miss() {
        let (_dir, store) = test_store();
        let layer = folder_layer(&store, 0);
        let record = Record { layer: Some(layer.clone()), ..Record::default() };
        store.put_record(&[Key([1; 32])], &record).unwrap();
        std::fs::remove_dir_all(store.layer(&layer).unwrap().unwrap().folder.unwrap()).unwrap();
        assert_eq!(store.record(&Key([1; 32])).unwrap(), None);
        let unknown = Record { layer: Some("0".repeat(32).parse().unwrap()), ..Record::default() };
        assert!(matches!(store.put_record(&[Key([2; 32])], &unknown), Err(CacheError::LayerMissing { .. })));
    }

    #[test]
    fn facts() {
        let (_dir, store) = test_store();
        assert_eq!(store.get_meta("tag", "a").unwrap(), None);
        store.put_meta("tag", "a", b"1").unwrap();
        store.put_meta("tag", "a", b"2").unwrap();
        store.put_meta("pushed", "a", b"3").unwrap();
        assert_eq!(store.get_meta("tag", "a").unwrap().unwrap(), b"2");
        store.remove_meta("tag", "a").unwrap();
        assert_eq!(store.get_meta("tag", "a").unwrap(), None);
        assert_eq!(store.get_meta("pushed", "a").unwrap().unwrap(), b"3");
    }
}
