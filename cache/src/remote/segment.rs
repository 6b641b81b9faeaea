//! A segment: what one build adds to a remote cache. Written once, never changed; segments of any number of builds,
//! machines and branches are simply read together.
//!
//! It is JSON, compressed with zstd. Nothing in it is trusted: sizes and counts are bounded, digests are checked where
//! what they stand for is read, and a record whose parts don't fit each other is passed over.

use std::collections::BTreeMap;
use std::io::Read as _;

use garboard_layer::ContentDigest;
use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};

use crate::{CacheError, Key, Result};

/// Media type of a segment.
pub const MEDIA_TYPE: &str = "application/vnd.garboard.cache.segment.v1+json+zstd";

/// Bytes of a segment at most, compressed.
pub(super) const MAX_BYTES: u64 = 16 << 20;
/// And unpacked.
const MAX_UNPACKED: u64 = 32 << 20;
const VERSION: u32 = 1;
const LEVEL: i32 = 9;

/// What one build made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    version: u32,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// The layers that records name, and those below them.
    pub layers: Vec<SegmentLayer>,
    /// Results of steps.
    pub records: Vec<SegmentRecord>,
    /// What definitions last led to: key and content, in hex.
    #[serde(default)]
    pub made: BTreeMap<String, String>,
    /// Folders of cache mounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<SegmentMount>,
    /// Digests (hex) of segments that this one holds all of which is worth keeping: they need not be read, should they still
    /// be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
}

/// A blob: where bytes are to be had under which digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentBlob {
    /// Its media type.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLayer {
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Its table of contents, compressed with zstd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toc: Option<SegmentBlob>,
    /// Its compressed tar; none for a base image's layer, which is where the image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<SegmentBlob>,
    /// As [`SegmentRecord::seen`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: i64,
}

/// The folder of a cache mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMount {
    /// Which one: its id with whatever else tells it from others.
    pub id: String,
    /// Digest of what is in it, in hex; times don't count.
    pub content: String,
    /// A tar of all that is in it.
    pub blob: SegmentBlob,
    /// Mode, owner and group of the folder itself.
    pub root: [u32; 3],
    /// When a build last had it so, milliseconds since 1970: the newest counts.
    pub seen_ms: i64,
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    /// Its keys, in hex.
    pub keys: Vec<String>,
    /// Which of the layers it is.
    pub layer: usize,
    /// Digest of what it holds, in hex.
    pub content: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// For people: the instruction.
    pub description: String,
    /// What the step was made of, as JSON, to explain a later miss.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inputs: String,
    /// How long making it took in milliseconds; 0 where that wasn't noted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duration_ms: u64,
    /// What it made of `/` itself: mode, owner, group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<[u32; 3]>,
    /// When a build last had it, seconds since 1970; 0: when the segment was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seen: i64,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl Segment {
    /// An empty one, made at a time (seconds since 1970).
    pub fn new(created: i64) -> Self {
        Self { version: VERSION, created, ..Self::default() }
    }

    /// When a build last had something of it that says `seen`.
    pub(super) fn seen(&self, seen: i64) -> i64 {
        if seen == 0 { self.created } else { seen }
    }

    /// Its bytes, of media type [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// [`CacheError::BadSegment`] if it would be too big to be read again.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bad = |e: &dyn std::fmt::Display| CacheError::BadSegment { problem: e.to_string() };
        let json = serde_json::to_vec(self).map_err(|e| bad(&e))?;
        let bytes = zstd::encode_all(&json[..], LEVEL).map_err(|e| bad(&e))?;
        if json.len() as u64 > MAX_UNPACKED || bytes.len() as u64 > MAX_BYTES {
            return Err(bad(&"it is too big"));
        }
        Ok(bytes)
    }

    /// Reads what [`Self::to_bytes`] made.
    ///
    /// # Errors
    /// [`CacheError::BadSegment`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes, MAX_UNPACKED).map(|(segment, _)| segment)
    }

    /// As [`Self::from_bytes`], of at most `limit` bytes when unpacked; also says how many it has then.
    ///
    /// # Errors
    /// [`CacheError::BadSegment`] for more, and for anything else.
    pub fn read(bytes: &[u8], limit: u64) -> Result<(Self, u64)> {
        let bad = |problem: String| CacheError::BadSegment { problem };
        let json = unpack(bytes, limit.min(MAX_UNPACKED)).map_err(|e| bad(e.to_string()))?;
        let segment: Self = serde_json::from_slice(&json).map_err(|e| bad(e.to_string()))?;
        if segment.version != VERSION {
            return Err(bad(format!("it is of version {}, not {VERSION}", segment.version)));
        }
        Ok((segment, json.len() as u64))
    }
}

/// Unpacks zstd to at most `limit` bytes.
pub(super) fn unpack(bytes: &[u8], limit: u64) -> std::io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(bytes)?;
    decoder.window_log_max(27)?;
    let mut unpacked = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > limit {
        return Err(std::io::Error::other("it unfolds to too many bytes"));
    }
    Ok(unpacked)
}

impl Segment {
    /// Takes times after `now` (seconds since 1970) for it: a clock that was wrong once would be right for ever.
    pub fn clamp(&mut self, now: i64) {
        self.created = self.created.min(now);
        for record in &mut self.records {
            record.created = record.created.min(now);
            record.seen = record.seen.min(now);
        }
        for layer in &mut self.layers {
            layer.seen = layer.seen.min(now);
        }
        for mount in &mut self.mounts {
            mount.seen_ms = mount.seen_ms.min(now.saturating_mul(1000).saturating_add(999));
        }
    }

    /// All blobs that it names; some more than once.
    pub fn blobs(&self) -> impl Iterator<Item = &SegmentBlob> {
        self.layers.iter().flat_map(SegmentLayer::blobs).chain(self.mounts.iter().map(|mount| &mount.blob))
    }
}

impl SegmentLayer {
    /// The blobs that it names.
    pub fn blobs(&self) -> impl Iterator<Item = &SegmentBlob> {
        self.blob.iter().chain(&self.toc)
    }
}

impl SegmentRecord {
    /// Its keys that are some.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.keys.iter().filter_map(|key| Key::parse(key))
    }

    /// Its content digest.
    pub fn content(&self) -> Option<ContentDigest> {
        Key::parse(&self.content).map(|key| ContentDigest(key.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_a_duration_are_read_and_written_as_before() {
        let json = r#"{"keys":["k"],"layer":0,"content":"c","created":5,"description":"RUN x"}"#;
        let record: SegmentRecord = serde_json::from_str(json).unwrap();
        assert_eq!(record.duration_ms, 0);
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        let timed = SegmentRecord { duration_ms: 7, ..record };
        let read: SegmentRecord = serde_json::from_str(&serde_json::to_string(&timed).unwrap()).unwrap();
        assert_eq!(read, timed);
    }

    #[test]
    fn times_are_not_in_the_future() {
        let diff_id = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let layer = SegmentLayer { diff_id, toc: None, blob: None, seen: i64::MAX };
        let mut segment = Segment { layers: vec![layer], ..Segment::new(200) };
        segment.clamp(100);
        assert_eq!((segment.created, segment.layers[0].seen), (100, 100));
        segment.clamp(150);
        assert_eq!((segment.created, segment.layers[0].seen), (100, 100));
    }

    #[test]
    fn segments_survive_and_others_are_refused() {
        let segment = Segment { made: [("k".into(), "v".into())].into(), ..Segment::new(7) };
        assert_eq!(Segment::from_bytes(&segment.to_bytes().unwrap()).unwrap(), segment);
        let later = Segment { version: 2, ..segment };
        let packed = |json: &[u8]| zstd::encode_all(json, 1).unwrap();
        let bomb = packed(&vec![b' '; (MAX_UNPACKED + 1) as usize]);
        let rows = [
            (later.to_bytes().unwrap(), "version 2"),
            (bomb, "too many bytes"),
            (packed(b"{}"), "missing field"),
            (b"no zstd".to_vec(), ""),
            (Vec::new(), ""),
        ];
        for (bytes, problem) in rows {
            let error = Segment::from_bytes(&bytes).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
