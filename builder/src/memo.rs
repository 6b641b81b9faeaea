//! Work that is done once in a build or a run, whoever asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::error::Result;

/// Results by what was asked for.
pub(crate) struct Memo<T>(Mutex<HashMap<String, Arc<OnceCell<Result<T>>>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    /// The result for `what`, from `work` if nobody asked for it before. In a box: its state is big.
    pub(crate) async fn get(
        &self,
        what: &(impl Serialize + Sync),
        work: BoxFuture<'_, Result<T>>,
    ) -> Result<T> {
        let name = serde_json::to_string(what).expect("operations are plain data");
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(name).or_default())
        };
        cell.get_or_init(|| work).await.clone()
    }
}
