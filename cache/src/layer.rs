//! Layers: what is known of each and in which forms it is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::image::Digest;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use crate::error::DbContext;
use crate::files::random_name;
use crate::origin::{Origin, insert_origin, load_origins};
use crate::{CacheError, Result, Store};

/// Names a layer in this store: random, stable for the layer's life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(String);

impl LayerId {
    /// The text: 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new one.
    pub(crate) fn random() -> Result<Self> {
        random_name().map(Self)
    }
}

impl std::fmt::Display for LayerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for LayerId {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<Self> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CacheError::BadLayerId { text: text.chars().take(64).collect() })
        }
    }
}

/// Annotation, kept in the database only, that holds a blob's other places.
const URLS: &str = "garboard.urls";

/// One compressed form of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// Such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub media_type: String,
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// The descriptor's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The descriptor's other places to get the bytes from, of layers that registries need not have.
    pub urls: Vec<String>,
    /// Whether the bytes are in the store. Ignored when given to the store.
    pub present: bool,
}

/// What is known of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name in this store.
    pub id: LayerId,
    /// Digest of its uncompressed tar, if it is known.
    pub diff_id: Option<Digest>,
    /// Its folder in overlay form, if it has one that can be trusted.
    pub folder: Option<PathBuf>,
    /// The folder that lies under it: what `folder` lacks of the layer. Pruning leaves it there.
    pub folder_under: Option<PathBuf>,
    /// Whether a table of contents was stored.
    pub has_toc: bool,
    /// Its compressed forms, in the store or not, by digest.
    pub blobs: Vec<LayerBlob>,
    /// Where its blobs may be fetched from.
    pub origins: Vec<Origin>,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// Bytes of the folder and the table of contents on disk, without the blobs.
    pub size: u64,
    /// Whether it changes nothing, so that no form of it is needed.
    pub(crate) is_empty: bool,
}

impl LayerInfo {
    /// Whether its files can be had in some way.
    pub(crate) fn is_usable(&self) -> bool {
        self.is_empty
            || self.folder.is_some()
            || !self.origins.is_empty()
            || self.blobs.iter().any(|blob| blob.present)
    }
}

impl Store {
    /// What is known of a layer; `None` if it isn't in the store or no usable form of it is left. Every open lease
    /// then holds the layer.
    pub fn layer(&self, id: &LayerId) -> Result<Option<LayerInfo>> {
        self.hold_layer(id)?;
        self.peek_layer(id)
    }

    /// As [`Self::layer`], without holding it.
    pub(crate) fn peek_layer(&self, id: &LayerId) -> Result<Option<LayerInfo>> {
        let info = self.inner.db.read("look up layer", |db| self.load_layer(db, id))?;
        Ok(info.filter(LayerInfo::is_usable))
    }

    /// The layer with this uncompressed digest; of several, one with a folder, else the oldest. Every open lease then
    /// holds it.
    pub fn find_layer_by_diff_id(&self, diff_id: &Digest) -> Result<Option<LayerId>> {
        self.find_layer("SELECT id FROM layers WHERE diff_id = ?1 ORDER BY created, id", diff_id)
    }

    /// The layer of which one compressed form has this digest. Every open lease then holds it.
    pub fn find_layer_by_blob(&self, digest: &Digest) -> Result<Option<LayerId>> {
        self.find_layer("SELECT layer FROM layer_blobs WHERE digest = ?1 ORDER BY layer", digest)
    }

    fn find_layer(&self, sql: &str, digest: &Digest) -> Result<Option<LayerId>> {
        let ids = self.inner.db.read("look up layer by digest", |db| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([digest.as_ref()], |r| layer_id(r, 0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut best = None;
        for id in ids {
            match self.layer(&id)? {
                Some(info) if info.folder.is_some() => return Ok(Some(id)),
                Some(_) if best.is_none() => best = Some(id),
                _ => {}
            }
        }
        Ok(best)
    }

    /// Notes a layer that a registry has, without fetching it. That the blob has this diff ID is only claimed: it gives
    /// the layer that has this very blob under this diff ID, to which the origin is added, else a new one.
    pub fn add_remote_layer(&self, diff_id: &Digest, blob: &LayerBlob, origin: &Origin) -> Result<LayerId> {
        self.add_claimed_layer(diff_id, blob, Some(origin))
    }

    /// As [`Self::add_remote_layer`], for a layer of an image from elsewhere of which the blob is in the store.
    pub fn add_foreign_layer(&self, diff_id: &Digest, blob: &LayerBlob) -> Result<LayerId> {
        self.add_claimed_layer(diff_id, blob, None)
    }

    fn add_claimed_layer(
        &self,
        diff_id: &Digest,
        blob: &LayerBlob,
        origin: Option<&Origin>,
    ) -> Result<LayerId> {
        let new = LayerId::random()?;
        let now = self.now();
        // Only we say what we made.
        let blob = &LayerBlob { annotations: public(blob.annotations.clone()), ..blob.clone() };
        let _gc = self.gc_shared()?;
        let id = self.inner.db.write("add remote layer", |tx| {
            let known = same_claim(tx, diff_id, blob).doing("add remote layer")?;
            if known.is_none() {
                insert_layer(tx, &new, Some(diff_id), now, now).doing("add remote layer")?;
            }
            let id = known.unwrap_or(new);
            insert_blob(tx, &id, blob, false).doing("add remote layer")?;
            if let Some(origin) = origin {
                insert_origin(tx, &id, origin).doing("add remote layer")?;
            }
            Ok(id)
        })?;
        // Still under the lock: nothing is pruned before it is held.
        self.hold_layer(&id)?;
        Ok(id)
    }

    /// Gives a layer one more compressed form, which the caller made of its content.
    pub fn attach_blob(&self, id: &LayerId, blob: &LayerBlob) -> Result<()> {
        self.change_layer(id, "attach blob", |tx| insert_blob(tx, id, blob, true))
    }

    /// Notes that a blob of a layer, unpacked, was found to have the layer's diff ID.
    pub fn set_verified(&self, id: &LayerId, digest: &Digest) -> Result<()> {
        self.change_layer(id, "note a verified blob", |tx| {
            let sql = "UPDATE layer_blobs SET verified = 1 WHERE layer = ?1 AND digest = ?2";
            tx.prepare_cached(sql)?.execute((id.as_str(), digest.as_ref())).map(drop)
        })
    }

    /// Gives a layer one more place to fetch from.
    pub fn attach_origin(&self, id: &LayerId, origin: &Origin) -> Result<()> {
        self.change_layer(id, "attach origin", |tx| insert_origin(tx, id, origin))
    }

    /// Notes the uncompressed digest of a layer that had none.
    pub fn set_diff_id(&self, id: &LayerId, diff_id: &Digest) -> Result<()> {
        self.change_layer(id, "set the diff ID of a layer", |tx| {
            let sql = "UPDATE layers SET diff_id = ?2 WHERE id = ?1";
            tx.prepare_cached(sql)?.execute((id.as_str(), diff_id.as_ref())).map(drop)
        })
    }

    /// Changes something about a layer, which must be there.
    pub(crate) fn change_layer(
        &self,
        id: &LayerId,
        action: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.hold_layer(id)?;
        let _gc = self.gc_shared()?;
        self.inner.db.write(action, |tx| {
            require_layer(tx, id)?;
            change(tx).doing(action)
        })
    }

    /// Reads a layer's rows and looks which of its forms are there.
    pub(crate) fn load_layer(&self, db: &Connection, id: &LayerId) -> rusqlite::Result<Option<LayerInfo>> {
        let sql = "SELECT l.diff_id, l.has_toc, l.toc_size, l.is_empty, l.folder_boot, l.folder_size, l.created,
            l.rests_on, under.folder_boot FROM layers l LEFT JOIN layers under ON under.id = l.rests_on WHERE l.id = ?1";
        let folder_of = |row: &Row<'_>, boot: usize, id: &LayerId| -> rusqlite::Result<Option<PathBuf>> {
            let trusted = row.get::<_, Option<String>>(boot)?.is_some_and(|boot| self.is_trusted(&boot));
            Ok(trusted.then(|| self.inner.layout.layer_fs(id)).filter(|path| path.is_dir()))
        };
        let read = |row: &Row<'_>| {
            let rests = row.get::<_, Option<String>>(7)?.is_some();
            let under = if rests { folder_of(row, 8, &layer_id(row, 7)?)? } else { None };
            // Without the one that it rests on a folder is nothing.
            let folder = folder_of(row, 4, id)?.filter(|_| under.is_some() || !rests);
            let folder_size: u64 = if folder.is_some() { row.get(5)? } else { 0 };
            Ok(LayerInfo {
                id: id.clone(),
                diff_id: optional_digest(row, 0)?,
                folder_under: under.filter(|_| folder.is_some()),
                folder,
                has_toc: row.get(1)?,
                blobs: Vec::new(),
                origins: Vec::new(),
                created: row.get(6)?,
                size: folder_size + row.get::<_, u64>(2)?,
                is_empty: row.get(3)?,
            })
        };
        let Some(mut info) = db.prepare_cached(sql)?.query_row([id.as_str()], read).optional()? else {
            return Ok(None);
        };
        info.blobs = self.load_blobs(db, id)?;
        info.origins = load_origins(db, id)?;
        Ok(Some(info))
    }

    /// Whether a folder written in that boot (empty: synced) is whole.
    pub(crate) fn is_trusted(&self, boot: &str) -> bool {
        boot.is_empty() || self.inner.layout.boot() == Some(boot)
    }

    fn load_blobs(&self, db: &Connection, id: &LayerId) -> rusqlite::Result<Vec<LayerBlob>> {
        let sql =
            "SELECT digest, media_type, size, annotations FROM layer_blobs WHERE layer = ?1 ORDER BY digest";
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map([id.as_str()], |row| {
            let (digest, size) = (digest(row, 0)?, row.get(2)?);
            let present = self.find_blob(&digest).is_some_and(|(_, meta)| meta.len() == size);
            let (annotations, urls) = noted(&row.get::<_, String>(3)?);
            Ok(LayerBlob { media_type: row.get(1)?, digest, size, annotations, urls, present })
        })?;
        rows.collect()
    }
}

/// A column with a digest. One that is none is a damaged database.
pub(crate) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    parsed(row, column)
}

/// A column with a layer id.
pub(crate) fn layer_id(row: &Row<'_>, column: usize) -> rusqlite::Result<LayerId> {
    parsed(row, column)
}

fn optional_digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Digest>> {
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
        Ok(None)
    } else {
        digest(row, column).map(Some)
    }
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(e))
    })
}

/// Fails if there is no such layer.
pub(crate) fn require_layer(db: &Connection, id: &LayerId) -> Result<()> {
    let sql = "SELECT 1 FROM layers WHERE id = ?1";
    let found = db.prepare_cached(sql).and_then(|mut s| s.exists([id.as_str()])).doing("look up layer")?;
    if found { Ok(()) } else { Err(CacheError::LayerMissing { id: id.to_string() }) }
}

/// The oldest layer that is known to have this uncompressed digest: a folder or a verified blob says so. An image's
/// config may claim any.
pub(crate) fn same_diff_id(db: &Connection, diff_id: &Digest) -> rusqlite::Result<Option<LayerId>> {
    let sql = "SELECT id FROM layers WHERE diff_id = ?1 AND (folder_boot IS NOT NULL OR is_empty = 1
        OR EXISTS (SELECT 1 FROM layer_blobs WHERE layer = id AND verified = 1)) ORDER BY created, id LIMIT 1";
    db.prepare_cached(sql)?.query_row([diff_id.as_ref()], |r| layer_id(r, 0)).optional()
}

/// The layer of which an image says the same as of this one: diff ID, and all about the blob. One whose blob is
/// verified is preferred.
fn same_claim(db: &Connection, diff_id: &Digest, blob: &LayerBlob) -> rusqlite::Result<Option<LayerId>> {
    let sql = "SELECT id, annotations FROM layers JOIN layer_blobs ON layer = id
        WHERE diff_id = ?1 AND digest = ?2 AND media_type = ?3 AND size = ?4 ORDER BY verified DESC, created, id";
    let mut statement = db.prepare_cached(sql)?;
    let row = (diff_id.as_ref(), blob.digest.as_ref(), &blob.media_type, blob.size);
    let rows = statement.query_map(row, |r| Ok((layer_id(r, 0)?, r.get::<_, String>(1)?)))?;
    for row in rows {
        let (id, annotations) = row?;
        // Else somebody who doesn't even have the bytes could change what is exported with them.
        let (annotations, urls) = noted(&annotations);
        if public(annotations) == blob.annotations && urls == blob.urls {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Annotations without our own notes.
fn public(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|key, _| !key.starts_with("garboard."));
    annotations
}

/// Annotations and other places, from the column that holds both.
fn noted(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let mut annotations: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
    let urls = annotations.remove(URLS).and_then(|urls| serde_json::from_str(&urls).ok());
    (annotations, urls.unwrap_or_default())
}

/// A layer without any form yet.
pub(crate) fn insert_layer(
    tx: &Connection,
    id: &LayerId,
    diff_id: Option<&Digest>,
    created: i64,
    now: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO layers(id, diff_id, has_toc, toc_size, is_empty, folder_size, created, last_used)
        VALUES(?1, ?2, 0, 0, 0, 0, ?3, ?4)";
    tx.prepare_cached(sql)?.execute((id.as_str(), diff_id.map(AsRef::as_ref), created, now)).map(drop)
}

/// A compressed form of a layer; `verified` if its content is known to have the layer's diff ID.
pub(crate) fn insert_blob(
    tx: &Connection,
    id: &LayerId,
    blob: &LayerBlob,
    verified: bool,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO layer_blobs(layer, digest, media_type, size, annotations, verified)
        VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET media_type = excluded.media_type,
        size = excluded.size, annotations = excluded.annotations, verified = max(verified, excluded.verified)";
    let mut annotations = blob.annotations.clone();
    if !blob.urls.is_empty() {
        annotations.insert(URLS.to_owned(), serde_json::Value::from_iter(blob.urls.clone()).to_string());
    }
    let annotations = serde_json::Value::from_iter(annotations).to_string();
    let row = (id.as_str(), blob.digest.as_ref(), &blob.media_type, blob.size, annotations, verified);
    tx.prepare_cached(sql)?.execute(row).map(drop)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use garboard_layer::{ContentDigest, Entry, EntryKind, Mtime, Toc};

    use super::*;
    use crate::testing::{TestClock, folder_layer, layer_blob, open_at, test_store};
    use crate::{NewLayer, Place};

    fn some_digest(digit: char) -> Digest {
        format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    fn origin(digest: &Digest) -> Origin {
        Origin { place: Place::registry("r.example:5000", "a/b"), digest: digest.clone() }
    }

    fn remote_blob(digest: &Digest) -> LayerBlob {
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".into();
        LayerBlob {
            media_type,
            digest: digest.clone(),
            size: 5,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            present: false,
        }
    }

    fn toc() -> Arc<Toc> {
        toc_of(1)
    }

    fn toc_of(entries: u32) -> Arc<Toc> {
        let entry = |n: u32| Entry {
            path: format!("f{n}").into_bytes(),
            kind: EntryKind::File { size: 5000, digest: ContentDigest([1; 32]) },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: BTreeMap::new(),
        };
        Arc::new(Toc::new((0..entries).map(entry).collect()))
    }

    #[test]
    fn all_forms_of_a_new_layer() {
        let (_dir, store) = test_store();
        let staging = store.staging().unwrap();
        std::fs::write(staging.fs().join("f"), vec![b'x'; 5000]).unwrap();
        std::fs::create_dir(staging.work().join("work")).unwrap();
        let blob = layer_blob(&store, b"tar");
        let new = NewLayer {
            toc: Some(toc()),
            diff_id: Some(some_digest('1')),
            blob: Some(blob.clone()),
            keep_folder: true,
            rests_on: None,
            created: Some(7),
        };
        let id = staging.commit(new).unwrap();
        let info = store.layer(&id).unwrap().unwrap();
        let folder = info.folder.clone().unwrap();
        assert_eq!(std::fs::read(folder.join("f")).unwrap().len(), 5000);
        assert!(!folder.parent().unwrap().join("work").exists());
        assert_eq!((info.created, info.has_toc, &info.blobs), (7, true, &vec![blob]));
        assert!(info.size > 8192 && info.size < 9000, "{}", info.size);
        assert_eq!(store.find_layer_by_diff_id(&some_digest('1')).unwrap(), Some(id.clone()));
        assert_eq!(store.find_layer_by_blob(&info.blobs[0].digest).unwrap(), Some(id.clone()));
        assert_eq!(store.toc(&id).unwrap(), Some(toc()));
        store.inner.tocs.forget();
        assert_eq!(store.toc(&id).unwrap(), Some(toc()));
    }

    #[test]
    fn the_same_content_is_one_layer() {
        let (_dir, store) = test_store();
        let diff_id = some_digest('1');
        let remote = some_digest('2');
        let id = store.add_remote_layer(&diff_id, &remote_blob(&remote), &origin(&remote)).unwrap();
        assert_eq!(store.add_remote_layer(&diff_id, &remote_blob(&remote), &origin(&remote)).unwrap(), id);
        store.set_verified(&id, &remote).unwrap();
        assert_eq!(store.layer(&id).unwrap().unwrap().folder, None);
        for _ in 0..2 {
            let staging = store.staging().unwrap();
            let new = NewLayer {
                toc: Some(toc()),
                diff_id: Some(diff_id.clone()),
                blob: Some(layer_blob(&store, b"x")),
                keep_folder: true,
                rests_on: None,
                created: None,
            };
            assert_eq!(staging.commit(new).unwrap(), id);
        }
        let info = store.layer(&id).unwrap().unwrap();
        assert!(info.folder.is_some() && info.has_toc);
        assert_eq!((info.blobs.len(), info.origins.len()), (2, 1));
        assert_eq!(info.blobs.iter().filter(|b| b.present).count(), 1);
    }

    #[test]
    fn a_claimed_diff_id_gives_no_other_layer_away() {
        // The attacker's blob sorts before the victim's, and is seen before it, after it, or after it was unpacked.
        for (attacked_first, verified) in [(true, false), (false, false), (false, true)] {
            let (_dir, store) = test_store();
            let (diff_id, good, bad) = (some_digest('1'), some_digest('f'), some_digest('0'));
            let add = |d: &Digest| store.add_remote_layer(&diff_id, &remote_blob(d), &origin(d)).unwrap();
            let early = attacked_first.then(|| add(&bad));
            let victim = add(&good);
            if verified {
                store.set_verified(&victim, &good).unwrap();
                store.attach_folder(&victim, store.staging().unwrap()).unwrap();
            }
            let attacker = early.unwrap_or_else(|| add(&bad));
            assert_ne!(attacker, victim);
            assert_eq!((add(&bad), add(&good)), (attacker.clone(), victim.clone()));
            let blobs = |id: &LayerId| {
                let info = store.layer(id).unwrap().unwrap();
                let origins = info.origins.into_iter().map(|o| o.digest).collect::<Vec<_>>();
                (info.blobs.into_iter().map(|b| b.digest).collect::<Vec<_>>(), origins, info.folder.is_some())
            };
            assert_eq!(blobs(&victim), (vec![good.clone()], vec![good.clone()], verified));
            assert_eq!(blobs(&attacker), (vec![bad.clone()], vec![bad.clone()], false));
        }
    }

    #[test]
    fn what_is_made_here_joins_nothing_that_is_only_claimed() {
        let (_dir, store) = test_store();
        let diff_id = some_digest('1');
        let bad = layer_blob(&store, b"attacker");
        let claimed = store.add_foreign_layer(&diff_id, &bad).unwrap();
        let good = layer_blob(&store, b"made here");
        let new =
            NewLayer { diff_id: Some(diff_id.clone()), blob: Some(good.clone()), ..NewLayer::default() };
        let made = store.add_layer(new.clone()).unwrap();
        assert_ne!(made, claimed);
        assert_eq!(store.add_foreign_layer(&diff_id, &bad).unwrap(), claimed);
        assert_eq!(store.add_layer(new).unwrap(), made);
        assert_eq!(store.add_foreign_layer(&diff_id, &good).unwrap(), made);
        assert_eq!(store.layer(&made).unwrap().unwrap().blobs, std::slice::from_ref(&good));
        // Another description of the same bytes changes nothing about the layer.
        let mut other = good.clone();
        other.media_type = "application/vnd.oci.image.layer.v1.tar+zstd".into();
        assert_ne!(store.add_foreign_layer(&diff_id, &other).unwrap(), made);
        other = good.clone();
        other.annotations.insert("x".into(), "y".into());
        assert_ne!(store.add_foreign_layer(&diff_id, &other).unwrap(), made);
        assert_eq!(store.layer(&made).unwrap().unwrap().blobs, [good]);
    }

    #[test]
    fn forms_come_one_by_one() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
        let store = open_at(&dir.path().join("s"), "boot", &clock);
        let remote = some_digest('2');
        let id = store.add_remote_layer(&some_digest('1'), &remote_blob(&remote), &origin(&remote)).unwrap();
        clock.set(1);
        store.attach_toc(&id, toc()).unwrap();
        let staging = store.staging().unwrap();
        std::fs::write(staging.fs().join("f"), "x").unwrap();
        store.attach_folder(&id, staging).unwrap();
        store.attach_folder(&id, store.staging().unwrap()).unwrap();
        store.attach_blob(&id, &layer_blob(&store, b"y")).unwrap();
        store.attach_origin(&id, &origin(&some_digest('3'))).unwrap();
        let info = store.layer(&id).unwrap().unwrap();
        assert!(info.folder.unwrap().join("f").exists(), "the first folder stays");
        assert_eq!((info.blobs.len(), info.origins.len(), info.has_toc), (2, 2, true));
        let late = folder_layer(&store, 1);
        store.set_diff_id(&late, &some_digest('1')).unwrap();
        assert_eq!(store.find_layer_by_diff_id(&some_digest('1')).unwrap(), Some(id));
    }

    #[test]
    fn unused_folders_are_used_again() {
        let (_dir, store) = test_store();
        let first = store.staging().unwrap();
        let (fs, work) = (first.fs().to_owned(), first.work().to_owned());
        std::fs::create_dir(work.join("work")).unwrap();
        drop(first);
        let second = store.staging().unwrap();
        assert_eq!((second.fs(), second.work()), (&*fs, &*work));
        assert!(!work.join("work").exists());
        let changes: [fn(&Path); 2] = [
            |fs| std::fs::write(fs.join("f"), "x").unwrap(),
            |fs| std::fs::set_permissions(fs, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap(),
        ];
        drop(second);
        for change in changes {
            let used = store.staging().unwrap();
            let before = used.fs().to_owned();
            change(&before);
            drop(used);
            assert_ne!(store.staging().unwrap().fs(), before);
        }
    }

    #[test]
    fn a_layer_needs_a_form() {
        let (_dir, store) = test_store();
        let nothing = NewLayer { toc: Some(toc()), ..NewLayer::default() };
        assert!(matches!(store.add_layer(nothing.clone()), Err(CacheError::NothingToKeep)));
        assert!(matches!(store.staging().unwrap().commit(nothing), Err(CacheError::NothingToKeep)));
        let empty = NewLayer { toc: Some(Arc::new(Toc::default())), ..NewLayer::default() };
        let id = store.add_layer(empty).unwrap();
        assert!(store.layer(&id).unwrap().is_some());
        let unknown: LayerId = "0".repeat(32).parse().unwrap();
        assert!(store.layer(&unknown).unwrap().is_none());
        let error = store.attach_blob(&unknown, &layer_blob(&store, b"x"));
        assert!(matches!(error, Err(CacheError::LayerMissing { .. })));
        assert!("../../etc".parse::<LayerId>().is_err());
    }

    #[test]
    fn an_unsynced_folder_is_not_trusted_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (root, clock) = (dir.path().join("s"), TestClock::default());
        let first = open_at(&root, "one", &clock);
        let synced = folder_layer(&first, 10);
        first.flush().unwrap();
        let (unsynced, both) = (folder_layer(&first, 10), folder_layer(&first, 10));
        let remote = some_digest('2');
        first.attach_origin(&both, &origin(&remote)).unwrap();
        drop(first);
        let second = open_at(&root, "two", &clock);
        assert!(second.layer(&synced).unwrap().unwrap().folder.is_some());
        assert!(second.layer(&unsynced).unwrap().is_none());
        assert!(second.layer(&both).unwrap().unwrap().folder.is_none());
        let staging = second.staging().unwrap();
        std::fs::write(staging.fs().join("new"), "x").unwrap();
        second.attach_folder(&both, staging).unwrap();
        assert!(second.layer(&both).unwrap().unwrap().folder.unwrap().join("new").exists());
        assert_eq!(second.fsck().unwrap(), []);
    }

    #[test]
    fn a_table_of_contents_that_was_half_written_is_in_nobodys_way() {
        let (_dir, store) = test_store();
        let id = folder_layer(&store, 1);
        store.set_diff_id(&id, &some_digest('1')).unwrap();
        std::fs::write(store.inner.layout.layer_toc(&id).with_extension("new"), "GBT").unwrap();
        let new = NewLayer {
            toc: Some(toc_of(1000)),
            diff_id: Some(some_digest('1')),
            blob: Some(layer_blob(&store, b"x")),
            ..NewLayer::default()
        };
        assert_eq!(store.add_layer(new).unwrap(), id);
        store.inner.tocs.forget();
        assert_eq!(store.toc(&id).unwrap(), Some(toc_of(1000)));
    }

    #[test]
    fn a_damaged_table_of_contents_is_none() {
        let (_dir, store) = test_store();
        let id = folder_layer(&store, 1);
        let big = toc_of(1000);
        store.attach_toc(&id, Arc::clone(&big)).unwrap();
        store.inner.tocs.forget();
        assert_eq!(store.toc(&id).unwrap(), Some(big));
        std::fs::write(store.inner.layout.layer_toc(&id), "GBTOC").unwrap();
        store.inner.tocs.forget();
        assert_eq!(store.toc(&id).unwrap(), None);
        let problems = store.fsck().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
