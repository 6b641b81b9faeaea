//! What takes up the disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use oci_spec::image::Digest;

use crate::error::IoContext;
use crate::files::{exists, names_in, read_if_there};
use crate::layer::{digest, layer_id};
use crate::lease::Held;
use crate::process::GcLock;
use crate::{LayerId, Result, Store};

/// What a [`UsageItem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// A layer in all its forms (`regular` in BuildKit's words).
    Layer,
    /// A blob that belongs to no layer: a manifest, a config, a fetched file.
    Blob,
    /// A cache mount (`exec.cachemount`).
    CacheMount,
    /// Caches of our own that only save time: digests of context files, compressed blocks (`internal`).
    Internal,
}

/// One thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageItem {
    /// What it is.
    pub kind: UsageKind,
    /// Layer id, digest, `HASH/N` of the cache mount, or `blocks` or `stat/HASH`.
    pub id: String,
    /// Bytes on disk.
    pub size: u64,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970.
    pub last_used: i64,
    /// For people: the instruction that made it, the cache mount's id.
    pub description: String,
    /// Whether a running build or a named image needs it.
    pub in_use: bool,
    /// Names of the images that need it.
    pub images: Vec<String>,
    /// How long the step took that made it, in milliseconds, where that is known.
    pub duration_ms: Option<u64>,
    /// Id of the layer that this one's folder rests on.
    pub parent: Option<String>,
}

impl UsageItem {
    /// Whether a named image needs it.
    pub fn is_shared(&self) -> bool {
        !self.images.is_empty()
    }

    /// Whether it still changes.
    pub fn is_mutable(&self) -> bool {
        matches!(self.kind, UsageKind::CacheMount | UsageKind::Internal)
    }
}

/// A usage item with what pruning must know of it.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) item: UsageItem,
    /// Whether a running build needs it.
    pub(crate) held: bool,
    /// The layer whose folder lies under this one's.
    pub(crate) rests_on: Option<String>,
}

impl Counted {
    /// Something that nothing rests on, nor it on anything.
    fn single(item: UsageItem, held: bool) -> Self {
        Self { item, held, rests_on: None }
    }
}

/// Everything in the store at one moment.
#[derive(Debug)]
pub(crate) struct Census {
    pub(crate) counted: Vec<Counted>,
    /// Blobs of each layer.
    pub(crate) layer_blobs: HashMap<LayerId, Vec<Digest>>,
    /// Blobs that running builds or named images need.
    pub(crate) needed_blobs: HashSet<Digest>,
}

/// A blob's file.
struct BlobFile {
    size: u64,
    created: i64,
    last_used: i64,
}

/// A layer's row.
struct LayerRow {
    id: LayerId,
    size: u64,
    created: i64,
    last_used: i64,
    rests_on: Option<String>,
    description: String,
    duration_ms: u64,
}

impl Store {
    /// Everything in the store, the least recently used first.
    pub fn usage(&self) -> Result<Vec<UsageItem>> {
        self.measure_mounts()?;
        let gc = GcLock::exclusive(&self.inner.layout)?;
        self.move_stamps_back(&gc)?;
        Ok(self.census()?.counted.into_iter().map(|c| c.item).collect())
    }

    /// For a holder of the exclusive `gc` lock.
    pub(crate) fn census(&self) -> Result<Census> {
        let held = self.held_by_all()?;
        let named = self.blobs_of_images()?;
        let files = self.blob_files()?;
        let layer_blobs = self.all_layer_blobs()?;
        let mut needed: HashSet<Digest> = named.keys().cloned().collect();
        needed.extend(held.iter().filter_map(|h| if let Held::Blob(d) = h { Some(d.clone()) } else { None }));
        let mut counted = Vec::new();
        let mut owned = HashSet::new();
        for row in self.layer_rows()? {
            let blobs = layer_blobs.get(&row.id).map_or(&[][..], Vec::as_slice);
            let is_held = held.contains(&Held::Layer(row.id.clone()));
            if is_held {
                needed.extend(blobs.iter().cloned());
            }
            let images = images_of(&named, blobs);
            // A blob that two layers have is counted once.
            let own =
                blobs.iter().filter(|b| owned.insert((*b).clone())).filter_map(|b| files.get(b.digest()));
            let size = row.size + own.map(|f| f.size).sum::<u64>();
            let rests_on = row.rests_on.clone();
            let item = layer_item(row, size, is_held, images);
            counted.push(Counted { item, held: is_held, rests_on });
        }
        for (name, file) in &files {
            let digest = blob_digest(name);
            if !owned.contains(&digest) {
                let is_held = held.contains(&Held::Blob(digest.clone()));
                let images = images_of(&named, std::slice::from_ref(&digest));
                let item = blob_item(&digest, file, needed.contains(&digest), images);
                counted.push(Counted::single(item, is_held));
            }
        }
        counted.extend(self.count_mounts()?);
        counted.extend(self.count_internal()?);
        sort(&mut counted);
        Ok(Census { counted, layer_blobs, needed_blobs: needed })
    }

    /// The files of blobs that count, by the digest's hex digits.
    fn blob_files(&self) -> Result<BTreeMap<String, BlobFile>> {
        let mut files = BTreeMap::new();
        for dir in [Some(self.inner.layout.blobs()), self.inner.layout.fresh()].into_iter().flatten() {
            for name in names_in(&dir)?.into_iter().filter(|n| is_sha256_hex(n)) {
                let Ok(meta) = fs::metadata(dir.join(&name)) else { continue };
                let file = BlobFile { size: meta.len(), created: birth(&meta), last_used: meta.mtime() };
                files.insert(name, file);
            }
        }
        Ok(files)
    }

    /// Gives blobs and cache mounts another time of last use, where `change` has one. Whatever can't be changed stays.
    pub(crate) fn restamp_files(&self, change: &dyn Fn(i64) -> Option<i64>) -> Result<()> {
        let mut paths = Vec::new();
        for dir in [Some(self.inner.layout.blobs()), self.inner.layout.fresh()].into_iter().flatten() {
            paths.extend(names_in(&dir)?.into_iter().filter(|n| is_sha256_hex(n)).map(|name| dir.join(name)));
        }
        let top = self.inner.layout.cache_mounts();
        for hash in names_in(&top)? {
            paths.extend(
                names_in(&top.join(&hash))?.into_iter().map(|slot| top.join(&hash).join(slot).join("id")),
            );
        }
        for path in paths {
            let Some(time) = fs::metadata(&path).ok().and_then(|meta| change(meta.mtime())) else { continue };
            let time = rustix::fs::Timespec { tv_sec: time, tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty());
        }
        Ok(())
    }

    fn all_layer_blobs(&self) -> Result<HashMap<LayerId, Vec<Digest>>> {
        let mut blobs: HashMap<LayerId, Vec<Digest>> = HashMap::new();
        self.inner.db.read("list blobs of layers", |db| {
            let mut statement = db.prepare("SELECT layer, digest FROM layer_blobs ORDER BY layer, digest")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                blobs.entry(layer_id(row, 0)?).or_default().push(digest(row, 1)?);
            }
            Ok(())
        })?;
        Ok(blobs)
    }

    fn layer_rows(&self) -> Result<Vec<LayerRow>> {
        let sql = "SELECT l.id, l.toc_size, l.folder_boot, l.folder_size, l.created, l.last_used,
            (SELECT r.description FROM records r WHERE r.layer = l.id ORDER BY r.id DESC LIMIT 1), l.rests_on,
            (SELECT r.duration_ms FROM records r WHERE r.layer = l.id ORDER BY r.id DESC LIMIT 1)
            FROM layers l ORDER BY l.id";
        self.inner.db.read("list layers", |db| {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map([], |row| {
                let trusted = row.get::<_, Option<String>>(2)?.is_some_and(|boot| self.is_trusted(&boot));
                let folder: u64 = if trusted { row.get(3)? } else { 0 };
                Ok(LayerRow {
                    id: layer_id(row, 0)?,
                    size: row.get::<_, u64>(1)? + folder,
                    created: row.get(4)?,
                    last_used: row.get(5)?,
                    rests_on: row.get(7)?,
                    description: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
                    duration_ms: row.get::<_, Option<u64>>(8)?.unwrap_or_default(),
                })
            })?;
            rows.collect()
        })
    }

    /// Notes the sizes of cache mounts that were used since they were measured. This can take long, so it comes before
    /// the `gc` lock is taken.
    pub(crate) fn measure_mounts(&self) -> Result<()> {
        let top = self.inner.layout.cache_mounts();
        for hash in names_in(&top)? {
            for slot in names_in(&top.join(&hash))? {
                let dir = top.join(&hash).join(&slot);
                let Ok(meta) = fs::metadata(dir.join("id")) else { continue };
                if noted_size(&dir).is_none_or(|(used, _)| used != meta.mtime()) {
                    let size = tree_size(&dir.join("data"));
                    // Only an estimate is lost if this fails.
                    let _ = fs::write(dir.join("size"), format!("{} {size}", meta.mtime()));
                }
            }
        }
        Ok(())
    }

    fn count_mounts(&self) -> Result<Vec<Counted>> {
        let top = self.inner.layout.cache_mounts();
        let mut counted = Vec::new();
        for hash in names_in(&top)? {
            for slot in names_in(&top.join(&hash))? {
                let dir = top.join(&hash).join(&slot);
                let Ok(meta) = fs::metadata(dir.join("id")) else { continue };
                let id = read_if_there(&dir.join("id"))?.unwrap_or_default();
                let held = self.try_mount_lock(&hash, &slot)?.is_none();
                let item = UsageItem {
                    kind: UsageKind::CacheMount,
                    id: format!("{hash}/{slot}"),
                    size: noted_size(&dir).map_or(0, |(_, size)| size),
                    created: birth(&meta),
                    last_used: meta.mtime(),
                    description: String::from_utf8_lossy(&id).into_owned(),
                    in_use: held,
                    images: Vec::new(),
                    duration_ms: None,
                    parent: None,
                };
                counted.push(Counted::single(item, held));
            }
        }
        Ok(counted)
    }

    fn count_internal(&self) -> Result<Vec<Counted>> {
        let mut counted = Vec::new();
        let mut add = |id: String, description: &str, size, created, last_used| {
            let description = description.to_owned();
            let kind = UsageKind::Internal;
            let item = UsageItem {
                kind,
                id,
                size,
                created,
                last_used,
                description,
                in_use: false,
                images: Vec::new(),
                duration_ms: None,
                parent: None,
            };
            counted.push(Counted::single(item, false));
        };
        let blocks = self.block_totals()?;
        if blocks.size > 0 {
            add("blocks".into(), "compressed blocks", blocks.size, blocks.first_used, blocks.last_used);
        }
        let dir = self.inner.layout.stat();
        for name in names_in(&dir)? {
            let Ok(meta) = fs::metadata(dir.join(&name)) else { continue };
            let id = format!("stat/{name}");
            add(id, "digests of a build context's files", meta.len(), birth(&meta), meta.mtime());
        }
        Ok(counted)
    }
}

/// The least recently used first. A layer counts as used when one was whose folder rests on it, and comes after those.
fn sort(counted: &mut [Counted]) {
    let mut users: HashMap<String, i64> = HashMap::new();
    for Counted { item, rests_on, .. } in counted.iter() {
        if let Some(under) = rests_on {
            let used = users.entry(under.clone()).or_insert(item.last_used);
            *used = item.last_used.max(*used);
        }
    }
    for Counted { item, .. } in counted.iter_mut() {
        if let Some(used) = users.get(&item.id) {
            item.last_used = item.last_used.max(*used);
        }
    }
    let key = |c: &Counted| (c.item.last_used, users.contains_key(&c.item.id), c.item.id.clone());
    counted.sort_by_cached_key(key);
}

/// The names of the images that need any of these blobs.
fn images_of(named: &HashMap<Digest, Vec<String>>, blobs: &[Digest]) -> Vec<String> {
    let mut names: Vec<String> = blobs.iter().filter_map(|blob| named.get(blob)).flatten().cloned().collect();
    names.sort();
    names.dedup();
    names
}

fn layer_item(row: LayerRow, size: u64, is_held: bool, images: Vec<String>) -> UsageItem {
    UsageItem {
        kind: UsageKind::Layer,
        id: row.id.to_string(),
        size,
        created: row.created,
        last_used: row.last_used,
        description: row.description,
        in_use: is_held || !images.is_empty(),
        images,
        duration_ms: Some(row.duration_ms).filter(|ms| *ms > 0),
        parent: row.rests_on,
    }
}

fn blob_item(digest: &Digest, file: &BlobFile, in_use: bool, images: Vec<String>) -> UsageItem {
    UsageItem {
        kind: UsageKind::Blob,
        id: digest.to_string(),
        size: file.size,
        created: file.created,
        last_used: file.last_used,
        description: String::new(),
        in_use,
        images,
        duration_ms: None,
        parent: None,
    }
}

fn is_sha256_hex(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// For a name that [`is_sha256_hex`].
fn blob_digest(name: &str) -> Digest {
    format!("sha256:{name}").parse().expect("64 hex digits are a sha256 digest")
}

/// When a file was made; when it was last used where the file system doesn't know, or says that it was later.
fn birth(meta: &fs::Metadata) -> i64 {
    let born = meta.created().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
    born.map_or(meta.mtime(), |d| d.as_secs().cast_signed().min(meta.mtime()))
}

/// A cache mount's size as it was noted beside the folder, and the time of last use at which it was found.
pub(crate) fn noted_size(dir: &Path) -> Option<(i64, u64)> {
    let text = String::from_utf8(read_if_there(&dir.join("size")).ok()??).ok()?;
    let (used, size) = text.split_once(' ')?;
    Some((used.parse().ok()?, size.parse().ok()?))
}

/// Bytes on disk below a folder; what can't be read counts nothing.
pub(crate) fn tree_size(path: &Path) -> u64 {
    let mut todo = vec![path.to_owned()];
    let mut linked = HashSet::new();
    let mut total = 0;
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                todo.push(entry.path());
            } else if meta.nlink() > 1 && !linked.insert((meta.dev(), meta.ino())) {
                continue;
            }
            total += meta.blocks() * 512;
        }
    }
    total
}

/// Waits until all that was written to the file system is on disk. A folder that isn't there needs nothing.
pub(crate) fn sync_file_system(path: &Path) -> Result<()> {
    if !exists(path) {
        return Ok(());
    }
    let dir = fs::File::open(path).on("open folder", path)?;
    rustix::fs::syncfs(&dir).on("sync the file system of", path)
}
