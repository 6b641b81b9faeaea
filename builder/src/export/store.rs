//! Names for images in the local store.

use garboard_registry::Reference;

use super::{Assembled, Exporter};
use crate::error::{Attempt, Error, Result};

impl Exporter<'_> {
    /// Gives the result its names. All its layers are brought in first: other tools read the store as an OCI layout.
    pub(super) async fn store(&self, assembled: &Assembled, names: &[Reference]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        self.fetch_all(assembled).await?;
        let descriptor = serde_json::to_value(&assembled.root).map_err(|e| Error::Internal(e.to_string()))?;
        for name in names {
            self.layers
                .store
                .tag(&name.to_string(), &descriptor)
                .attempt(|| format!("failed to name {name}"))?;
        }
        Ok(())
    }
}
