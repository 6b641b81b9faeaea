//! Names of segments: each says all that is needed to fetch it and to check what comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use garboard_layer::ContentDigest;
use garboard_registry::{Descriptor, Error, Listing};
use oci_spec::image::Digest;

use super::segment::{MAX_BYTES, MEDIA_TYPE};

/// Tags of registries are at most 128 characters; so many are left for the name of the cache.
const MAX_CACHE: usize = 40;
/// Segments that are read at most, the newest.
const MAX_SEGMENTS: usize = 1000;
/// More pages of names are not read: a service that goes on for ever is broken.
const MAX_PAGES: usize = 100;
/// Days that are asked for before all are.
const LONGEST: u64 = 1000;

/// When a segment was made, its size and its digest. Later ones are greater, and so are their texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    created: u64,
    size: u64,
    hex: String,
}

impl SegmentName {
    /// The name of a segment made at `created` (seconds since 1970).
    pub(super) fn of(segment: &Descriptor, created: i64) -> Self {
        Self {
            created: u64::try_from(created).unwrap_or_default(),
            size: segment.size,
            hex: segment.digest.digest().to_owned(),
        }
    }

    /// It as text.
    pub(super) fn text(&self) -> String {
        format!("{:08x}-{:x}-{}", self.created, self.size, self.hex)
    }

    /// Reads what [`Self::text`] made.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (created, size) = (number()?, number()?);
        let hex = parts.next()?.to_owned();
        let name = Self { created, size, hex };
        (name.size <= MAX_BYTES && name.digest().is_some()).then_some(name)
    }

    /// The segment.
    pub(super) fn descriptor(&self) -> Option<Descriptor> {
        Some(Descriptor::new(MEDIA_TYPE, self.digest()?, self.size))
    }

    fn digest(&self) -> Option<Digest> {
        format!("sha256:{}", self.hex).parse().ok()
    }
}

/// What all names of a cache's segments begin with, where they stand among others.
pub(super) fn prefix(cache: &str) -> String {
    if cache.len() <= MAX_CACHE {
        return format!("{cache}.seg-");
    }
    let hash = crate::files::hex(&ContentDigest::of(cache.as_bytes()).0);
    format!("{}.{}.seg-", &cache[..MAX_CACHE - 17], &hash[..16])
}

/// Where names are.
pub(super) trait Names {
    /// Those that begin with `prefix` and come after `after`, on so many pages at most, the oldest first.
    fn list(
        &self,
        prefix: &str,
        after: &str,
        pages: usize,
    ) -> impl Future<Output = Result<Listing, Error>> + Send;
}

/// The names of a cache's segments, at least of as many of the newest as are ever read. Not every registry lets segments be
/// removed, so there can be many; where they don't fit on one page, some days are asked for in place of all.
pub(super) async fn newest(names: &impl Names, prefix: &str) -> Result<Vec<String>, Error> {
    let first = names.list(prefix, prefix, 1).await?;
    if !first.more {
        return Ok(first.names);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let is_read = |name: &String| {
        let name = name.strip_prefix(prefix).and_then(SegmentName::parse);
        // One from the future is of a clock that is wrong, and there are none behind it.
        name.is_some_and(|name| name.created <= now)
    };
    // The longest time of which all was listed and was not enough, and the shortest of which it was too much.
    let (mut found, mut least, mut most, mut days) = (Vec::new(), 0, None, 1);
    while days <= LONGEST && days > least && Some(days) != most {
        let after = format!("{prefix}{:08x}", now.saturating_sub(days * 24 * 60 * 60));
        let window = names.list(prefix, &after, MAX_PAGES).await?;
        let count = window.names.iter().filter(|name| is_read(name)).count();
        if window.from_first || count >= MAX_SEGMENTS && !window.more {
            return Ok(window.names);
        }
        if window.more {
            most = Some(days);
        } else {
            (found, least) = (window.names, days);
        }
        // As many days as it takes if there were always as many in one, and some more.
        let wanted = days * 5 * MAX_SEGMENTS as u64 / (4 * count.max(1) as u64);
        days = most.map_or_else(|| wanted.clamp(2 * days, 32 * days), |most| least.midpoint(most));
    }
    let all = names.list(prefix, prefix, MAX_PAGES).await?;
    // Only the oldest, where there is no end.
    found.extend(all.names);
    found.sort();
    found.dedup();
    Ok(found)
}

/// The names of segments that were listed, by what they are names of.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed(Arc<Mutex<HashMap<Digest, String>>>);

impl Listed {
    /// Notes names that begin with `prefix`; what is no segment's is passed over.
    pub(super) fn note(&self, prefix: &str, names: &[String]) {
        let digest = |name: &String| SegmentName::parse(name.strip_prefix(prefix)?)?.digest();
        let found = names.iter().filter_map(|name| Some((digest(name)?, name.clone())));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }

    /// The name of a segment, if it was listed.
    pub(super) fn name(&self, segment: &Digest) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(segment).cloned()
    }
}

/// The segments with these names, the oldest first; what is no segment's name is passed over.
pub(super) fn segments<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Descriptor> {
    let mut names: Vec<SegmentName> = names.filter_map(SegmentName::parse).collect();
    names.sort();
    names.dedup();
    let newest = names.len().saturating_sub(MAX_SEGMENTS);
    names.into_iter().skip(newest).filter_map(|name| name.descriptor()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_all_and_fit() {
        let name = SegmentName { created: 0x6a00_0000, size: 0xab_cdef, hex: "0f".repeat(32) };
        assert_eq!(SegmentName::parse(&name.text()), Some(name.clone()));
        let found = name.descriptor().unwrap();
        assert_eq!(SegmentName::of(&found, 0x6a00_0000), name);
        for cache in ["t".to_owned(), "x".repeat(128)] {
            let text = prefix(&cache) + &name.text();
            assert!(text.len() <= 128, "{text}");
        }
        assert_ne!(prefix(&format!("{}a", "x".repeat(60))), prefix(&format!("{}b", "x".repeat(60))));
    }

    /// Names, how many there are on a page, and what was asked: how many days back, and for how many pages.
    struct Many(Vec<String>, usize, Mutex<Vec<(String, usize)>>);

    impl Names for Many {
        async fn list(&self, prefix: &str, after: &str, pages: usize) -> Result<Listing, Error> {
            let age =
                u64::from_str_radix(&after[prefix.len()..], 16).map(|time| (now() - time + 3600) / 86_400);
            let age = age.map(|days| days.to_string()).unwrap_or_default();
            self.2.lock().unwrap().push((age, pages));
            let names: Vec<String> = self.0.iter().filter(|name| name.as_str() > after).cloned().collect();
            let more = names.len() > self.1 * pages;
            let names = names.into_iter().take(self.1 * pages).collect();
            Ok(Listing { names, more, from_first: false })
        }
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    /// How many names are found of segments that are so many hours old, and what was asked.
    async fn found(ages: impl Iterator<Item = u64>, page: usize) -> (Vec<String>, Vec<(String, usize)>) {
        let hex = "0f".repeat(32);
        let names = ages.map(|hours| format!("p-{:08x}-1-{hex}", now() - hours * 3600 + 1800));
        let mut names: Vec<String> = names.collect();
        names.sort();
        let many = Many(names.clone(), page, Mutex::default());
        let found = newest(&many, "p-").await.unwrap();
        assert_eq!(found.last(), names.last(), "the newest is always found");
        (found, many.2.into_inner().unwrap())
    }

    #[tokio::test]
    async fn the_newest_are_found_among_many() {
        let ask = |age: &str, pages| (age.to_owned(), pages);
        let (names, asked) = found(1..=3, 10).await;
        assert_eq!((names.len(), asked), (3, vec![ask("", 1)]));
        // 24 a day, for a year
        let (names, asked) = found(1..=365 * 24, 30).await;
        assert_eq!(asked, [ask("", 1), ask("1", 100), ask("32", 100), ask("64", 100)]);
        assert_eq!(names.len(), 64 * 24);
        // 240 a day
        let (names, asked) = found((1..=20_000).map(|n| 1 + n / 10), 30).await;
        assert_eq!(asked, [ask("", 1), ask("1", 100), ask("5", 100)]);
        assert!((1000..2000).contains(&names.len()), "{}", names.len());
        let (names, asked) = found((0..100).map(|n| 24 * (100 + n)), 30).await;
        assert_eq!((names.len(), asked.last().unwrap()), (100, &ask("", 100)));
        // as many, but for today
        let (names, asked) = found((1..=20_000).map(|n| 25 + n / 10), 30).await;
        assert_eq!(asked, [ask("", 1), ask("1", 100), ask("32", 100), ask("16", 100), ask("8", 100)]);
        assert!((1000..2000).contains(&names.len()), "{}", names.len());
        // more old ones than can be listed, and few new ones
        let (names, _) = found((1..=40).chain((0..5000).map(|n| 40_000 + n)), 30).await;
        assert_eq!(names.len(), 40 + 3000);
    }

    #[test]
    fn other_names_are_passed_over() {
        let hex = "0f".repeat(32);
        for text in ["", "1", "1-2", "1-2-3", "x-2-", &format!("1-fffffffff-{hex}"), &format!("1--2-{hex}")] {
            assert_eq!(SegmentName::parse(text), None, "{text}");
        }
        let (new, old) = (format!("0000000b-1-{hex}"), format!("0000000a-2-{hex}"));
        let sizes: Vec<u64> =
            segments([new.as_str(), "x", &old].into_iter()).iter().map(|d| d.size).collect();
        assert_eq!(sizes, [2, 1]);
    }
}
