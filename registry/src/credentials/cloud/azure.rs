//! Azure: a token of the directory, exchanged at the registry for a refresh token of its own.
use super::web::{Ask, Web};
use super::{CloudCredentials, must_read};
use crate::credentials::{Credential, CredentialError};

/// The user name that goes with a refresh token.
const USER: &str = "00000000-0000-0000-0000-000000000000";
const SCOPE: &str = "https://management.azure.com/.default";
const RESOURCE: &str = "https://management.azure.com/";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const WHAT: &str = "get a token of Azure's directory";

/// The credential for a registry of Azure.
pub(super) async fn refresh_token(
    cloud: &CloudCredentials,
    web: &Web<'_>,
    registry: &str,
) -> Result<Option<Credential>, CredentialError> {
    let Some(access) = directory_token(cloud, web).await? else { return Ok(None) };
    let mut fields = vec![("grant_type", "access_token"), ("service", registry), ("access_token", &access)];
    if let Some(tenant) = cloud.variable("AZURE_TENANT_ID") {
        fields.push(("tenant", tenant));
    }
    let what = "exchange a token at the registry";
    let answer = web.json(what, Ask::form(web.url(registry, "/oauth2/exchange")?, &fields)).await?;
    let token = web.field(what, &answer, "/refresh_token")?.to_owned();
    Ok(Some(Credential::IdentityToken { username: USER.into(), token }))
}

/// A token of the directory: of a workload's identity, of a service principal, of the machine.
async fn directory_token(cloud: &CloudCredentials, web: &Web<'_>) -> Result<Option<String>, CredentialError> {
    let client = cloud.variable("AZURE_CLIENT_ID");
    if let (Some(client), Some(tenant)) = (client, cloud.variable("AZURE_TENANT_ID")) {
        let federated = cloud.variable("AZURE_FEDERATED_TOKEN_FILE");
        let assertion = match federated {
            Some(file) => must_read(file.as_ref()).await?,
            None => String::new(),
        };
        let mut fields = vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", SCOPE)];
        match (federated, cloud.variable("AZURE_CLIENT_SECRET")) {
            (Some(_), _) => {
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                fields.extend([("client_assertion_type", kind), ("client_assertion", assertion.trim())]);
            }
            (None, Some(secret)) => fields.push(("client_secret", secret)),
            (None, None) => return by_machine(cloud, web, Some(client)).await,
        }
        let authority = cloud.variable("AZURE_AUTHORITY_HOST").unwrap_or("https://login.microsoftonline.com");
        let url = web.parse(&format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')))?;
        let answer = web.json(WHAT, Ask::form(url, &fields)).await?;
        return web.field(WHAT, &answer, "/access_token").map(|token| Some(token.to_owned()));
    }
    by_machine(cloud, web, client).await
}

/// The managed identity of a service or a machine.
async fn by_machine(
    cloud: &CloudCredentials,
    web: &Web<'_>,
    client: Option<&str>,
) -> Result<Option<String>, CredentialError> {
    let service = cloud.variable("IDENTITY_ENDPOINT").zip(cloud.variable("IDENTITY_HEADER"));
    let (address, version, header) = match service {
        Some((address, secret)) => (address, "2019-08-01", ("x-identity-header", secret)),
        None if cloud.runs_on("Microsoft Corporation") => (METADATA, "2018-02-01", ("metadata", "true")),
        None => return Ok(None),
    };
    let mut url = web.parse(address)?;
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", RESOURCE);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    let answer = web.json(WHAT, Ask::get(url).header(header.0, header.1)).await?;
    web.field(WHAT, &answer, "/access_token").map(|token| Some(token.to_owned()))
}
