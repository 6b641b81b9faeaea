//! Gets tokens from token servers.
//!
//! User name and password go in the `Authorization` of a GET, as Docker does it. A refresh token goes in the form
//! of a POST, as OAuth 2 wants it. Servers that only know the other way get it.
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::scope::Scopes;
use crate::credentials::Credential;
use crate::endpoint_url::host_of;
use crate::error::Error;
use crate::transport::{Backoff, Call, Wire, printable, read_bounded};

/// The protocol's word for a token that doesn't say how long it lives.
const DEFAULT_LIFETIME: u64 = 60;
/// A token this close to its end is not used any more.
const EARLY: Duration = Duration::from_secs(10);
/// More than any token server answers.
const MAX_ANSWER: u64 = 1 << 20;

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenServer {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
}

/// A token, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    pub(super) good_until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenServer {
    /// Gets a token for `scopes`, anonymous without a credential.
    pub(super) async fn token(
        &self,
        wire: &Wire,
        call: &Call<'_>,
        scopes: &Scopes,
        credential: Option<&Credential>,
    ) -> Result<Token, Error> {
        let question = Question { server: self, wire, call, scopes, credential };
        let mut backoff = Backoff::new(wire.retry.clone(), call.attempts);
        loop {
            let error = match question.ask().await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let retry_after = match &error {
                Error::RateLimited { retry_after, .. } => *retry_after,
                _ => None,
            };
            match backoff.next(&error, retry_after) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

/// One question for a token, with all that goes into it.
struct Question<'a> {
    server: &'a TokenServer,
    wire: &'a Wire,
    call: &'a Call<'a>,
    scopes: &'a Scopes,
    credential: Option<&'a Credential>,
}

impl Question<'_> {
    async fn ask(&self) -> Result<Token, Error> {
        let begun = Instant::now();
        let mut response = match self.credential {
            Some(Credential::IdentityToken { .. }) => {
                let response = self.post().await?;
                if knows_only_the_other(response.status(), true) { self.get().await? } else { response }
            }
            Some(Credential::Basic { .. }) => {
                let response = self.get().await?;
                if knows_only_the_other(response.status(), false) { self.post().await? } else { response }
            }
            _ => self.get().await?,
        };
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let host = host_of(&self.server.realm);
        let action = format!("{}: get a token", self.call.action);
        let bytes = read_bounded(self.wire, &action, host, &mut response, MAX_ANSWER).await?;
        let problem = |problem: &str| Error::Protocol {
            action: self.call.action.into(),
            problem: format!("the token server `{host}` answered with {problem}"),
        };
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|_| problem("something that is no token"))?;
        let text = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
        let text = text.filter(|token| !token.is_empty()).ok_or_else(|| problem("no token"))?;
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFETIME).min(7 * 24 * 3600));
        let header = bearer(&text).ok_or_else(|| problem("a token that can't be sent"))?;
        Ok(Token { header, good_until: begun + lifetime.saturating_sub(EARLY.min(lifetime / 4)) })
    }

    async fn get(&self) -> Result<Response, Error> {
        let mut url = self.server.realm.clone();
        let mut headers = HeaderMap::new();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = &self.server.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes.texts() {
                query.append_pair("scope", &scope);
            }
            match self.credential {
                Some(Credential::Basic { username, password }) => {
                    query.append_pair("account", username);
                    headers.insert(AUTHORIZATION, basic(username, password));
                }
                Some(Credential::IdentityToken { username, token }) => {
                    headers.insert(AUTHORIZATION, basic(username, token));
                }
                _ => {}
            }
        }
        self.wire.plain(Method::GET, &url, headers, None, self.call).await
    }

    async fn post(&self) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.wire.plain(Method::POST, &self.server.realm, headers, Some(self.form()), self.call).await
    }

    fn form(&self) -> Bytes {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        match self.credential {
            Some(Credential::IdentityToken { token, .. }) => {
                form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
            }
            Some(Credential::Basic { username, password }) => {
                form.append_pair("grant_type", "password").append_pair("username", username);
                form.append_pair("password", password);
            }
            _ => {}
        }
        let service = self.server.service.as_deref().unwrap_or_default();
        let scopes = self.scopes.texts().collect::<Vec<_>>().join(" ");
        form.append_pair("service", service).append_pair("client_id", "garboard");
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes);
        }
        Bytes::from(form.finish())
    }

    /// The error for a token server's refusal.
    async fn refusal(&self, mut response: Response) -> Error {
        let status = response.status();
        let host = host_of(&self.server.realm);
        let retry_after = crate::transport::retry_after(response.headers());
        let body = read_bounded(self.wire, self.call.action, host, &mut response, 64 << 10)
            .await
            .unwrap_or_default();
        let said = crate::transport::message(&String::from_utf8_lossy(&body), false);
        let message = printable(&format!("token server `{host}`: {said}"));
        let had_credentials = self.credential.is_some();
        let (action, host) = (self.call.action.to_owned(), self.call.endpoint.host.clone());
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { action, host, had_credentials, message },
            StatusCode::FORBIDDEN => Error::Denied { action, host, had_credentials, message },
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { action, host, retry_after, message },
            status => Error::Status { action, host, status: status.as_u16(), message },
        }
    }
}

/// Whether the answer may mean that the server does not know this way of asking. To the form they don't know,
/// servers answer 404 (GCR), 401 (Artifactory), 400 (ACR) and 405; to the GET only the plain ones count, since 401
/// there means a wrong password.
fn knows_only_the_other(status: StatusCode, posted: bool) -> bool {
    match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => true,
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => posted,
        _ => false,
    }
}

/// `Authorization: Basic …`, never shown in logs.
pub(super) fn basic(username: &str, password: &str) -> HeaderValue {
    let encoded = STANDARD.encode(format!("{username}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).expect("Base64 fits in a header");
    value.set_sensitive(true);
    value
}

/// `Authorization: Bearer …`, never shown in logs.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
