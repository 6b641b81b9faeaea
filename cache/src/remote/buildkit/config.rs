//! The document of a cache: records of results, and the layers that they are made of.
//!
//! Nothing in it is trusted: its size and the number of its parts are bounded here, whether its numbers fit each other is
//! checked where it is used.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{CacheError, Result};

/// Bytes of a document at most. `BuildKit` itself reads no more than 1 MiB, but writes more.
pub(super) const MAX_BYTES: u64 = 32 << 20;
/// Records, layers, or links in one document at most.
const MAX_PARTS: usize = 500_000;

/// All that a cache knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheConfig {
    /// The layers that results are made of.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<CacheLayer>,
    /// The records.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<CacheRecord>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLayer {
    /// Digest of its blob.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub blob: String,
    /// Number of the layer below; -1: none is. The number 0 is left out.
    #[serde(default, rename = "parent", skip_serializing_if = "is_zero")]
    pub parent: i64,
    /// What a manifest says elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<LayerNotes>,
}

/// What is known of a layer where no manifest tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerNotes {
    /// Media type of its blob.
    #[serde(default, rename = "mediaType", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Digest of its uncompressed tar.
    #[serde(default, rename = "diffID", skip_serializing_if = "String::is_empty")]
    pub diff_id: String,
    /// Bytes of its blob.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: i64,
    /// When it was made, RFC 3339.
    #[serde(default, rename = "createdAt")]
    pub created_at: String,
}

/// An operation with certain inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Results: layers with all that is below them.
    #[serde(
        default,
        rename = "layers",
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub results: Vec<CacheResult>,
    /// Results: lists of layers.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<ChainedResult>,
    /// What the operation and its output are, see [`super::keys::record`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// For each input the records that it may be.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Option<Vec<CacheInput>>>,
}

/// A result by its top layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheResult {
    /// Number of the layer.
    #[serde(default)]
    pub layer: i64,
    /// When it was made, RFC 3339.
    #[serde(default, rename = "createdAt")]
    pub created_at: String,
}

/// A result by all its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainedResult {
    /// Numbers of the layers, the lowest first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub layers: Vec<i64>,
    /// When it was made, RFC 3339.
    #[serde(default, rename = "createdAt")]
    pub created_at: String,
}

/// A record that an input may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheInput {
    /// Digest of which part of the input counts; empty: of no part by name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Number of the record.
    #[serde(default)]
    pub link: i64,
}

impl CacheConfig {
    /// Reads a document.
    ///
    /// # Errors
    /// [`CacheError::BadSegment`] for what is none, and for one that is too big.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(bad("it is too big"));
        }
        let config: Self = serde_json::from_slice(bytes).map_err(|e| bad(&e.to_string()))?;
        config.bounded()
    }

    /// Reads records that stand alone, as in an image's config. They speak of the image's layers.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_records(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(bad("it is too big"));
        }
        let records: Option<Vec<CacheRecord>> =
            serde_json::from_slice(bytes).map_err(|e| bad(&e.to_string()))?;
        Self { layers: Vec::new(), records: records.unwrap_or_default() }.bounded()
    }

    fn bounded(self) -> Result<Self> {
        let links = |record: &CacheRecord| -> usize {
            let inputs: usize = record.inputs.iter().flatten().map(Vec::len).sum();
            let chains: usize = record.chains.iter().map(|chain| chain.layers.len()).sum();
            inputs + chains + record.results.len()
        };
        let count = self.layers.len() + self.records.len();
        if count > MAX_PARTS || self.records.iter().map(links).sum::<usize>() > MAX_PARTS {
            return Err(bad("it has too many parts"));
        }
        Ok(self)
    }

    /// The bytes of records that stand alone.
    pub fn records_to_bytes(records: &[CacheRecord]) -> Vec<u8> {
        super::go_json::bytes(&records)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        super::go_json::bytes(self)
    }
}

fn bad(problem: &str) -> CacheError {
    CacheError::BadSegment { problem: problem.to_owned() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes a list of nothing as `null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive() {
        let text = concat!(
            r#"{"layers":[{"blob":"sha256:a","parent":-1},{"blob":"sha256:b"},{"blob":"sha256:c","parent":1}],"#,
            r#""records":[{"layers":[{"layer":0,"createdAt":"2024-01-01T00:00:00Z"}],"digest":"sha256:k"},"#,
            r#"{"chains":[{"layers":[0,2],"createdAt":"0001-01-01T00:00:00Z"}],"digest":"sha256:l","#,
            r#""inputs":[[{"selector":"sha256:s","link":0},{"link":0}]]}]}"#
        );
        let config = CacheConfig::read(text.as_bytes()).unwrap();
        assert_eq!(config.layers[1].parent, 0);
        assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), text);
    }

    #[test]
    fn nothing_is_accepted_and_rubbish_is_not() {
        for text in ["{}", r#"{"layers":null,"records":null}"#] {
            assert_eq!(CacheConfig::read(text.as_bytes()).unwrap(), CacheConfig::default());
        }
        assert_eq!(CacheConfig::read_records(b"null").unwrap(), CacheConfig::default());
        for text in
            ["", "[1]", r#"{"records":[{"digest":1}]}"#, r#"{"records":[{"inputs":[[{"link":"x"}]]}]}"#]
        {
            assert!(CacheConfig::read(text.as_bytes()).is_err(), "{text}");
        }
        let many = format!(r#"[{{"inputs":[[{}{{}}]]}}]"#, "{},".repeat(MAX_PARTS));
        assert!(CacheConfig::read_records(many.as_bytes()).is_err());
    }
}
