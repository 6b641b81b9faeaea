//! The store itself: opening, creating, version.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::clock::Stamps;
use crate::db::Database;
use crate::error::IoContext;
use crate::files::{
    TempFile, exists, make_dir, make_open_dir, names_in, random_name, read_if_there, sync_dir,
};
use crate::layout::{Layout, ROOT_NAMES};
use crate::lease::Leases;
use crate::process::{Cleaner, GcLock, ProcessFolder, take_from_the_dead};
use crate::toc::TocMemo;
use crate::{CacheError, Result, reserve};

/// Format of the root folder.
const VERSION: &str = "3";

/// Tells the time in seconds since 1970; only used for "created" and "last used".
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    /// The clock; the system's by default.
    pub clock: Clock,
    /// Text that names this boot of the machine; the kernel's boot id by default. What was not synced to disk in one
    /// boot is not trusted in another.
    pub boot_id: Option<String>,
    /// Upper bound of the compressed-block cache in bytes; 1 GiB by default, 0 turns it off.
    pub block_cache_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { clock: Arc::new(system_seconds), boot_id: None, block_cache_bytes: 1 << 30 }
    }
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions")
            .field("boot_id", &self.boot_id)
            .field("block_cache_bytes", &self.block_cache_bytes)
            .finish_non_exhaustive()
    }
}

fn system_seconds() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed())
}

/// An open store. Clones share everything; the last one to go removes the process's folder under `tmp/`.
///
/// ```
/// use garboard_cache::{Key, NewLayer, OpenOptions, Record, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(&folder.path().join("store"), OpenOptions::default())?;
/// let lease = store.lease()?; // what is used from here on is not pruned
/// let key = Key([7; 32]);
/// let step = store.lock(&key.to_string())?; // who wants the same step waits here, then finds the record
/// if store.record(&key)?.is_none() {
///     let staging = store.staging()?;
///     std::fs::write(staging.fs().join("hello"), "world")?; // a RUN would write here
///     let layer = staging.commit(NewLayer { keep_folder: true, ..NewLayer::default() })?;
///     store.put_record(&[key], &Record { layer: Some(layer), ..Record::default() })?;
/// }
/// drop(step);
/// let layer = store.record(&key)?.and_then(|record| record.layer).expect("just recorded");
/// let folder = store.layer(&layer)?.and_then(|info| info.folder).expect("just made");
/// assert_eq!(std::fs::read(folder.join("hello"))?, b"world");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) db: Database,
    pub(crate) leases: Leases,
    pub(crate) tocs: TocMemo,
    pub(crate) block_cache_bytes: u64,
    pub(crate) clock: Clock,
    pub(crate) stamps: Stamps,
    // Fields are dropped in this order: the cleaner works in the process's folder.
    _cleaner: Option<Cleaner>,
    pub(crate) own: ProcessFolder,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("layout", &self.layout).field("own", &self.own).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `root`, making it if the folder is absent or empty, and removes what dead processes left
    /// under `tmp/` (in the background). Give an absolute path: a relative one follows the process's working folder.
    ///
    /// # Errors
    /// [`CacheError::Version`] for a store of another format, [`CacheError::NotAStore`] for a folder with other
    /// things in it, [`CacheError::Io`].
    pub fn open(root: &Path, options: OpenOptions) -> Result<Self> {
        let layout = Layout::new(
            root.to_owned(),
            options.boot_id.or_else(kernel_boot_id).and_then(|text| plain_name(&text)),
        );
        let known = check_version(&layout)?;
        if !known {
            create(&layout)?;
        }
        let own = reserve::with_room(&layout, || ProcessFolder::start(&layout))?;
        let dead = take_from_the_dead(&layout, &own)?;
        let stale = stale_boots(&layout, &own)?;
        let trash: Vec<_> = dead.into_iter().chain(stale).collect();
        let cleaner = (!trash.is_empty()).then(|| Cleaner::start(trash));
        Ok(Self {
            inner: Arc::new(Inner {
                db: Database::new(layout.database()),
                layout,
                leases: Leases::default(),
                tocs: TocMemo::default(),
                block_cache_bytes: options.block_cache_bytes,
                clock: options.clock,
                stamps: Stamps::default(),
                _cleaner: cleaner,
                own,
            }),
        })
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        self.inner.layout.root()
    }

    /// A folder on the store's file system for the empty mount points of steps; whoever runs steps makes what it needs in it.
    pub fn stubs_path(&self) -> PathBuf {
        self.root().join("stubs")
    }

    /// The file in which the digests of a build context's files are kept, by the context's absolute path.
    pub fn stat_cache_path(&self, context: &Path) -> PathBuf {
        let hash = blake3::hash(context.as_os_str().as_encoded_bytes()).to_hex();
        self.inner.layout.stat().join(&hash[..32])
    }

    /// Held while something is added, so that pruning doesn't decide in between.
    pub(crate) fn gc_shared(&self) -> Result<GcLock> {
        GcLock::shared(&self.inner.layout)
    }
}

fn kernel_boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

/// A boot's name becomes part of paths.
fn plain_name(text: &str) -> Option<String> {
    let name: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
    (!name.is_empty()).then_some(name)
}

/// Whether the root is a store of this format; `false` if it is none at all.
fn check_version(layout: &Layout) -> Result<bool> {
    let Some(bytes) = read_if_there(&layout.version())? else { return Ok(false) };
    let found = String::from_utf8_lossy(&bytes).trim().chars().take(32).collect::<String>();
    if found == VERSION {
        return Ok(true);
    }
    Err(CacheError::Version { root: layout.root().to_owned(), found, known: VERSION })
}

/// Makes what is missing of a store; the version file comes last.
fn create(layout: &Layout) -> Result<()> {
    let root = layout.root();
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).on("create folder", parent)?;
    }
    make_dir(root)?;
    if names_in(root)?.iter().any(|n| !ROOT_NAMES.contains(&n.as_str()) && !n.starts_with("db.sqlite")) {
        return Err(CacheError::NotAStore { root: root.to_owned() });
    }
    make_dir(&layout.locks())?;
    let _gc = GcLock::exclusive(layout)?;
    if check_version(layout)? {
        return Ok(());
    }
    for dir in [layout.tmp(), layout.layers(), layout.cache_mounts(), layout.stat(), layout.blocks()] {
        make_dir(&dir)?;
    }
    make_dir(&layout.all_fresh())?;
    make_open_dir(&root.join("blobs"))?;
    make_open_dir(&layout.blobs())?;
    write_new(layout, &layout.oci_layout(), b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
    let index =
        b"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
    write_new(layout, &layout.index(), index)?;
    Database::create(&layout.database())?;
    reserve::fill(layout);
    write_new(layout, &layout.version(), format!("{VERSION}\n").as_bytes())?;
    sync_dir(root)
}

/// Writes a file of the new store by way of `locks/`, where nobody looks for anything.
fn write_new(layout: &Layout, place: &Path, bytes: &[u8]) -> Result<()> {
    if exists(place) {
        return Ok(());
    }
    let mut file = TempFile::create(layout.locks().join(format!("new-{}", random_name()?)))?;
    file.write(bytes)?;
    file.sync()?;
    file.move_to(place)
}

/// Moves away the unsynced blobs of earlier boots. Returns where they are.
fn stale_boots(layout: &Layout, own: &ProcessFolder) -> Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for name in names_in(&layout.all_fresh())? {
        if layout.boot().is_some_and(|boot| boot != name) {
            stale.extend(own.discard(&layout.all_fresh().join(name))?);
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path) -> Result<Store> {
        Store::open(root, OpenOptions::default())
    }

    #[test]
    fn the_database_is_the_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("s")).unwrap();
        crate::testing::folder_layer(&store, 1);
        let names = names_in(store.root()).unwrap();
        let names: Vec<_> = names.into_iter().filter(|name| name.starts_with("db.sqlite")).collect();
        assert!(names.contains(&"db.sqlite".to_owned()));
        for name in names {
            let mode = fs::metadata(store.root().join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn foreign_folders_and_formats_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "x").unwrap();
        assert!(matches!(open(&foreign), Err(CacheError::NotAStore { .. })));
        assert_eq!(names_in(&foreign).unwrap(), ["thesis.tex"]);
        let newer = dir.path().join("newer");
        fs::create_dir(&newer).unwrap();
        fs::write(newer.join("version"), "4\n").unwrap();
        assert!(matches!(open(&newer), Err(CacheError::Version { found, .. }) if found == "4"));
    }

    #[test]
    fn creation_goes_on_where_it_was_broken_off() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b/store");
        drop(open(&root).unwrap());
        for name in ["version", "index.json", "db.sqlite"] {
            fs::remove_file(root.join(name)).unwrap();
        }
        let _ = fs::remove_file(root.join("db.sqlite-wal"));
        let store = open(&root).unwrap();
        assert_eq!(store.fsck().unwrap(), []);
    }

    #[test]
    fn folders_of_dead_processes_go_and_those_of_live_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let live = open(&root).unwrap();
        let staging = live.staging().unwrap();
        let dead = root.join("tmp/1-dead");
        fs::create_dir_all(dead.join("dir0/fs")).unwrap();
        drop(open(&root).unwrap());
        assert!(!dead.exists() && staging.fs().exists());
        drop(staging);
        drop(live);
        assert!(names_in(&root.join("tmp")).unwrap().is_empty());
    }

    #[test]
    fn a_store_is_shared_between_threads() {
        fn check<T: Send + Sync + Clone>() {}
        check::<Store>();
        let (dir, store) = crate::testing::test_store();
        assert_eq!(store.root(), dir.path().join("store"));
    }
}
