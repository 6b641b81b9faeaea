//! Names of segments: each says all that is needed to fetch it and to check what comes.

use garboard_layer::ContentDigest;
use garboard_registry::Descriptor;
use oci_spec::image::Digest;

use super::segment::{MAX_BYTES, MEDIA_TYPE};

/// Tags of registries are at most 128 characters; so many are left for the name of the cache.
const MAX_CACHE: usize = 40;
/// Segments that are read at most, the newest.
const MAX_SEGMENTS: usize = 1000;

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

/// The segments with these names, the oldest first; what is no segment's name is passed over.
pub(super) fn segments<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Descriptor> {
    let mut names: Vec<SegmentName> = names.filter_map(SegmentName::parse).collect();
    names.sort();
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
