//! Amazon: keys from where Amazon's tools look for them, then `GetAuthorizationToken` of ECR.
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::sigv4::{Keys, Signed, sum};
use super::web::{Ask, Web};
use super::{CloudCredentials, must_read, read_file};
use crate::credentials::{Credential, CredentialError};
use crate::endpoint_url::host_of;

/// Where a container's credentials come from in ECS.
const CONTAINER: &str = "http://169.254.170.2";
/// A machine's metadata service.
const METADATA: &str = "http://169.254.169.254";

/// The service to ask for a registry's password.
struct Service {
    host: String,
    region: String,
    name: &'static str,
    target: &'static str,
}

/// User name and password for a registry of ECR.
pub(super) async fn ecr(
    cloud: &CloudCredentials,
    web: &Web<'_>,
    registry: &str,
) -> Result<Option<Credential>, CredentialError> {
    let service = service_of(registry);
    let Some(keys) = keys(cloud, web, &service.region).await? else { return Ok(None) };
    let named = cloud.variable("AWS_ENDPOINT_URL_ECR").or_else(|| cloud.variable("AWS_ENDPOINT_URL"));
    let url = match named {
        Some(address) => web.parse(address)?,
        None => web.url(&service.host, "/")?,
    };
    let host = host_of(&url).to_owned();
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![
        ("content-type", "application/x-amz-json-1.1"),
        ("host", host.as_str()),
        ("x-amz-date", time.as_str()),
        ("x-amz-target", service.target),
    ];
    if let Some(session) = &keys.session {
        headers.push(("x-amz-security-token", session));
    }
    let signed = Signed {
        method: "POST",
        path: if url.path().is_empty() { "/" } else { url.path() },
        query: url.query().unwrap_or_default(),
        headers: &headers,
        body: &sum(b"{}"),
        region: &service.region,
        service: service.name,
        time: &time,
    };
    let authorization = signed.authorization(&keys);
    let mut ask = Ask::get(url).header("authorization", &authorization);
    (ask.method, ask.body) = (Method::POST, Some(Bytes::from_static(b"{}")));
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        ask = ask.header(name, value);
    }
    let what = "get an authorization token of Amazon ECR";
    let answer = web.json(what, ask).await?;
    let data = &answer["authorizationData"];
    let data = data.get(0).unwrap_or(data);
    let token = web.field(what, data, "/authorizationToken")?;
    let text = STANDARD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) = pair.ok_or_else(|| web.problem("the token is not Base64 of `user:password`"))?;
    Ok(Some(Credential::basic(user, password)))
}

fn service_of(registry: &str) -> Service {
    if registry == "public.ecr.aws" {
        return Service {
            host: "api.ecr-public.us-east-1.amazonaws.com".into(),
            region: "us-east-1".into(),
            name: "ecr-public",
            target: "SpencerFrontendService.GetAuthorizationToken",
        };
    }
    // `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]`
    let mut parts = registry.split('.').skip(2);
    let fips = parts.next() == Some("ecr-fips");
    let region = parts.next().unwrap_or_default().to_owned();
    let in_china = registry.split('.').next_back() == Some("cn");
    let end = if in_china { "amazonaws.com.cn" } else { "amazonaws.com" };
    let host = if fips { format!("ecr-fips.{region}.{end}") } else { format!("api.ecr.{region}.{end}") };
    Service {
        host,
        region,
        name: "ecr",
        target: "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    }
}

/// Keys, in the order in which Amazon's tools look: environment, web identity, file, container, machine.
pub(super) async fn keys(
    cloud: &CloudCredentials,
    web: &Web<'_>,
    region: &str,
) -> Result<Option<Keys>, CredentialError> {
    if let (Some(access), Some(secret)) =
        (cloud.variable("AWS_ACCESS_KEY_ID"), cloud.variable("AWS_SECRET_ACCESS_KEY"))
    {
        let session = cloud.variable("AWS_SESSION_TOKEN").map(str::to_owned);
        return Ok(Some(Keys { access: access.into(), secret: secret.into(), session }));
    }
    if let (Some(role), Some(file)) =
        (cloud.variable("AWS_ROLE_ARN"), cloud.variable("AWS_WEB_IDENTITY_TOKEN_FILE"))
    {
        return by_web_identity(cloud, web, region, role, file).await.map(Some);
    }
    if let Some(keys) = from_file(cloud).await? {
        return Ok(Some(keys));
    }
    if let Some(keys) = from_container(cloud, web).await? {
        return Ok(Some(keys));
    }
    if cloud.runs_on("Amazon") && cloud.variable("AWS_EC2_METADATA_DISABLED") != Some("true") {
        return from_machine(cloud, web).await.map(Some);
    }
    Ok(None)
}

async fn by_web_identity(
    cloud: &CloudCredentials,
    web: &Web<'_>,
    region: &str,
    role: &str,
    file: &str,
) -> Result<Keys, CredentialError> {
    let token = must_read(file.as_ref()).await?;
    let url = match cloud.variable("AWS_ENDPOINT_URL_STS") {
        Some(address) => web.parse(address)?,
        None => web.url(&format!("sts.{region}.amazonaws.com"), "/")?,
    };
    let ask = Ask::form(
        url,
        &[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", cloud.variable("AWS_ROLE_SESSION_NAME").unwrap_or("garboard")),
            ("WebIdentityToken", token.trim()),
        ],
    );
    let what = "assume a role with a web identity";
    let text = web.text(what, ask).await?;
    let tag = |name: &str| -> Result<String, CredentialError> {
        let inner = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once("</"));
        let missing = || web.problem(&format!("{what}: the answer lacks `{name}`"));
        inner.map(|(value, _)| value.trim().to_owned()).ok_or_else(missing)
    };
    Ok(Keys {
        access: tag("AccessKeyId")?,
        secret: tag("SecretAccessKey")?,
        session: Some(tag("SessionToken")?),
    })
}

/// The file that `aws configure` writes.
async fn from_file(cloud: &CloudCredentials) -> Result<Option<Keys>, CredentialError> {
    let usual = || cloud.settings.home.as_ref().map(|home| home.join(".aws/credentials"));
    let Some(path) = cloud.variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from).or_else(usual) else {
        return Ok(None);
    };
    let profile = cloud.variable("AWS_PROFILE").unwrap_or("default");
    Ok(read_file(&path).await?.and_then(|text| profile_keys(&text, profile)))
}

fn profile_keys(text: &str, profile: &str) -> Option<Keys> {
    let header = format!("[{profile}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    let lines: Vec<(&str, &str)> = lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.trim(), value.trim())))
        .collect();
    let get = |name: &str| lines.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    Some(Keys {
        access: get("aws_access_key_id")?,
        secret: get("aws_secret_access_key")?,
        session: get("aws_session_token"),
    })
}

async fn from_container(cloud: &CloudCredentials, web: &Web<'_>) -> Result<Option<Keys>, CredentialError> {
    let relative = cloud.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let address = match (relative, cloud.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        (Some(path), _) => format!("{CONTAINER}{path}"),
        (None, Some(address)) => address.to_owned(),
        (None, None) => return Ok(None),
    };
    let mut ask = Ask::get(web.parse(&address)?);
    let token = match cloud.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => Some(must_read(file.as_ref()).await?),
        None => cloud.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    if let Some(token) = token {
        ask = ask.header("authorization", token.trim());
    }
    let what = "get the container's credentials";
    let answer = web.json(what, ask).await?;
    given(web, what, &answer).map(Some)
}

async fn from_machine(cloud: &CloudCredentials, web: &Web<'_>) -> Result<Keys, CredentialError> {
    let base = cloud.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(METADATA).trim_end_matches('/');
    let what = "get the machine's credentials";
    let mut ask = Ask::get(web.parse(&format!("{base}/latest/api/token"))?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", "300");
    ask.method = Method::PUT;
    let token = web.text(what, ask).await?;
    let folder = format!("{base}/latest/meta-data/iam/security-credentials/");
    let get = |address: &str| -> Result<Ask, CredentialError> {
        Ok(Ask::get(web.parse(address)?).header("x-aws-ec2-metadata-token", token.trim()))
    };
    let roles = web.text(what, get(&folder)?).await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    let answer = web.json(what, get(&format!("{folder}{role}"))?).await?;
    given(web, what, &answer)
}

/// Keys as the services of containers and machines answer them.
fn given(web: &Web<'_>, what: &str, answer: &Value) -> Result<Keys, CredentialError> {
    Ok(Keys {
        access: web.field(what, answer, "/AccessKeyId")?.into(),
        secret: web.field(what, answer, "/SecretAccessKey")?.into(),
        session: Some(web.field(what, answer, "/Token")?.into()),
    })
}
