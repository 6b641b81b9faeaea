//! Several places to get credentials from, one after the other.
use std::fmt;
use std::sync::Arc;

use super::{Credential, CredentialError, CredentialFuture, Credentials, Target};

/// Asks each place in turn; the first that knows credentials wins. A place that fails doesn't keep the others from being
/// asked: its failure counts when nobody knows any.
#[derive(Clone, Default)]
pub struct ChainedCredentials(pub Vec<Arc<dyn Credentials>>);

impl fmt::Debug for ChainedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainedCredentials({} places)", self.0.len())
    }
}

impl ChainedCredentials {
    async fn find(&self, target: Target<'_>) -> Result<Option<Credential>, CredentialError> {
        let mut failure = None;
        for place in &self.0 {
            match place.get(target).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(None), Err)
    }
}

impl Credentials for ChainedCredentials {
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a> {
        Box::pin(self.find(target))
    }
}
