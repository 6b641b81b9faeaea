//! Trying credentials out, and remembering them.
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::auth::Scopes;
use crate::client::Client;
use crate::credentials::{Credential, LoginStore, StaticCredentials};
use crate::endpoint_url::base;
use crate::error::Error;
use crate::transport::{Call, Payload};

impl Client {
    /// Asks `host` whether it takes these credentials. A registry that asks nobody for any takes all.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it refuses them, or why it could not be asked.
    pub async fn check_login(&self, host: &str, credential: &Credential) -> Result<(), Error> {
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let mut credentials = StaticCredentials::default();
        credentials.set(host, credential.clone());
        let mut config = self.inner.config.clone();
        config.credentials = Arc::new(credentials);
        Self::new(config).ask_base(host, &format!("log in to `{host}`")).await
    }

    /// Asks for nothing in particular.
    async fn ask_base(&self, host: &str, action: &str) -> Result<(), Error> {
        let endpoint = self.inner.config.hosts.upstream(host);
        let call = Call {
            url: base(&endpoint)?,
            endpoint: &endpoint,
            repository: String::new(),
            scopes: Scopes::default(),
            method: Method::GET,
            headers: HeaderMap::new(),
            payload: Payload::None,
            action,
            attempts: self.inner.config.retry.attempts,
        };
        self.inner.transport.send(&call).await.map(|_| ())
    }

    /// Asks whether `host` is a registry, and whether it answers those who show nothing.
    ///
    /// # Errors
    /// Why it could not be asked, or that it is no registry.
    pub async fn check_anonymous(&self, host: &str) -> Result<bool, Error> {
        let mut config = self.inner.config.clone();
        config.credentials = Arc::new(crate::credentials::NoCredentials);
        match Self::new(config).ask_base(host, &format!("ask `{host}`")).await {
            Ok(()) => Ok(true),
            Err(Error::Unauthorized { .. } | Error::Denied { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Checks a user's secret with `host` and stores it. Says whether a helper keeps it, rather than the file.
    ///
    /// # Errors
    /// As [`Self::check_login`], and [`Error::Credential`] when it can't be stored.
    pub async fn login(
        &self,
        host: &str,
        user: &str,
        secret: &str,
        store: &LoginStore,
    ) -> Result<bool, Error> {
        let credential = Credential::basic(user, secret);
        self.check_login(host, &credential).await?;
        let kept_by_helper = store.store(host, &credential).await?;
        self.inner.transport.auth.forget(host);
        Ok(kept_by_helper)
    }
}
