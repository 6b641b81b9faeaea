//! Cache mounts: folders of RUN steps that outlive a build.
//!
//! `cachemounts/HASH/N/data` is the folder; `id` beside it says which cache mount it is, its modification time when it
//! was last used. N is 0 but for private mounts that were wanted twice at once. A user of a folder has its lock, shared
//! or alone; making, emptying and removing it takes the lock alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::IoContext;
use crate::files::{exists, make_dir, make_open_dir};
use crate::lock::{LockGuard, Mode, try_now, try_while};
use crate::remove::remove_tree;
use crate::{CacheError, Result, Store};

/// Folders that one private cache mount may have; more at once wait.
const MAX_SLOTS: u32 = 64;

/// Names a cache mount: the id with whatever else tells it from others (its initial content's digest).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheMountKey {
    /// The text.
    pub id: String,
}

impl CacheMountKey {
    fn hash(&self) -> String {
        blake3::hash(self.id.as_bytes()).to_hex()[..32].to_owned()
    }
}

/// What happens when two steps want the same cache mount at once. A later one is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sharing {
    /// They use it together.
    #[default]
    Shared,
    /// The second one gets another folder.
    Private,
    /// The second one waits.
    Locked,
}

/// Makes the first content of a cache mount in the empty folder it is given (mode 0755, the caller's owner).
pub type InitialContent<'a> =
    Box<dyn FnMut(&Path) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a>;

/// One cache mount that a step asks for.
pub struct CacheMountRequest<'a> {
    /// Which one.
    pub key: CacheMountKey,
    /// How it is shared.
    pub sharing: Sharing,
    /// Whether to begin with the initial content again (`--no-cache`). If others are using it, the step gets another
    /// folder, unless it asks for [`Sharing::Locked`]: then it waits.
    pub reset: bool,
    /// Its first content; `None` for an empty folder with mode 0755.
    pub init: Option<InitialContent<'a>>,
}

impl std::fmt::Debug for CacheMountRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheMountRequest")
            .field("key", &self.key)
            .field("sharing", &self.sharing)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}

/// Keeps a cache mount for a step until it and its clones are dropped.
#[derive(Clone, Debug)]
pub struct CacheMountGuard {
    _slot: Arc<HeldSlot>,
    path: PathBuf,
}

#[derive(Debug)]
struct HeldSlot {
    dir: PathBuf,
    store: Store,
    _lock: LockGuard,
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        self.store.touch_mount(&self.dir);
    }
}

impl CacheMountGuard {
    /// The folder to mount.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// Gets one cache mount. A step with several asks for all at once with [`Self::cache_mounts`].
    pub fn cache_mount(&self, request: CacheMountRequest<'_>) -> Result<CacheMountGuard> {
        let mut requests = [request];
        loop {
            if let Some(guard) = self.take_mounts(&mut requests, &mut || true)?.and_then(|mut g| g.pop()) {
                return Ok(guard);
            }
        }
    }

    /// Gets the cache mounts of one step, in the order of the requests. Locks are taken in an order that is the same
    /// for all steps, so that two steps never wait for each other; of two requests with the same key both get the
    /// same folder, shared as the stricter one says.
    pub fn cache_mounts(&self, mut requests: Vec<CacheMountRequest<'_>>) -> Result<Vec<CacheMountGuard>> {
        loop {
            if let Some(guards) = self.take_mounts(&mut requests, &mut || true)? {
                return Ok(guards);
            }
        }
    }

    /// As [`Self::cache_mounts`], asking `keep_waiting` about every 20 ms; `None` when that says no.
    pub fn cache_mounts_while(
        &self,
        mut requests: Vec<CacheMountRequest<'_>>,
        mut keep_waiting: impl FnMut() -> bool,
    ) -> Result<Option<Vec<CacheMountGuard>>> {
        self.take_mounts(&mut requests, &mut keep_waiting)
    }

    fn take_mounts(
        &self,
        requests: &mut [CacheMountRequest<'_>],
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Vec<CacheMountGuard>>> {
        let keys: Vec<CacheMountKey> = requests.iter().map(|r| r.key.clone()).collect();
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|&i| &keys[i]);
        let mut guards: Vec<Option<CacheMountGuard>> = vec![None; requests.len()];
        for same in order.chunk_by(|&a, &b| keys[a] == keys[b]) {
            let strictest = same.iter().map(|&i| requests[i].sharing).max().unwrap_or_default();
            let reset = same.iter().any(|&i| requests[i].reset);
            let first = same[0];
            let slot = Slot { store: self, key: &keys[first], sharing: strictest };
            let Some(guard) = slot.take(reset, requests[first].init.as_mut(), keep_waiting)? else {
                return Ok(None);
            };
            for &i in same {
                guards[i] = Some(guard.clone());
            }
        }
        Ok(guards.into_iter().collect())
    }

    /// A cache mount that has a folder already, to be read beside those who use it together; `None` if it hasn't, or if
    /// somebody has it alone.
    pub fn existing_cache_mount(&self, key: &CacheMountKey) -> Result<Option<CacheMountGuard>> {
        let slot = Slot { store: self, key, sharing: Sharing::Shared };
        if !exists(&slot.data(0)) {
            return Ok(None);
        }
        let lock = try_now(&self.inner.layout, &mount_lock(&key.hash(), "0"), Mode::Shared)?;
        Ok(lock.filter(|_| exists(&slot.data(0))).map(|lock| slot.guard(0, lock)))
    }

    /// Whether a cache mount has a folder.
    pub fn has_cache_mount(&self, key: &CacheMountKey) -> bool {
        exists(&Slot { store: self, key, sharing: Sharing::Shared }.data(0))
    }

    /// Takes the lock of one folder of a cache mount alone, if nobody uses it.
    pub(crate) fn try_mount_lock(&self, hash: &str, slot: &str) -> Result<Option<LockGuard>> {
        try_now(&self.inner.layout, &mount_lock(hash, slot), Mode::Exclusive)
    }

    /// Notes that a cache mount was used.
    fn touch_mount(&self, dir: &Path) {
        let time = rustix::fs::Timespec { tv_sec: self.now(), tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        // Only decides what is pruned first.
        let _ = rustix::fs::utimensat(rustix::fs::CWD, dir.join("id"), &times, rustix::fs::AtFlags::empty());
    }
}

/// The lock of one folder of a cache mount.
fn mount_lock(hash: &str, slot: &str) -> String {
    format!("cachemount {hash} {slot}")
}

/// How one cache mount is got.
struct Slot<'a> {
    store: &'a Store,
    key: &'a CacheMountKey,
    sharing: Sharing,
}

impl Slot<'_> {
    fn take(
        &self,
        reset: bool,
        mut init: Option<&mut InitialContent<'_>>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Option<CacheMountGuard>> {
        let mut shared = 0;
        if reset {
            let Some((number, lock)) = self.lock_alone(keep_waiting)? else { return Ok(None) };
            self.store.discard_now(&self.dir(number))?;
            self.fill(number, init.as_deref_mut())?;
            if self.sharing != Sharing::Shared {
                return Ok(Some(self.guard(number, lock)));
            }
            // Others may come in now; what the step sees is fresh all the same.
            shared = number;
        }
        loop {
            let (number, mode) = match self.sharing {
                Sharing::Shared => (shared, Mode::Shared),
                Sharing::Private | Sharing::Locked => {
                    let Some((number, lock)) = self.lock_alone(keep_waiting)? else { return Ok(None) };
                    self.fill(number, init.as_deref_mut())?;
                    return Ok(Some(self.guard(number, lock)));
                }
            };
            let Some(lock) = self.lock(number, mode, keep_waiting)? else {
                return Ok(None);
            };
            if exists(&self.data(number)) {
                return Ok(Some(self.guard(number, lock)));
            }
            drop(lock);
            let alone = self.lock(number, Mode::Exclusive, keep_waiting)?;
            let Some(_alone) = alone else { return Ok(None) };
            self.fill(number, init.as_deref_mut())?;
        }
    }

    /// Takes a folder's lock alone: the first one's, waiting, or for private ones that of any which is free.
    fn lock_alone(&self, keep_waiting: &mut dyn FnMut() -> bool) -> Result<Option<(u32, LockGuard)>> {
        if self.sharing != Sharing::Locked {
            for number in 0..MAX_SLOTS {
                if let Some(lock) = self.store.try_mount_lock(&self.key.hash(), &number.to_string())? {
                    return Ok(Some((number, lock)));
                }
            }
        }
        let lock = self.lock(0, Mode::Exclusive, keep_waiting)?;
        Ok(lock.map(|lock| (0, lock)))
    }

    /// Makes the folder if it isn't there. For the holder of its lock.
    fn fill(&self, number: u32, init: Option<&mut InitialContent<'_>>) -> Result<()> {
        let place = self.dir(number);
        if exists(&self.data(number)) {
            return Ok(());
        }
        let scratch = self.store.scratch()?;
        let data = scratch.path().join("data");
        make_open_dir(&data)?;
        if let Some(init) = init {
            init(&data).map_err(|source| CacheError::MountInit { id: self.key.id.clone(), source })?;
        }
        let id = scratch.path().join("id");
        fs::write(&id, &self.key.id).on("write", &id)?;
        self.store.touch_mount(scratch.path());
        loop {
            place.parent().map_or(Ok(()), make_dir)?;
            match fs::rename(scratch.path(), &place) {
                // Pruning has just removed the empty parent.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && exists(scratch.path()) => {}
                other => return other.on("move cache mount to", &place),
            }
        }
    }

    fn guard(&self, number: u32, lock: LockGuard) -> CacheMountGuard {
        let slot = HeldSlot { dir: self.dir(number), store: self.store.clone(), _lock: lock };
        CacheMountGuard { path: self.data(number), _slot: Arc::new(slot) }
    }

    /// Waits for a folder's lock.
    fn lock(
        &self,
        number: u32,
        mode: Mode,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LockGuard>> {
        let name = mount_lock(&self.key.hash(), &number.to_string());
        try_while(&self.store.inner.layout, &name, mode, keep_waiting)
    }

    fn dir(&self, number: u32) -> PathBuf {
        self.store.inner.layout.cache_mounts().join(self.key.hash()).join(number.to_string())
    }

    fn data(&self, number: u32) -> PathBuf {
        self.dir(number).join("data")
    }
}

impl Store {
    /// Moves something out of sight and removes it.
    pub(crate) fn discard_now(&self, path: &Path) -> Result<()> {
        match self.inner.own.discard(path)? {
            Some(trash) => remove_tree(&trash, None),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test_store;

    fn ask(id: &str, sharing: Sharing) -> CacheMountRequest<'static> {
        CacheMountRequest { key: CacheMountKey { id: id.into() }, sharing, reset: false, init: None }
    }

    fn try_get(store: &Store, request: CacheMountRequest<'_>) -> Option<CacheMountGuard> {
        store.cache_mounts_while(vec![request], || false).unwrap().map(|mut guards| guards.pop().unwrap())
    }

    #[test]
    fn keeps_what_was_written() {
        let (_dir, store) = test_store();
        for sharing in [Sharing::Shared, Sharing::Private, Sharing::Locked] {
            let guard = store.cache_mount(ask("a", sharing)).unwrap();
            let file = guard.path().join("f");
            assert_eq!(file.exists(), sharing != Sharing::Shared);
            fs::write(file, "x").unwrap();
        }
    }

    #[test]
    fn read_beside_those_who_share_it() {
        let (_dir, store) = test_store();
        let key = CacheMountKey { id: "a".into() };
        assert!(store.existing_cache_mount(&key).unwrap().is_none() && !store.has_cache_mount(&key));
        let shared = store.cache_mount(ask("a", Sharing::Shared)).unwrap();
        let read = store.existing_cache_mount(&key).unwrap().unwrap();
        assert_eq!(read.path(), shared.path());
        drop((read, shared));
        let _alone = store.cache_mount(ask("a", Sharing::Locked)).unwrap();
        assert!(store.existing_cache_mount(&key).unwrap().is_none() && store.has_cache_mount(&key));
    }

    #[test]
    fn shared_private_and_locked_users() {
        let (_dir, store) = test_store();
        let one = store.cache_mount(ask("a", Sharing::Shared)).unwrap();
        let two = try_get(&store, ask("a", Sharing::Shared)).unwrap();
        assert_eq!(one.path(), two.path());
        assert!(try_get(&store, ask("a", Sharing::Locked)).is_none());
        let private = try_get(&store, ask("a", Sharing::Private)).unwrap();
        assert_ne!(private.path(), one.path());
        drop((one, two, private));
        let locked = try_get(&store, ask("a", Sharing::Locked)).unwrap();
        assert!(try_get(&store, ask("a", Sharing::Locked)).is_none());
        assert!(try_get(&store, ask("a", Sharing::Shared)).is_none());
        drop(locked);
        assert!(try_get(&store, ask("a", Sharing::Shared)).is_some());
    }

    #[test]
    fn one_step_with_the_same_mount_twice() {
        let (_dir, store) = test_store();
        let asked = vec![ask("b", Sharing::Locked), ask("a", Sharing::Locked), ask("b", Sharing::Locked)];
        let got = store.cache_mounts(asked).unwrap();
        assert_eq!(got[0].path(), got[2].path());
        assert_ne!(got[0].path(), got[1].path());
    }

    #[test]
    fn initial_content_once_and_after_a_reset() {
        let (_dir, store) = test_store();
        let mut calls = 0;
        for reset in [false, false, true] {
            let mut request = ask("a", Sharing::Shared);
            request.reset = reset;
            request.init = Some(Box::new(|path| {
                calls += 1;
                Ok(fs::write(path.join("f"), "x")?)
            }));
            let guard = store.cache_mount(request).unwrap();
            assert!(guard.path().join("f").exists() && !guard.path().join("g").exists() || !reset);
            fs::write(guard.path().join("g"), "x").unwrap();
        }
        assert_eq!(calls, 2);
    }

    #[test]
    fn a_reset_of_what_others_use_gives_the_folder_that_was_reset() {
        let (_dir, store) = test_store();
        for _ in 0..2 {
            let busy = store.cache_mount(ask("a", Sharing::Shared)).unwrap();
            fs::write(busy.path().join("f"), "x").unwrap();
            let mut request = ask("a", Sharing::Shared);
            request.reset = true;
            let fresh = try_get(&store, request).unwrap();
            assert_ne!(fresh.path(), busy.path());
            assert_eq!(fs::read_dir(fresh.path()).unwrap().count(), 0);
            fs::write(fresh.path().join("g"), "x").unwrap();
            assert!(busy.path().join("f").exists());
        }
    }

    #[test]
    fn failed_initial_content_leaves_nothing() {
        let (_dir, store) = test_store();
        let mut request = ask("a", Sharing::Shared);
        request.init = Some(Box::new(|_| Err("no".into())));
        assert!(matches!(store.cache_mount(request), Err(CacheError::MountInit { .. })));
        let guard = store.cache_mount(ask("a", Sharing::Shared)).unwrap();
        assert_eq!(fs::read_dir(guard.path()).unwrap().count(), 0);
    }
}
