//! Google: an access token from application default credentials, which is the registry's password.
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::web::{Ask, Web};
use super::{CloudCredentials, must_read, read_file};
use crate::credentials::{Credential, CredentialError};

/// The user name that goes with an access token.
const USER: &str = "oauth2accesstoken";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const WHAT: &str = "get an access token of Google";

/// The credential for Google's registries.
pub(super) async fn token(
    cloud: &CloudCredentials,
    web: &Web<'_>,
) -> Result<Option<Credential>, CredentialError> {
    let found = match settings(cloud).await? {
        Some(text) => Some(by_file(web, &text).await?),
        None => by_machine(cloud, web).await?,
    };
    Ok(found.map(|token| Credential::basic(USER, token)))
}

/// The file that `GOOGLE_APPLICATION_CREDENTIALS` names, or the one that `gcloud auth application-default login` writes.
async fn settings(cloud: &CloudCredentials) -> Result<Option<String>, CredentialError> {
    if let Some(path) = cloud.variable("GOOGLE_APPLICATION_CREDENTIALS") {
        return must_read(path.as_ref()).await.map(Some);
    }
    let usual = || cloud.settings.home.as_ref().map(|home| home.join(".config/gcloud"));
    match cloud.variable("CLOUDSDK_CONFIG").map(PathBuf::from).or_else(usual) {
        Some(folder) => read_file(&folder.join("application_default_credentials.json")).await,
        None => Ok(None),
    }
}

async fn by_file(web: &Web<'_>, text: &str) -> Result<String, CredentialError> {
    let file: Value =
        serde_json::from_str(text).map_err(|_| web.problem("Google's credential file is not JSON"))?;
    match file["type"].as_str() {
        Some("service_account") => by_service_account(web, &file).await,
        Some("authorized_user") => by_user(web, &file).await,
        Some("external_account") => by_other_identity(web, &file).await,
        _ => Err(web.problem("Google's credential file is of a type that is not known")),
    }
}

/// A key of a service account signs a request for a token.
async fn by_service_account(web: &Web<'_>, file: &Value) -> Result<String, CredentialError> {
    let field = |name: &str| web.field("read Google's credential file", file, name);
    let address = field("/token_uri")?;
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({
        "iss": field("/client_email")?, "scope": SCOPE, "aud": address, "iat": now, "exp": now + 3600,
    });
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": file["private_key_id"] });
    let assertion = sign(field("/private_key")?, &header, &claims)
        .ok_or_else(|| web.problem("the private key in Google's credential file can't be used"))?;
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let ask = Ask::form(web.parse(address)?, &[("grant_type", grant), ("assertion", &assertion)]);
    access_token(web, ask, "/access_token").await
}

/// A JSON web token.
fn sign(key: &str, header: &Value, claims: &Value) -> Option<String> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).ok()?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()?;
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut signature = vec![0; pair.public().modulus_len()];
    let random = ring::rand::SystemRandom::new();
    pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).ok()?;
    Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A user's own login.
async fn by_user(web: &Web<'_>, file: &Value) -> Result<String, CredentialError> {
    let field = |name: &str| web.field("read Google's credential file", file, name);
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", field("/client_id")?),
        ("client_secret", field("/client_secret")?),
        ("refresh_token", field("/refresh_token")?),
    ];
    let ask = Ask::form(web.url("oauth2.googleapis.com", "/token")?, &fields);
    access_token(web, ask, "/access_token").await
}

/// Workload identity federation: the token of another identity provider is exchanged for one of Google's.
async fn by_other_identity(web: &Web<'_>, file: &Value) -> Result<String, CredentialError> {
    let field = |name: &str| web.field("read Google's credential file", file, name);
    let subject = subject_token(web, file).await?;
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", field("/audience")?),
        ("scope", SCOPE),
        ("subject_token_type", field("/subject_token_type")?),
        ("subject_token", &subject),
    ];
    let ask = Ask::form(web.parse(field("/token_url")?)?, &fields);
    let token = access_token(web, ask, "/access_token").await?;
    let Some(address) = file["service_account_impersonation_url"].as_str() else { return Ok(token) };
    let mut ask = Ask::form(web.parse(address)?, &[])
        .header("authorization", &format!("Bearer {token}"))
        .header("content-type", "application/json");
    ask.body = Some(Bytes::from(json!({ "scope": [SCOPE] }).to_string()));
    access_token(web, ask, "/accessToken").await
}

/// The token of the other identity provider: from a file or an address, as text or in a field of JSON.
async fn subject_token(web: &Web<'_>, file: &Value) -> Result<String, CredentialError> {
    let source = &file["credential_source"];
    let text = if let Some(path) = source["file"].as_str() {
        must_read(path.as_ref()).await?
    } else if let Some(address) = source["url"].as_str() {
        let mut ask = Ask::get(web.parse(address)?);
        for (name, value) in source["headers"].as_object().into_iter().flatten() {
            ask = ask.header(name, value.as_str().unwrap_or_default());
        }
        web.text("get the token of the identity provider", ask).await?
    } else {
        return Err(
            web.problem("the identity provider in Google's credential file is of a kind that is not known")
        );
    };
    match source["format"]["subject_token_field_name"].as_str() {
        Some(name) => {
            let value: Value = serde_json::from_str(&text)
                .map_err(|_| web.problem("the identity provider's token is not JSON"))?;
            web.field("read the identity provider's token", &value, &format!("/{name}")).map(str::to_owned)
        }
        None => Ok(text.trim().to_owned()),
    }
}

/// The service account of the machine itself.
async fn by_machine(cloud: &CloudCredentials, web: &Web<'_>) -> Result<Option<String>, CredentialError> {
    let named = cloud.variable("GCE_METADATA_HOST");
    if named.is_none() && !cloud.runs_on("Google") {
        return Ok(None);
    }
    let host = named.unwrap_or("metadata.google.internal");
    let path = "computeMetadata/v1/instance/service-accounts/default/token";
    let ask = Ask::get(web.parse(&format!("http://{host}/{path}"))?).header("metadata-flavor", "Google");
    access_token(web, ask, "/access_token").await.map(Some)
}

async fn access_token(web: &Web<'_>, ask: Ask, field: &str) -> Result<String, CredentialError> {
    let answer = web.json(WHAT, ask).await?;
    web.field(WHAT, &answer, field).map(str::to_owned)
}
