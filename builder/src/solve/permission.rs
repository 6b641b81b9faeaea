//! Asks registries for the right to push, beside the first step that runs: better known then than at the end of a long build.
//!
//! A build that takes every step from the cache asks nothing, since its push comes at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::Solver;
use crate::error::Error;

/// The questions of one build.
#[derive(Default)]
pub(super) struct Permission {
    asked: AtomicBool,
    /// Ends with the value: a registry that takes its time to answer holds up nobody.
    questions: Mutex<JoinSet<()>>,
}

impl Solver {
    /// Asks each repository that the image goes to, once. Only a clear no ends the build: a registry that doesn't know the
    /// question, or can't be reached now, may take the image all the same.
    pub(super) fn ask_to_push(self: &Arc<Self>) {
        if self.environment.destinations.is_empty() || self.permission.asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut questions = self.permission.questions.lock().unwrap_or_else(PoisonError::into_inner);
        for name in self.environment.destinations.clone() {
            let (solver, client) = (Arc::downgrade(self), self.layers.client.clone());
            questions.spawn(async move {
                use garboard_registry::Error::{Denied, Unauthorized};
                if let Err(source @ (Unauthorized { .. } | Denied { .. })) = client.check_push(&name).await
                    && let Some(solver) = solver.upgrade()
                {
                    solver.refusal.note(Error::Push { name: name.to_string(), source }.into());
                }
            });
        }
    }

    /// Waits for no more answers: the push itself gets them.
    pub(super) fn stop_asking(&self) {
        self.permission.questions.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}
