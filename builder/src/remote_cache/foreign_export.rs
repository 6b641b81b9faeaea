//! Writing a cache in `BuildKit`'s format.
//!
//! There is one document for all, which replaces the one before it: whoever writes last has written all there is. One that
//! lacks layers replaces nothing.

use std::collections::HashMap;
use std::fmt::Write as _;

use futures_util::stream::{self, StreamExt as _};
use garboard_cache::LayerId;
use garboard_cache::remote::buildkit::{CREATED_AT, DIFF_ID, ForeignCache};
use garboard_registry::Descriptor;

use super::export::{AT_ONCE, Writer, push_failure, until};
use crate::error::Result;
use crate::foreign::Records;
use crate::tree::TreeLayer;

impl Writer<'_> {
    /// Sends the layers of all results, and then the document.
    pub(super) async fn write_foreign(&self, records: &Records) -> Result<()> {
        if records.is_empty() {
            self.step.progress("no results", 1, 1, true);
            return Ok(());
        }
        let (sent, left) = self.send_layers(&records.layers).await?;
        let blobs: HashMap<String, String> =
            sent.iter().map(|(id, blob)| (id.to_string(), blob.digest.to_string())).collect();
        let config = records.config(&blobs);
        let mut layers: Vec<Descriptor> = Vec::new();
        for layer in &config.layers {
            let found = sent.iter().find(|(_, blob)| blob.digest.as_ref() == layer.blob);
            layers.extend(found.map(|(_, blob)| blob.clone()));
        }
        let results = config.records.iter().filter(|record| !record.results.is_empty()).count();
        let mut text = format!("{results} results, {} blobs", sent.len());
        if left > 0 {
            let _ = write!(text, "; {left} layers are left out");
        }
        let cache = &self.loaded.cache;
        // The document takes the place of all that is there.
        let before: usize = self.loaded.foreign.iter().map(ForeignCache::len).sum();
        if left > 0 && before > 0 {
            let problem = format!("{left} layers can't be sent, so what is there stays");
            if !self.target.ignore_error {
                let action = format!("write the cache `{}`", cache.title());
                return Err(push_failure(cache, garboard_registry::Error::Protocol { action, problem }));
            }
            self.step.progress(&problem, 1, 1, true);
            return Ok(());
        }
        let put = cache.put_foreign(config.to_bytes(), &layers).await;
        put.map_err(|source| push_failure(cache, source))?;
        self.step.progress(&text, 1, 1, true);
        Ok(())
    }

    /// Sends layers for as long as there is time; how many are not there then.
    async fn send_layers(&self, layers: &[TreeLayer]) -> Result<(Vec<(LayerId, Descriptor)>, usize)> {
        let sends: Vec<_> = layers.iter().map(|layer| self.send_foreign(layer)).collect();
        let mut sends = stream::iter(sends).buffer_unordered(AT_ONCE);
        let mut sent = Vec::new();
        loop {
            let next = tokio::select! {
                biased;
                next = sends.next() => next,
                () = until(self.end) => None,
            };
            let Some(next) = next else { break };
            sent.extend(next?);
        }
        let left = layers.len() - sent.len();
        Ok((sent, left))
    }

    /// Makes sure that a layer's blob is there; `None` for one that can't be had.
    async fn send_foreign(&self, layer: &TreeLayer) -> Result<Option<(LayerId, Descriptor)>> {
        let blob = if layer.base {
            Some(self.layers.blob(&layer.id, true, self.sender.format).await?)
        } else {
            self.sender.blob_of(layer).await?
        };
        let Some(blob) = blob else { return Ok(None) };
        if !self.sender.send_blob(layer, &blob).await? {
            // A result without the layers below it is none: what is elsewhere has to come here.
            let fetched = self.layers.fetch_blob(&layer.id, &blob.digest).await;
            if fetched.is_err() || !self.sender.send_blob(layer, &blob).await? {
                return Ok(None);
            }
        }
        let diff_id = self.layers.diff_id(&layer.id)?;
        let mut descriptor =
            Descriptor::new(crate::layers::type_in(&blob, false), blob.digest.clone(), blob.size);
        descriptor.annotations.insert(DIFF_ID.to_owned(), diff_id.to_string());
        let created = jiff::Timestamp::from_second(layer.created).unwrap_or_default();
        descriptor.annotations.insert(CREATED_AT.to_owned(), created.to_string());
        Ok(Some((layer.id.clone(), descriptor)))
    }
}
