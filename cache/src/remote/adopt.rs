//! Taking over what a remote cache knows, without fetching any layer.

use std::sync::Arc;

use garboard_layer::Toc;
use serde::{Deserialize, Serialize};

use super::segment::{SegmentBlob, SegmentLayer, SegmentRecord, unpack};
use crate::{CacheError, LayerBlob, LayerId, Origin, Place, Record, Result, Store, Vouchers};

/// Namespace of small facts: where a layer's table of contents is to be had.
const TOC: &str = "toc";
/// Namespace of small facts: the newest record when a layer got a table of contents that is only claimed.
pub(crate) const CLAIMED: &str = "toc claimed";
/// Bytes of a table of contents, unpacked.
const MAX_TOC: u64 = 256 << 20;
/// Keys of a record that are taken over: a step has one, and those that other builds found it under.
const MAX_KEYS: usize = 16;
/// Characters of what is kept of a step's inputs.
const MAX_INPUTS: usize = 100_000;
/// Milliseconds that a step is believed to have taken at most: a month.
const MAX_DURATION: u64 = 30 * 86_400 * 1000;
/// Compression of tables: they are small, and read far more often than written.
const LEVEL: i32 = 3;

/// Where a table of contents may be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TocSource {
    /// Who has it.
    pub place: Place,
    /// The blob.
    pub blob: SegmentBlob,
}

/// A table of contents as it is kept in a remote cache.
///
/// # Errors
/// [`CacheError::BadSegment`] if it can't be compressed.
pub fn pack_toc(toc: &Toc) -> Result<Vec<u8>> {
    zstd::encode_all(&toc.to_bytes()[..], LEVEL)
        .map_err(|e| CacheError::BadSegment { problem: e.to_string() })
}

impl TocSource {
    /// Reads what [`pack_toc`] made.
    ///
    /// # Errors
    /// [`CacheError::BadSegment`] for anything else.
    pub fn read(bytes: &[u8]) -> Result<Arc<Toc>> {
        let bad = |problem: String| CacheError::BadSegment { problem };
        let bytes = unpack(bytes, MAX_TOC).map_err(|e| bad(e.to_string()))?;
        Toc::from_bytes(&bytes).map(Arc::new).map_err(|e| bad(e.to_string()))
    }
}

impl Store {
    /// Stores a record of the remote cache `name` at `place`, with a layer that is there and not here. `None` if the record
    /// lacks something. That the layer is the result of this step is only claimed: what was made here is not replaced.
    pub fn adopt(
        &self,
        record: &SegmentRecord,
        layer: &SegmentLayer,
        name: &str,
        place: &Place,
    ) -> Result<Option<Record>> {
        let (Some(content), Some(blob)) = (record.content(), &layer.blob) else { return Ok(None) };
        let blob = LayerBlob {
            media_type: blob.media_type.clone(),
            digest: blob.digest.clone(),
            size: blob.size,
            annotations: std::collections::BTreeMap::new(),
            urls: Vec::new(),
            present: false,
        };
        let origin = Origin { place: place.clone(), digest: blob.digest.clone() };
        let id = self.add_remote_layer(&layer.diff_id, &blob, &origin)?;
        if let Some(toc) = &layer.toc {
            self.note_toc_source(&id, &TocSource { place: origin.place, blob: toc.clone() })?;
        }
        let adopted = Record {
            layer: Some(id),
            content: Some(content),
            created: record.created,
            description: record.description.chars().take(10_000).collect(),
            inputs_json: record.inputs.chars().take(MAX_INPUTS).collect(),
            duration_ms: record.duration_ms.min(MAX_DURATION),
            vouchers: Vouchers::one(name),
        };
        let keys: Vec<_> = record.keys().take(MAX_KEYS).collect();
        self.put_claimed_record(&keys, &adopted)?;
        Ok(Some(adopted))
    }

    /// Notes where a layer's table of contents may be fetched from.
    pub fn note_toc_source(&self, id: &LayerId, source: &TocSource) -> Result<()> {
        let text = serde_json::to_vec(source).unwrap_or_default();
        self.put_meta(TOC, id.as_str(), &text)
    }

    /// Where a layer's table of contents may be fetched from, if that is known.
    pub fn toc_source(&self, id: &LayerId) -> Result<Option<TocSource>> {
        let found = self.get_meta(TOC, id.as_str())?;
        Ok(found.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Gives a layer a table of contents that the remote cache `name` claims. What is decided on it counts only until the layer is
    /// unpacked and its true table is another: see [`Self::forget_claims`]. `false`: its true one is known.
    ///
    /// # Errors
    /// As [`Self::attach_toc`].
    pub fn attach_claimed_toc(&self, id: &LayerId, toc: Arc<Toc>, name: &str) -> Result<bool> {
        let earlier = self.claim(id)?;
        let is_known = self.layer(id)?.is_some_and(|info| info.folder.is_some() || info.has_toc);
        if is_known && earlier.is_none() {
            return Ok(false);
        }
        let mut claim = earlier.unwrap_or_default();
        claim.retain(|known| known != name);
        claim.insert(0, name.to_owned());
        self.put_meta(CLAIMED, id.as_str(), claim.join("\n").as_bytes())?;
        self.attach_toc(id, toc)?;
        Ok(true)
    }

    /// The remote cache that claims what a layer's table of contents is; `None` where that is known.
    pub fn claimed_by(&self, id: &LayerId) -> Result<Option<String>> {
        Ok(self.claim(id)?.map(|names| names.into_iter().next().unwrap_or_default()))
    }

    /// Who claims what a layer's table of contents is, and behind it those who claimed another before.
    fn claim(&self, id: &LayerId) -> Result<Option<Vec<String>>> {
        let claimed = self.get_meta(CLAIMED, id.as_str())?;
        Ok(claimed.map(|bytes| String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()))
    }

    /// Notes that a layer's table of contents was found to be true.
    pub fn confirm_claim(&self, id: &LayerId) -> Result<()> {
        match self.get_meta(CLAIMED, id.as_str())? {
            Some(_) => self.remove_meta(CLAIMED, id.as_str()),
            None => Ok(()),
        }
    }

    /// Removes all records that rest on the word of whoever claimed a table of contents for the layer. Returns how many: most
    /// have nothing to do with it, but which have nobody knows.
    pub fn forget_claims(&self, id: &LayerId) -> Result<usize> {
        let Some(names) = self.claim(id)? else { return Ok(0) };
        self.remove_meta(CLAIMED, id.as_str())?;
        names.iter().try_fold(0, |sum, name| Ok(sum + self.forget_vouched(name)?))
    }

    /// Forgets that there is a place to fetch the table from.
    pub fn forget_toc_source(&self, id: &LayerId) -> Result<()> {
        self.remove_meta(TOC, id.as_str())
    }
}
