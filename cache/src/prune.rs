//! Making room.
//!
//! What goes is decided while the store's `gc` lock is held alone, against the leases of all live processes; rows and
//! names vanish then, and the folders' contents afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use oci_spec::image::Digest;

use crate::error::{DbContext, IoContext};
use crate::files::names_in;
use crate::layer::layer_id;
use crate::process::GcLock;
use crate::remote::CLAIMED;
use crate::remove::remove_tree;
use crate::usage::{Census, Counted};
use crate::{LayerId, Result, Store, UsageFilter, UsageItem, UsageKind, reserve};

/// Small facts, and records without a layer, that are kept at most.
const MAX_SMALL_ROWS: u32 = 100_000;

/// What to prune. Something in use (by a running build of any process, or blobs of a named image) always stays.
/// With no bound on bytes, everything that the filters let through goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also internal caches, and the folders of named images' layers.
    pub all: bool,
    /// Bytes that stay in any case (`--reserved-space`, formerly `--keep-storage`).
    pub keep_bytes: Option<u64>,
    /// Bytes above which the least recently used goes (`--max-used-space`).
    pub max_used_bytes: Option<u64>,
    /// Bytes that the file system should have free (`--min-free-space`).
    pub min_free_bytes: Option<u64>,
    /// Only these.
    pub filter: UsageFilter,
}

impl PruneOptions {
    /// Holds the store below `bytes`, for the end of a build.
    pub fn cap(bytes: u64) -> Self {
        Self { max_used_bytes: Some(bytes), ..Self::default() }
    }

    /// Whether everything that isn't in use goes.
    fn is_everything(&self) -> bool {
        *self == Self { all: true, ..Self::default() }
    }

    /// Bytes that the store may keep; none when nothing bounds it and all goes that may.
    pub(crate) fn target(&self, total: u64, free: u64) -> u64 {
        let mut target = self.max_used_bytes.unwrap_or(u64::MAX);
        if let Some(wanted) = self.min_free_bytes {
            target = target.min(total.saturating_sub(wanted.saturating_sub(free)));
        }
        if self.max_used_bytes.is_none() && self.min_free_bytes.is_none() {
            target = 0;
        }
        target.max(self.keep_bytes.unwrap_or(0))
    }
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// What was removed.
    pub removed: Vec<UsageItem>,
    /// Bytes freed.
    pub freed: u64,
    /// Bytes in the store afterwards.
    pub kept: u64,
}

/// What a layer's row promises.
struct LayerState {
    id: LayerId,
    /// A folder that can be trusted.
    has_folder: bool,
    /// It is empty, or a registry has it.
    needs_no_form: bool,
}

/// Picks what goes: of what may go, the least recently used, until the rest is small enough. `counted` is in that order.
fn select<'a>(counted: &'a [Counted], options: &PruneOptions, now: i64, free: u64) -> Vec<&'a UsageItem> {
    let mut total: u64 = counted.iter().map(|c| c.item.size).sum();
    let target = options.target(total, free);
    let mut selected = Vec::new();
    // What a layer's folder rests on goes after it, if at all.
    let mut resting: HashMap<&str, usize> = HashMap::new();
    for under in counted.iter().filter_map(|c| c.rests_on.as_deref()) {
        *resting.entry(under).or_default() += 1;
    }
    for Counted { item, held, rests_on } in counted {
        // With no bound even what takes up nothing goes.
        if total <= target && target > 0 {
            break;
        }
        let is_rested_on = resting.get(item.id.as_str()).is_some_and(|n| *n > 0);
        let may_go = match item.kind {
            UsageKind::Layer if !is_rested_on => !held && (options.all || !item.in_use),
            UsageKind::Layer => false,
            UsageKind::Blob | UsageKind::CacheMount => !item.in_use,
            UsageKind::Internal => options.all,
        };
        if may_go && options.filter.lets_through(item, now) {
            total -= item.size;
            selected.push(item);
            if let Some(left) = rests_on.as_deref().and_then(|under| resting.get_mut(under)) {
                *left -= 1;
            }
        }
    }
    selected
}

impl Store {
    /// Removes what is not needed, the least recently used first, and what killed processes left behind.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport> {
        let report = reserve::with_room(&self.inner.layout, || self.prune_once(options))?;
        self.trim_blocks(self.inner.block_cache_bytes)?;
        reserve::fill(&self.inner.layout);
        Ok(report)
    }

    fn prune_once(&self, options: &PruneOptions) -> Result<PruneReport> {
        self.measure_mounts()?;
        let gc = GcLock::exclusive(&self.inner.layout)?;
        self.move_stamps_back(&gc)?;
        let mut trash = self.sweep()?;
        let census = self.census()?;
        let selected = select(&census.counted, options, self.now(), self.free_bytes()?);
        let mut removed: Vec<UsageItem> = Vec::new();
        for item in selected.iter().filter(|i| i.kind != UsageKind::Layer) {
            if self.remove_item(item, &mut trash)? {
                removed.push((*item).clone());
            }
        }
        let layers: Vec<&UsageItem> =
            selected.iter().copied().filter(|i| i.kind == UsageKind::Layer).collect();
        self.remove_layers(&layers, &census, &mut trash)?;
        removed.extend(layers.into_iter().cloned());
        self.remove_small_rows(options)?;
        drop(gc);
        // In the process's folder: what is not removed now goes when the process does.
        trash.iter().try_for_each(|path| remove_tree(path, None))?;
        let freed = removed.iter().map(|i| i.size).sum();
        let total: u64 = census.counted.iter().map(|c| c.item.size).sum();
        removed.sort_by(|a, b| (a.last_used, &a.id).cmp(&(b.last_used, &b.id)));
        Ok(PruneReport { removed, freed, kept: total.saturating_sub(freed) })
    }

    /// Moves away folders that no row speaks of or that another boot left unsynced, and removes rows of layers of
    /// which nothing is left. Returns where the folders are. For a holder of the exclusive `gc` lock.
    fn sweep(&self) -> Result<Vec<PathBuf>> {
        let layout = &self.inner.layout;
        let rows = self.layer_states()?;
        let names: BTreeSet<String> = names_in(&layout.layers())?.into_iter().collect();
        let mut trash = Vec::new();
        for name in &names {
            let dir = layout.layers().join(name);
            match rows.get(name) {
                None => trash.extend(self.inner.own.discard(&dir)?),
                Some(state) if !state.has_folder => {
                    trash.extend(self.inner.own.discard(&dir.join("fs"))?);
                }
                Some(_) => {}
            }
        }
        let mut gone = Vec::new();
        for (name, state) in &rows {
            let is_there = state.needs_no_form || (state.has_folder && names.contains(name));
            if !is_there && self.peek_layer(&state.id)?.is_none() {
                gone.push(&state.id);
            }
        }
        self.delete_layer_rows(gone.iter().copied())?;
        for id in gone {
            trash.extend(self.inner.own.discard(&layout.layer(id))?);
        }
        Ok(trash)
    }

    /// What the rows of layers promise, by id.
    fn layer_states(&self) -> Result<BTreeMap<String, LayerState>> {
        let sql =
            "SELECT l.id, l.folder_boot, l.is_empty OR EXISTS(SELECT 1 FROM origins WHERE layer = l.id),
            l.rests_on IS NULL, under.folder_boot FROM layers l LEFT JOIN layers under ON under.id = l.rests_on";
        self.inner.db.read("list layers", |db| {
            let mut statement = db.prepare(sql)?;
            let rows = statement.query_map([], |r| {
                let (id, boot) = (layer_id(r, 0)?, r.get::<_, Option<String>>(1)?);
                let is_trusted = |boot: Option<String>| boot.is_some_and(|b| self.is_trusted(&b));
                let has_folder = is_trusted(boot) && (r.get(3)? || is_trusted(r.get(4)?));
                Ok((id.to_string(), LayerState { id, has_folder, needs_no_form: r.get(2)? }))
            })?;
            rows.collect()
        })
    }

    /// Removes something that is no layer. Whether it could be.
    fn remove_item(&self, item: &UsageItem, trash: &mut Vec<PathBuf>) -> Result<bool> {
        let layout = &self.inner.layout;
        match (item.kind, item.id.as_str()) {
            (UsageKind::Blob, digest) => {
                if let Ok(digest) = digest.parse() {
                    self.remove_blob(&digest)?;
                }
            }
            (UsageKind::CacheMount, id) => {
                let (hash, slot) = id.split_once('/').unwrap_or((id, "0"));
                let Some(_lock) = self.try_mount_lock(hash, slot)? else {
                    return Ok(false);
                };
                trash.extend(self.inner.own.discard(&layout.cache_mounts().join(id))?);
                // Fails when the mount has other folders, as it should.
                let _ = fs::remove_dir(layout.cache_mounts().join(hash));
            }
            (UsageKind::Internal, "blocks") => {
                for shard in names_in(&layout.blocks())? {
                    trash.extend(self.inner.own.discard(&layout.blocks().join(shard))?);
                }
            }
            (UsageKind::Internal | UsageKind::Layer, id) => {
                trash.extend(self.inner.own.discard(&layout.root().join(id))?);
            }
        }
        Ok(true)
    }

    fn remove_layers(&self, items: &[&UsageItem], census: &Census, trash: &mut Vec<PathBuf>) -> Result<()> {
        let ids: HashSet<LayerId> = items.iter().filter_map(|i| i.id.parse().ok()).collect();
        self.delete_layer_rows(&ids)?;
        for id in &ids {
            trash.extend(self.inner.own.discard(&self.inner.layout.layer(id))?);
        }
        let staying: HashSet<&Digest> =
            census.layer_blobs.iter().filter(|(id, _)| !ids.contains(*id)).flat_map(|(_, b)| b).collect();
        for blob in ids.iter().filter_map(|id| census.layer_blobs.get(id)).flatten() {
            if !census.needed_blobs.contains(blob) && !staying.contains(blob) {
                self.remove_blob(blob)?;
            }
        }
        Ok(())
    }

    fn delete_layer_rows<'a>(&self, ids: impl IntoIterator<Item = &'a LayerId>) -> Result<()> {
        let mut ids = ids.into_iter().peekable();
        if ids.peek().is_none() {
            return Ok(());
        }
        self.inner.db.write("remove layers", |tx| {
            let mut statement =
                tx.prepare_cached("DELETE FROM layers WHERE id = ?1").doing("remove layers")?;
            ids.try_for_each(|id| statement.execute([id.as_str()]).map(drop)).doing("remove layers")
        })
    }

    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<()> {
        let layout = &self.inner.layout;
        for path in [Some(layout.blob(digest)), layout.fresh_blob(digest)].into_iter().flatten() {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).on("remove blob", &path),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bounds what has no files: facts, and records of steps that made no layer. What is noted of a content that the
    /// record of a layer has stays as long as that: without it the record would say something else. So does that a layer's
    /// table of contents is only claimed.
    fn remove_small_rows(&self, options: &PruneOptions) -> Result<()> {
        let keep = if options.is_everything() { 0 } else { MAX_SMALL_ROWS };
        let too_many: bool = self.inner.db.read("count rows", |db| {
            let sql = "SELECT (SELECT count(*) FROM meta) > ?1
                OR (SELECT count(*) FROM records WHERE layer IS NULL) > ?1";
            db.query_row(sql, [keep], |r| r.get(0))
        })?;
        if !too_many {
            return Ok(());
        }
        self.inner.db.write("remove old rows", |tx| {
            let facts = "DELETE FROM meta WHERE (namespace, key) IN
                (SELECT namespace, key FROM meta ORDER BY updated DESC LIMIT -1 OFFSET ?1)
                AND key NOT IN (SELECT lower(hex(content)) FROM records WHERE layer IS NOT NULL AND content IS NOT NULL)
                AND NOT (namespace = ?2 AND key IN (SELECT id FROM layers WHERE has_toc))";
            let records = "DELETE FROM records WHERE id IN
                (SELECT id FROM records WHERE layer IS NULL ORDER BY id DESC LIMIT -1 OFFSET ?1)";
            tx.execute(facts, (keep, CLAIMED))
                .and_then(|_| tx.execute(records, [keep]))
                .map(drop)
                .doing("remove old rows")
        })
    }

    pub(crate) fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(self.root()).on("ask for free space in", self.root())?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{
        TestClock, folder_layer, layer_blob, open_at, put_image, remote_layer, resting_layer, test_store,
    };
    use crate::{CacheMountKey, CacheMountRequest, Key, Record, Sharing};

    fn everything() -> PruneOptions {
        PruneOptions { all: true, ..PruneOptions::default() }
    }

    fn everything_with(ids: &[&LayerId], kinds: &[UsageKind]) -> PruneOptions {
        let ids = ids.iter().map(ToString::to_string).collect();
        let filter = UsageFilter { ids, kinds: kinds.to_vec(), ..UsageFilter::default() };
        PruneOptions { filter, ..everything() }
    }

    #[test]
    fn least_recently_used_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let store = open_at(&dir.path().join("s"), "boot", &clock);
        let layers: Vec<_> = (1..=4)
            .map(|second| {
                clock.set(second * 100);
                folder_layer(&store, 100_000)
            })
            .collect();
        clock.set(1000);
        let lease = store.lease().unwrap();
        store.layer(&layers[0]).unwrap();
        drop(lease);
        let report = store.prune(&PruneOptions::cap(250_000)).unwrap();
        let removed: Vec<_> = report.removed.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(removed, [layers[1].as_str(), layers[2].as_str()]);
        assert!(report.kept <= 250_000 && report.freed >= 200_000, "{report:?}");
        let filter = UsageFilter { older_than: Some(500), ..UsageFilter::default() };
        let old = PruneOptions { filter, ..PruneOptions::default() };
        assert_eq!(store.prune(&old).unwrap().removed[0].id, layers[3].as_str());
        assert!(store.layer(&layers[0]).unwrap().is_some());
        assert_eq!(store.fsck().unwrap(), []);
    }

    #[test]
    fn what_a_lease_holds_stays() {
        let (dir, store) = test_store();
        let other = Store::open(&dir.path().join("store"), crate::OpenOptions::default()).unwrap();
        let before = folder_layer(&store, 10);
        let lease = store.lease().unwrap();
        let (held, found) = (folder_layer(&store, 10), folder_layer(&store, 10));
        let blob = store.put_bytes(b"blob").unwrap().0;
        let with_blob = folder_layer(&store, 10);
        store.attach_blob(&with_blob, &layer_blob(&store, b"layer")).unwrap();
        store
            .put_record(&[Key([1; 32])], &Record { layer: Some(found.clone()), ..Record::default() })
            .unwrap();
        other.prune(&everything()).unwrap();
        assert!(store.peek_layer(&before).unwrap().is_none());
        for id in [&held, &found, &with_blob] {
            assert!(store.peek_layer(id).unwrap().unwrap().folder.is_some());
        }
        assert!(store.peek_layer(&with_blob).unwrap().unwrap().blobs[0].present);
        assert!(store.find_blob(&blob).is_some());
        drop(lease);
        let report = other.prune(&everything()).unwrap();
        assert_eq!(report.removed.len(), 4, "{report:?}");
        assert!(store.record(&Key([1; 32])).unwrap().is_none());
        assert_eq!(other.usage().unwrap(), []);
        assert_eq!(other.fsck().unwrap(), []);
    }

    #[test]
    fn named_images_stay_whole() {
        let (_dir, store) = test_store();
        let image = put_image(&store, b"layer");
        store.tag("x", &image).unwrap();
        let layer = folder_layer(&store, 10);
        store.attach_blob(&layer, &layer_blob(&store, b"layer")).unwrap();
        store.prune(&PruneOptions::default()).unwrap();
        assert!(store.peek_layer(&layer).unwrap().is_some());
        store.prune(&everything()).unwrap();
        assert!(store.peek_layer(&layer).unwrap().is_none());
        assert_eq!(store.fsck().unwrap(), []);
        assert_eq!(store.images().unwrap().len(), 1);
        store.untag("x").unwrap();
        store.prune(&everything()).unwrap();
        assert_eq!(store.usage().unwrap(), []);
    }

    #[test]
    fn what_is_noted_of_a_kept_layer_stays() {
        let (_dir, store) = test_store();
        let content = garboard_layer::ContentDigest([0xab; 32]);
        store.put_meta("made of it", &content.to_string(), b"1").unwrap();
        store.put_meta("other", "x", b"1").unwrap();
        let layer = folder_layer(&store, 10);
        let record = Record { layer: Some(layer.clone()), content: Some(content), ..Record::default() };
        store.put_record(&[Key([1; 32])], &record).unwrap();
        let noted = || store.get_meta("made of it", &content.to_string()).unwrap().is_some();
        let lease = store.lease().unwrap();
        assert!(store.layer(&layer).unwrap().is_some(), "held from now on");
        store.prune(&everything()).unwrap();
        assert!(noted() && store.get_meta("other", "x").unwrap().is_none());
        drop(lease);
        store.prune(&everything()).unwrap();
        assert!(!noted());
    }

    #[test]
    fn a_claim_stays_a_claim() {
        let (_dir, store) = test_store();
        let layer = remote_layer(&store);
        let toc = std::sync::Arc::default();
        assert!(store.attach_claimed_toc(&layer, toc, "h/a:b").unwrap());
        let _lease = store.lease().unwrap();
        assert!(store.layer(&layer).unwrap().is_some(), "held from now on");
        store.prune(&everything()).unwrap();
        assert_eq!(store.claimed_by(&layer).unwrap().as_deref(), Some("h/a:b"));
    }

    #[test]
    fn claims_give_way_to_what_is_known_and_take_along_what_rests_on_them() {
        let (_dir, store) = test_store();
        let here = folder_layer(&store, 10);
        assert!(!store.attach_claimed_toc(&here, std::sync::Arc::default(), "evil").unwrap());
        assert_eq!(store.claimed_by(&here).unwrap(), None);

        let layer = remote_layer(&store);
        for name in ["one", "two"] {
            assert!(store.attach_claimed_toc(&layer, std::sync::Arc::default(), name).unwrap());
        }
        assert_eq!(store.claimed_by(&layer).unwrap().as_deref(), Some("two"));
        let key = |name: &str| crate::Key(*blake3::hash(name.as_bytes()).as_bytes());
        for vouchers in [&[][..], &["one"], &["two", "x"], &["on"]] {
            let mut all = crate::Vouchers::default();
            for name in vouchers {
                all.add(&crate::Vouchers::one(*name));
            }
            let record = crate::Record { vouchers: all, ..crate::Record::default() };
            store.put_record(&[key(&vouchers.join(" "))], &record).unwrap();
        }
        assert_eq!(store.forget_claims(&layer).unwrap(), 2);
        assert!(store.record(&key("")).unwrap().is_some() && store.record(&key("on")).unwrap().is_some());
        assert_eq!(store.claimed_by(&layer).unwrap(), None);
    }

    #[test]
    fn layers_share_a_blob() {
        let (_dir, store) = test_store();
        let (one, two) = (folder_layer(&store, 10), folder_layer(&store, 10));
        for id in [&one, &two] {
            store.attach_blob(id, &layer_blob(&store, b"same")).unwrap();
        }
        store.prune(&everything_with(&[&one], &[])).unwrap();
        assert!(store.peek_layer(&one).unwrap().is_none());
        assert!(store.peek_layer(&two).unwrap().unwrap().blobs[0].present);
    }

    #[test]
    fn cache_mounts_and_internal_caches() {
        let (_dir, store) = test_store();
        let key = CacheMountKey { id: "/root/.cache".into() };
        let ask =
            || CacheMountRequest { key: key.clone(), sharing: Sharing::Shared, reset: false, init: None };
        let guard = store.cache_mount(ask()).unwrap();
        std::fs::write(guard.path().join("f"), vec![b'x'; 9000]).unwrap();
        std::fs::write(store.stat_cache_path(std::path::Path::new("/src")), "x").unwrap();
        store.block_cache().keep(&garboard_layer::ContentDigest([1; 32]), b"block").unwrap();
        let usage = store.usage().unwrap();
        assert_eq!(usage.iter().filter(|i| i.in_use).count(), 1);
        assert!(store.prune(&everything()).unwrap().removed.iter().all(|i| i.kind == UsageKind::Internal));
        drop(guard);
        let item = store.usage().unwrap().pop().unwrap();
        assert!(
            item.kind == UsageKind::CacheMount && item.size >= 9000 && item.description == "/root/.cache"
        );
        let only_layers = everything_with(&[], &[UsageKind::Layer]);
        assert_eq!(store.prune(&only_layers).unwrap().removed, []);
        assert_eq!(store.prune(&everything()).unwrap().removed, [item]);
        assert!(crate::files::names_in(&store.inner.layout.cache_mounts()).unwrap().is_empty());
    }

    #[test]
    fn leavings_of_killed_processes_go() {
        let (_dir, store) = test_store();
        let orphan = store.inner.layout.layers().join("0".repeat(32));
        std::fs::create_dir_all(orphan.join("fs/d")).unwrap();
        let kept = folder_layer(&store, 10);
        store.prune(&PruneOptions::cap(u64::MAX)).unwrap();
        assert!(!orphan.exists() && store.layer(&kept).unwrap().is_some());
    }

    #[test]
    fn what_a_folder_rests_on_goes_last() {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let store = open_at(&dir.path().join("s"), "boot", &clock);
        clock.set(100);
        let under = folder_layer(&store, 100_000);
        clock.set(200);
        let between = folder_layer(&store, 100_000);
        clock.set(300);
        let over = resting_layer(&store, &under);
        let info = store.layer(&over).unwrap().unwrap();
        assert_eq!(info.folder_under, store.layer(&under).unwrap().unwrap().folder);
        let removed = |options: &PruneOptions| {
            let report = store.prune(options).unwrap();
            report.removed.into_iter().map(|i| i.id).collect::<Vec<_>>()
        };
        assert_eq!(removed(&PruneOptions::cap(110_000)), [between.to_string()]);
        let only = everything_with(&[&under], &[]);
        assert_eq!(removed(&only), [""; 0]);
        assert!(store.layer(&over).unwrap().unwrap().folder.is_some());
        assert_eq!(store.fsck().unwrap(), []);
        assert_eq!(removed(&everything()).len(), 2);
        assert_eq!(store.usage().unwrap(), []);
    }

    #[test]
    fn a_folder_is_nothing_without_the_one_that_it_rests_on() {
        let (_dir, store) = test_store();
        let under = folder_layer(&store, 10);
        let over = resting_layer(&store, &under);
        std::fs::remove_dir_all(store.layer(&under).unwrap().unwrap().folder.unwrap()).unwrap();
        assert!(store.layer(&over).unwrap().is_none());
        assert!(!store.fsck().unwrap().is_empty());
    }

    fn counted() -> impl Strategy<Value = Counted> {
        let kind = prop::sample::select(vec![UsageKind::Layer, UsageKind::Blob, UsageKind::CacheMount]);
        (kind, 0..1000u64, 0..100i64, any::<bool>()).prop_map(|(kind, size, last_used, in_use)| {
            let (id, description) = (String::new(), String::new());
            Counted {
                item: UsageItem {
                    kind,
                    id,
                    size,
                    created: 0,
                    last_used,
                    description,
                    in_use,
                    images: Vec::new(),
                    duration_ms: None,
                    parent: None,
                },
                held: in_use,
                rests_on: None,
            }
        })
    }

    proptest! {
        #[test]
        fn selection_keeps_the_cap_and_the_order(
            mut items in prop::collection::vec(counted(), 0..40), cap in 1..20_000u64, keep in 0..20_000u64,
        ) {
            items.sort_by_key(|c| c.item.last_used);
            let options = PruneOptions { keep_bytes: Some(keep), ..PruneOptions::cap(cap) };
            let gone = select(&items, &options, 100, 0);
            let total: u64 = items.iter().map(|c| c.item.size).sum();
            let left = total - gone.iter().map(|i| i.size).sum::<u64>();
            let free: Vec<_> = items.iter().filter(|c| !c.held).map(|c| &c.item).collect();
            prop_assert!(left <= cap.max(keep) || gone.len() == free.len());
            prop_assert!(gone.iter().zip(&free).all(|(a, b)| std::ptr::eq(*a, *b)));
            if let Some(last) = gone.last() {
                prop_assert!(left + last.size > cap.max(keep));
            }
        }
    }
}
