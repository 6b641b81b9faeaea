//! Times that tell what was used before what, even if the machine's clock is put back or runs ahead for a while.
//!
//! A stamp is the clock's time, but never below the latest stamp that an earlier process noted: so what is used now is
//! used last, whatever the clock says. Only when the stamps are far ahead of the clock, because that was wrong for a
//! while and is right again, they are moved back, in their order.

use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Transaction;

use crate::error::DbContext;
use crate::process::GcLock;
use crate::record::put_fact;
use crate::{Result, Store};

const NAMESPACE: &str = "store";
const LATEST: &str = "latest";

/// Stamps that are so many seconds ahead of the clock are moved back.
const FAR_AHEAD: i64 = 24 * 3600;
/// No stamp was noted or given yet.
const UNKNOWN: i64 = i64::MIN;

/// The latest stamp that this process knows of.
#[derive(Debug)]
pub(crate) struct Stamps {
    latest: AtomicI64,
}

impl Default for Stamps {
    fn default() -> Self {
        Self { latest: AtomicI64::new(UNKNOWN) }
    }
}

impl Store {
    /// Seconds since 1970 by the clock, right or wrong.
    pub(crate) fn clock_seconds(&self) -> i64 {
        (self.inner.clock)()
    }

    /// A stamp for what happens now: seconds since 1970, and not before any stamp that is known of.
    pub(crate) fn now(&self) -> i64 {
        let stamps = &self.inner.stamps.latest;
        if stamps.load(Ordering::Relaxed) == UNKNOWN {
            // What can't be read is no reason to fail: only an order is lost.
            let noted = self.noted_stamp().ok().flatten();
            stamps.fetch_max(noted.map_or(UNKNOWN + 1, |noted| noted.saturating_add(1)), Ordering::Relaxed);
        }
        let clock = self.clock_seconds();
        stamps.fetch_max(clock, Ordering::Relaxed).max(clock)
    }

    fn noted_stamp(&self) -> Result<Option<i64>> {
        let noted = self.get_meta(NAMESPACE, LATEST)?.and_then(|bytes| bytes.try_into().ok());
        // One later than the clock only counts: else each process would add a second.
        Ok(noted.map(i64::from_le_bytes).filter(|noted| *noted > self.clock_seconds()))
    }

    /// Notes a stamp for the processes to come.
    pub(crate) fn note_stamp(tx: &Transaction<'_>, stamp: i64) -> rusqlite::Result<()> {
        put_fact(tx, (NAMESPACE, LATEST, &stamp.to_le_bytes()), stamp)
    }

    /// Moves stamps back that are far ahead of the clock. For a holder of the exclusive `gc` lock.
    pub(crate) fn move_stamps_back(&self, _gc: &GcLock) -> Result<()> {
        let (clock, stamp) = (self.clock_seconds(), self.now());
        let ahead = stamp.saturating_sub(clock);
        if ahead <= FAR_AHEAD {
            return Ok(());
        }
        let back = |time: i64| (time > clock).then(|| time.saturating_sub(ahead).clamp(0, clock));
        self.inner.db.write("correct times", |tx| {
            let sql =
                "UPDATE layers SET last_used = max(0, min(last_used - ?1, ?2)), created = min(created, ?2)
                WHERE last_used > ?2";
            tx.execute(sql, [ahead, clock]).doing("correct times")?;
            Self::note_stamp(tx, clock).doing("correct times")
        })?;
        self.restamp_files(&back)?;
        self.inner.stamps.latest.store(clock, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestClock, folder_layer, open_at};
    use crate::{LayerId, PruneOptions, Store, UsageFilter};

    const YEAR: i64 = 365 * 86_400;
    const NOW: i64 = 56 * YEAR;

    /// A store after a build at this time that made a layer.
    fn build(root: &std::path::Path, clock: &TestClock, at: i64) -> LayerId {
        clock.set(at);
        let store = open_at(root, "boot", clock);
        let _lease = store.lease().unwrap();
        folder_layer(&store, 100_000)
    }

    fn removed(store: &Store, options: &PruneOptions) -> Vec<String> {
        store.prune(options).unwrap().removed.into_iter().map(|item| item.id).collect()
    }

    #[test]
    fn the_clock_may_jump_and_the_oldest_still_goes_first() {
        // each of the later two builds: when, as the clock says
        for times in
            [[NOW - YEAR, NOW - YEAR + 5], [0, 5], [NOW + YEAR, NOW + 5], [NOW + 3600, NOW + 5], [0, NOW + 5]]
        {
            let dir = tempfile::tempdir().unwrap();
            let clock = TestClock::default();
            let root = dir.path().join("s");
            let mut layers = vec![build(&root, &clock, NOW)];
            layers.extend(times.map(|time| build(&root, &clock, time)));
            clock.set(times[1] + 10);
            let store = open_at(&root, "boot", &clock);
            let gone = removed(&store, &PruneOptions::cap(250_000));
            assert_eq!(gone, [layers[0].to_string()], "{times:?}");
            let gone = removed(&store, &PruneOptions::cap(150_000));
            assert_eq!(gone, [layers[1].to_string()], "{times:?}");
        }
    }

    #[test]
    fn ages_are_right_again_after_a_clock_that_was_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::default();
        let root = dir.path().join("s");
        let ahead = build(&root, &clock, NOW + YEAR);
        let after = build(&root, &clock, NOW);
        let store = open_at(&root, "boot", &clock);
        store.put_bytes(b"blob").unwrap();
        for item in store.usage().unwrap() {
            assert!(item.created <= NOW && item.last_used <= NOW, "{item:?}");
        }
        clock.set(NOW + 7200);
        let layer = build(&root, &clock, NOW + 7200);
        let filter = UsageFilter { older_than: Some(3600), ..UsageFilter::default() };
        let gone = removed(&store, &PruneOptions { filter, ..PruneOptions::default() });
        assert!(gone.contains(&ahead.to_string()) && gone.contains(&after.to_string()), "{gone:?}");
        assert!(store.peek_layer(&layer).unwrap().is_some());
    }
}
