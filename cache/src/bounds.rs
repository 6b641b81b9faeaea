//! Bounds that hold without anybody asking: a look after each build that made something.

use std::fs;

use crate::error::IoContext;
use crate::files::names_in;
use crate::usage::noted_size;
use crate::{PruneOptions, PruneReport, Result, Store};

/// Above this a store doesn't grow by itself, however big the disk.
const MOST: u64 = 100 << 30;
/// This much stays however full the disk is.
const LEAST: u64 = 10 << 30;
/// After so many seconds everything is counted, even if the store doesn't look too big: cache mounts grow unseen.
const RECOUNT: i64 = 24 * 3600;

const NAMESPACE: &str = "store";
const COUNTED: &str = "counted";

impl Store {
    /// The bounds where none are set: six tenths of the file system but 100 GiB at most, a tenth of it free, and in any
    /// case the latest 10 GiB (or a tenth) are kept.
    pub fn default_bounds(&self) -> Result<PruneOptions> {
        let stat =
            rustix::fs::statvfs(self.root()).on("ask for the size of the file system of", self.root())?;
        let tenth = stat.f_blocks.saturating_mul(stat.f_frsize) / 10;
        Ok(PruneOptions {
            max_used_bytes: Some((tenth * 6).min(MOST)),
            min_free_bytes: Some(tenth),
            keep_bytes: Some(tenth.min(LEAST)),
            ..PruneOptions::default()
        })
    }

    /// Prunes if the store has grown out of its bounds, for the end of a build. Where it hasn't, that costs a look at
    /// the database and the blobs' names; `None` is returned then.
    pub fn hold_bounds(&self, bounds: &PruneOptions) -> Result<Option<PruneReport>> {
        let used = self.rough_bytes()?;
        if used <= bounds.target(used, self.free_bytes()?) && !self.is_count_due()? {
            return Ok(None);
        }
        self.put_meta(NAMESPACE, COUNTED, self.now().to_string().as_bytes())?;
        self.prune(bounds).map(Some)
    }

    /// Whether nothing was counted for long. A new store begins with now.
    fn is_count_due(&self) -> Result<bool> {
        let counted = self.get_meta(NAMESPACE, COUNTED)?;
        let counted = counted.and_then(|text| String::from_utf8(text).ok()?.parse::<i64>().ok());
        match counted {
            // A clock that was put back must not put it off for years.
            Some(then) => Ok((self.now() - then).abs() > RECOUNT),
            None => self.put_meta(NAMESPACE, COUNTED, self.now().to_string().as_bytes()).map(|()| false),
        }
    }

    /// Bytes in the store as far as they are known without a walk, and without a lock.
    fn rough_bytes(&self) -> Result<u64> {
        let layout = &self.inner.layout;
        let sql = "SELECT coalesce(sum(toc_size + folder_size), 0) FROM layers";
        let mut total: u64 = self.inner.db.read("add up layers", |db| db.query_row(sql, [], |r| r.get(0)))?;
        for dir in [Some(layout.blobs()), layout.fresh()].into_iter().flatten() {
            for name in names_in(&dir)? {
                // One may vanish meanwhile.
                total += fs::metadata(dir.join(name)).map_or(0, |meta| meta.len());
            }
        }
        for hash in names_in(&layout.cache_mounts())? {
            for slot in names_in(&layout.cache_mounts().join(&hash))? {
                total +=
                    noted_size(&layout.cache_mounts().join(&hash).join(slot)).map_or(0, |(_, size)| size);
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{folder_layer, test_store};

    #[test]
    fn only_what_has_outgrown_its_bounds_is_pruned() {
        let (_dir, store) = test_store();
        for _ in 0..3 {
            folder_layer(&store, 100_000);
        }
        assert_eq!(store.hold_bounds(&PruneOptions::cap(1 << 20)).unwrap(), None);
        let report = store.hold_bounds(&PruneOptions::cap(250_000)).unwrap().unwrap();
        assert_eq!(report.removed.len(), 1, "{report:?}");
        assert_eq!(store.hold_bounds(&PruneOptions::cap(250_000)).unwrap(), None);
        assert!(store.default_bounds().unwrap().max_used_bytes > Some(0));
    }
}
