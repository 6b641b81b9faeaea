//! Authorization: what each host wants, the tokens it gave, the secrets behind them.
//!
//! A host is first asked without any authorization; its challenge tells what it wants, and is remembered, so that
//! later requests carry their token at once. Nothing is asked of `/v2/` first.
mod challenge;
mod scope;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use url::Url;

use crate::credentials::{Credential, CredentialError, Credentials, Target};
use crate::endpoint_url::without_login;
use crate::error::Error;
use crate::transport::{Call, Wire};

pub(crate) use scope::Scopes;
use token::{Token, TokenServer};

/// More than any registry needs: the challenge, a stale secret, and tokens that end while others beside use them.
const MAX_REFUSALS: u32 = 10;
/// So many tokens that never worked are enough.
const UNTRIED: u32 = 2;

/// What a host wants to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer(TokenServer),
}

/// What to send with a request, and how new it is.
pub(crate) struct Grant {
    pub(crate) header: Option<HeaderValue>,
    /// Whether it comes from credentials rather than being anonymous.
    pub(crate) had_credentials: bool,
    scheme: Option<Scheme>,
    /// Whether the secret was looked up for this very call.
    new_secret: bool,
}

/// What a call was refused so far.
#[derive(Default)]
pub(crate) struct Refusals {
    all: u32,
    /// Those of tokens that no call had used with success before.
    untried: u32,
}

/// All that is known of one host.
#[derive(Default)]
struct HostState {
    known: Mutex<Known>,
    /// One lookup of secrets at a time: two helpers at once might ask for two PINs.
    lookup: tokio::sync::Mutex<()>,
    /// One token request a scope at a time.
    flights: Mutex<HashMap<Scopes, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Known {
    scheme: Option<Scheme>,
    /// Scopes that a challenge asked for beyond those we knew of.
    wider: HashMap<Scopes, Scopes>,
    secrets: HashMap<String, Option<Credential>>,
    failures: HashMap<String, CredentialError>,
    tokens: Vec<KeptToken>,
}

/// A token, for whom it was made and what it allows.
struct KeptToken {
    /// Tokens stay with the repository whose credentials made them.
    repository: String,
    scopes: Scopes,
    token: Token,
    /// Whether the host took it at least once: refused after that, it has ended; refused before, it may never be taken.
    works: bool,
}

/// Authorization for all hosts.
pub(crate) struct Auth {
    credentials: Arc<dyn Credentials>,
    hosts: Mutex<HashMap<(String, String), Arc<HostState>>>,
}

impl Auth {
    pub(crate) fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self { credentials, hosts: Mutex::default() }
    }

    /// What to send with `call`, from what is known of its host so far.
    pub(crate) async fn grant(&self, wire: &Wire, call: &Call<'_>) -> Result<Grant, Error> {
        let state = self.state(call);
        let scheme = state.known().scheme.clone();
        let mut grant =
            Grant { header: None, had_credentials: false, scheme: scheme.clone(), new_secret: true };
        match scheme {
            None => {}
            Some(Scheme::Basic) => {
                let (secret, new) = self.secret(&state, call).await;
                grant.new_secret = new;
                if let Some(secret) = secret {
                    grant.header = Some(basic_header(&secret));
                    grant.had_credentials = true;
                }
            }
            Some(Scheme::Bearer(server)) => self.bearer(wire, call, &state, &server, &mut grant).await?,
        }
        Ok(grant)
    }

    /// Notes that the host took what it was shown.
    pub(crate) fn accepted(&self, call: &Call<'_>, grant: &Grant) {
        let (Some(Scheme::Bearer(_)), Some(header)) = (&grant.scheme, &grant.header) else { return };
        let state = self.state(call);
        if let Some(kept) = state.known().tokens.iter_mut().find(|kept| kept.token.header == *header) {
            kept.works = true;
        }
    }

    /// Learns from a 401. Says whether to try again, because something changed or can be renewed.
    pub(crate) fn refused(
        &self,
        call: &Call<'_>,
        grant: &Grant,
        headers: &HeaderMap,
        refusals: &mut Refusals,
    ) -> Result<bool, Error> {
        let state = self.state(call);
        let mut known = state.known();
        refusals.all += 1;
        if refusals.all >= MAX_REFUSALS {
            return Ok(false);
        }
        let mut changed = false;
        if let Some((scheme, scopes)) = wanted(call, headers)? {
            changed = grant.scheme.as_ref() != Some(&scheme);
            known.scheme = Some(scheme);
            let wider = known.wider.get(&call.scopes).unwrap_or(&call.scopes);
            if !scopes.is_empty() && !wider.covers(&scopes) {
                let union = wider.union(&scopes);
                known.wider.insert(call.scopes.clone(), union);
                changed = true;
            }
        }
        let Some(header) = &grant.header else { return Ok(changed) };
        Ok(changed || known.renewed(call, grant, header, refusals))
    }

    /// Why there were no credentials for `call`, if looking them up failed.
    pub(crate) fn credential_failure(&self, call: &Call<'_>) -> Option<CredentialError> {
        let state = self.state(call);
        let mut known = state.known();
        let failure = known.failures.remove(&call.repository);
        if failure.is_some() {
            known.secrets.remove(&call.repository); // the next call looks again
        }
        failure
    }

    /// Forgets what `host` was shown, after a login changed it.
    pub(crate) fn forget(&self, host: &str) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).retain(|(own, _), _| own != host);
    }

    fn state(&self, call: &Call<'_>) -> Arc<HostState> {
        let key = (call.endpoint.host.clone(), call.endpoint.scheme().to_owned());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(key).or_default())
    }

    /// The secret for a call, and whether it was looked up just now. A failed lookup counts as none: most images
    /// are public. The failure is kept for when the registry refuses.
    async fn secret(&self, state: &HostState, call: &Call<'_>) -> (Option<Credential>, bool) {
        let _one = state.lookup.lock().await;
        if let Some(secret) = state.known().secrets.get(&call.repository) {
            return (secret.clone(), false);
        }
        let found =
            self.credentials.get(Target { host: &call.endpoint.host, repository: &call.repository }).await;
        let mut known = state.known();
        let secret = match found {
            Ok(secret) => secret,
            Err(error) => {
                tracing::debug!(host = call.endpoint.host, %error, "no credentials");
                known.failures.insert(call.repository.clone(), error);
                None
            }
        };
        known.secrets.insert(call.repository.clone(), secret.clone());
        (secret, true)
    }

    async fn bearer(
        &self,
        wire: &Wire,
        call: &Call<'_>,
        state: &HostState,
        server: &TokenServer,
        grant: &mut Grant,
    ) -> Result<(), Error> {
        let scopes = state.known().wider.get(&call.scopes).unwrap_or(&call.scopes).clone();
        let flight = state.flight(&scopes);
        let mut one = None; // flight at a time, where there is no token yet
        loop {
            if let Some(token) = state.token(&call.repository, &scopes) {
                grant.had_credentials = state.has_secret(&call.repository);
                grant.header = Some(token.header);
                grant.new_secret = false;
                return Ok(());
            }
            if one.is_some() {
                break;
            }
            one = Some(flight.lock().await);
        }
        let (mut secret, mut new) = self.secret(state, call).await;
        if let Some(Credential::RegistryToken(text)) = &secret {
            (grant.had_credentials, grant.new_secret) = (true, new);
            grant.header = token::bearer(text);
            return Ok(());
        }
        let mut token = server.token(wire, call, &scopes, secret.as_ref()).await;
        if matches!(token, Err(Error::Unauthorized { .. } | Error::Denied { .. })) {
            if !new && secret.is_some() {
                state.known().secrets.remove(&call.repository);
                (secret, new) = self.secret(state, call).await;
                token = server.token(wire, call, &scopes, secret.as_ref()).await;
            }
            if token.is_err()
                && let Some(failure) = self.credential_failure(call)
            {
                return Err(failure.into());
            }
        }
        let token = token?;
        grant.had_credentials = secret.is_some();
        grant.new_secret = new;
        grant.header = Some(token.header.clone());
        state.keep(&call.repository, scopes, token);
        Ok(())
    }
}

impl HostState {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that allows at least `scopes` and is still good.
    fn token(&self, repository: &str, scopes: &Scopes) -> Option<Token> {
        let now = Instant::now();
        let known = self.known();
        let fits = |kept: &&KeptToken| {
            kept.repository == repository && kept.scopes.covers(scopes) && kept.token.good_until > now
        };
        known.tokens.iter().find(fits).map(|kept| kept.token.clone())
    }

    fn keep(&self, repository: &str, scopes: Scopes, token: Token) {
        let now = Instant::now();
        let mut known = self.known();
        known.tokens.retain(|kept| {
            kept.token.good_until > now && !(kept.repository == repository && kept.scopes == scopes)
        });
        known.tokens.push(KeptToken { repository: repository.to_owned(), scopes, token, works: false });
    }

    fn has_secret(&self, repository: &str) -> bool {
        matches!(self.known().secrets.get(repository), Some(Some(_)))
    }

    fn flight(&self, scopes: &Scopes) -> Arc<tokio::sync::Mutex<()>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(flights.entry(scopes.clone()).or_default())
    }
}

impl Known {
    /// After a refusal of what the call showed: whether it may have ended, and something else can be shown.
    fn renewed(
        &mut self,
        call: &Call<'_>,
        grant: &Grant,
        header: &HeaderValue,
        refusals: &mut Refusals,
    ) -> bool {
        if matches!(grant.scheme, Some(Scheme::Bearer(_))) {
            let kept = self.tokens.iter().find(|kept| kept.token.header == *header);
            // gone: a call beside this one found out
            let had_worked = kept.is_none_or(|kept| kept.works);
            let is_registry_token = kept.is_none() && self.shows_own_token(call);
            self.tokens.retain(|kept| kept.token.header != *header);
            if had_worked && !is_registry_token {
                return true;
            }
            refusals.untried += 1;
            // It may have worked for a call whose answer was lost, and then ended.
            if !is_registry_token && grant.had_credentials && refusals.untried < UNTRIED {
                return true;
            }
        }
        if grant.new_secret || !grant.had_credentials {
            return false;
        }
        // secrets that helpers make expire too
        self.secrets.remove(&call.repository);
        self.tokens.retain(|kept| kept.repository != call.repository);
        true
    }

    /// Whether the token shown is the credential itself.
    fn shows_own_token(&self, call: &Call<'_>) -> bool {
        matches!(self.secrets.get(&call.repository), Some(Some(Credential::RegistryToken(_))))
    }
}

/// For hosts that want the password itself. Tokens made for such hosts are sent in its place.
fn basic_header(secret: &Credential) -> HeaderValue {
    match secret {
        Credential::Basic { username, password } => token::basic(username, password),
        Credential::IdentityToken { username, token } => token::basic(username, token),
        Credential::RegistryToken(token) => token::basic("", token),
    }
}

/// What the challenges of an answer want; a token rather than the bare password where there is a choice.
fn wanted(call: &Call<'_>, headers: &HeaderMap) -> Result<Option<(Scheme, Scopes)>, Error> {
    let challenges: Vec<challenge::Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(challenge::parse)
        .collect();
    let find = |scheme| challenges.iter().find(|challenge| challenge.scheme == scheme);
    let Some(bearer) = find("bearer").filter(|challenge| challenge.param("realm").is_some()) else {
        return Ok(find("basic").map(|_| (Scheme::Basic, Scopes::default())));
    };
    let problem = |problem: &str| Error::Protocol { action: call.action.into(), problem: problem.into() };
    let realm = bearer.param("realm").unwrap_or_default();
    let realm = Url::parse(realm)
        .or_else(|_| call.url.join(realm))
        .ok()
        .filter(|realm| matches!(realm.scheme(), "http" | "https") && realm.has_host())
        .and_then(without_login)
        .ok_or_else(|| problem("the registry names a token server that is no address"))?;
    if !call.endpoint.http && realm.scheme() != "https" {
        return Err(problem("the registry wants credentials sent to a token server without HTTPS"));
    }
    let service = bearer.param("service").map(str::to_owned);
    let scopes = Scopes::parse(bearer.param("scope").unwrap_or_default());
    Ok(Some((Scheme::Bearer(TokenServer { realm, service }), scopes)))
}
