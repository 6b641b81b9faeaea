//! Names for images in the local store.

use garboard_registry::Reference;

use super::{Assembled, Exporter};
use crate::error::{Attempt, Error, Result};
use crate::request::Keep;

impl Exporter<'_> {
    /// Gives the result its names. All its layers are brought in first: other tools read the store as an OCI layout. Where
    /// they are not to be fetched for it, the names go, so that none stands for an older image.
    pub(super) async fn keep(&self, assembled: &Assembled, names: &[Reference], keep: Keep) -> Result<()> {
        let store = &self.layers.store;
        let is_here = || assembled.layers().all(|l| store.blob_size(&l.descriptor.digest).is_some());
        match keep {
            _ if names.is_empty() => return Ok(()),
            Keep::No => return Ok(()),
            Keep::IfHere if !is_here() => {
                let untag = |name: &Reference| store.untag(&name.to_string()).map(drop);
                return names.iter().try_for_each(untag).attempt(|| "failed to take a name away".into());
            }
            Keep::IfHere => {}
            Keep::Yes => self.fetch_all(assembled).await?,
        }
        let descriptor = serde_json::to_value(&assembled.root).map_err(|e| Error::Internal(e.to_string()))?;
        for name in names {
            store.tag(&name.to_string(), &descriptor).attempt(|| format!("failed to name {name}"))?;
        }
        Ok(())
    }
}
