//! The clouds' registries, with stand-ins for the services that their documentation describes.
use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use garboard_registry::{CloudCredentials, CloudSettings, Credential, Credentials as _, Target};
use garboard_testkit::{Request, Response};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::support::FakeRegistry;

/// A service that answers what the function says, and what asks it: some hosts' names lead to it.
async fn cloud(
    hosts: &[&str],
    variables: &[(&str, &str)],
    answer: impl FnMut(&Request) -> Option<Response> + Send + 'static,
) -> (FakeRegistry, CloudSettings) {
    let service = FakeRegistry::start().await;
    service.state().handler = Some(Box::new(answer));
    let base = format!("http://{}", service.host);
    let settings = CloudSettings {
        variables: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        endpoints: hosts.iter().map(|host| ((*host).to_owned(), base.clone())).collect(),
        ..CloudSettings::default()
    };
    (service, settings)
}

async fn get(settings: CloudSettings, host: &str) -> Result<Option<Credential>, String> {
    let target = Target { host, repository: "team/app" };
    CloudCredentials::new(settings).get(target).await.map_err(|error| error.to_string())
}

#[expect(clippy::unnecessary_wraps, reason = "that is what handlers answer")]
fn json(value: &Value) -> Option<Response> {
    Some(Response::new(200).body(value.to_string()))
}

fn key() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/cloud/key.pem");
    std::fs::read_to_string(path).unwrap()
}

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

fn ecr_answer() -> Value {
    json!({ "authorizationData": [{ "authorizationToken": STANDARD.encode("AWS:pass:word") }] })
}

#[tokio::test]
async fn ecr_with_keys_of_the_environment() {
    let variables =
        [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_SESSION_TOKEN", "session")];
    let (_service, settings) = cloud(&["api.ecr.eu-west-1.amazonaws.com"], &variables, |request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
        assert_eq!(
            request.headers["x-amz-target"],
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
        );
        assert_eq!(request.headers["x-amz-security-token"], "session");
        assert_eq!(request.body, b"{}");
        let authorization = &request.headers["authorization"];
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-west-1/ecr/aws4_request"), "{authorization}");
        let signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        assert!(authorization.contains(&format!("SignedHeaders={signed}")), "{authorization}");
        json(&ecr_answer())
    })
    .await;
    assert_eq!(get(settings, ECR).await, Ok(Some(Credential::basic("AWS", "pass:word"))));
}

#[tokio::test]
async fn ecr_with_a_web_identity() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "jwt\n").unwrap();
    let variables = [("AWS_ROLE_ARN", "arn:role"), ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())];
    let hosts = ["api.ecr.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com"];
    let (_service, settings) = cloud(&hosts, &variables, |request| {
        if let Some(action) = request.form().get("Action") {
            assert_eq!(action, "AssumeRoleWithWebIdentity");
            assert_eq!(request.form()["WebIdentityToken"], "jwt");
            let text = "<R><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                        <SessionToken>t</SessionToken></Credentials></R>";
            return Some(Response::new(200).body(text));
        }
        assert!(request.headers["authorization"].contains("Credential=ROLE/"));
        json(&ecr_answer())
    })
    .await;
    assert_eq!(get(settings, ECR).await, Ok(Some(Credential::basic("AWS", "pass:word"))));
}

#[tokio::test]
async fn ecr_on_a_machine_of_amazon() {
    let hosts = ["api.ecr.eu-west-1.amazonaws.com", "169.254.169.254"];
    let (service, mut settings) = cloud(&hosts, &[], |request| match request.path.as_str() {
        "/latest/api/token" => Some(Response::new(200).body("session")),
        "/latest/meta-data/iam/security-credentials/" => {
            assert_eq!(request.headers["x-aws-ec2-metadata-token"], "session");
            Some(Response::new(200).body("builder"))
        }
        "/latest/meta-data/iam/security-credentials/builder" => {
            json(&json!({ "AccessKeyId": "EC2", "SecretAccessKey": "s", "Token": "t" }))
        }
        _ => json(&ecr_answer()),
    })
    .await;
    assert_eq!(get(settings.clone(), ECR).await, Ok(None));
    assert_eq!(service.take_log().len(), 0, "elsewhere nothing is asked");
    settings.machine = "Amazon EC2".into();
    assert_eq!(get(settings, ECR).await, Ok(Some(Credential::basic("AWS", "pass:word"))));
}

#[tokio::test]
async fn ecr_public_and_refusals() {
    let variables = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let hosts = ["api.ecr-public.us-east-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com"];
    let (_service, settings) =
        cloud(&hosts, &variables, |request| {
            if request.headers["x-amz-target"].starts_with("Spencer") {
                let token = STANDARD.encode("AWS:public");
                return json(&json!({ "authorizationData": { "authorizationToken": token } }));
            }
            Some(Response::new(400).body(
                r#"{"__type":"UnrecognizedClientException","message":"The security token is invalid."}"#,
            ))
        })
        .await;
    assert_eq!(get(settings.clone(), "public.ecr.aws").await, Ok(Some(Credential::basic("AWS", "public"))));
    assert_eq!(
        get(settings, ECR).await.unwrap_err(),
        format!(
            "can't get credentials for `{ECR}`: get an authorization token of Amazon ECR: it answered 400: \
             The security token is invalid."
        )
    );
}

#[tokio::test]
async fn google_with_a_service_account() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let account = json!({
        "type": "service_account", "client_email": "builder@project", "private_key_id": "k1",
        "private_key": key(), "token_uri": "https://oauth2.googleapis.com/token",
    });
    std::fs::write(&file, account.to_string()).unwrap();
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())];
    let (_service, settings) = cloud(&["oauth2.googleapis.com"], &variables, |request| {
        let form = request.form();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (text, signature) = form["assertion"].rsplit_once('.').unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(key().as_bytes()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public())
            .verify(text.as_bytes(), &signature)
            .unwrap();
        let claims = URL_SAFE_NO_PAD.decode(text.split_once('.').unwrap().1).unwrap();
        let claims: BTreeMap<String, Value> = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["iss"], "builder@project");
        json(&json!({ "access_token": "ya29", "expires_in": 3599 }))
    })
    .await;
    let expected = Ok(Some(Credential::basic("oauth2accesstoken", "ya29")));
    assert_eq!(get(settings.clone(), "europe-west1-docker.pkg.dev").await, expected);
    assert_eq!(get(settings, "gcr.io").await, expected);
}

#[tokio::test]
async fn google_with_another_identity_provider() {
    let folder = tempfile::tempdir().unwrap();
    let (file, subject) = (folder.path().join("wif.json"), folder.path().join("oidc.json"));
    std::fs::write(&subject, r#"{"value":"oidc-token"}"#).unwrap();
    let account = json!({
        "type": "external_account", "audience": "//iam/pool", "token_url": "https://sts.googleapis.com/v1/token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/x:generateAccessToken",
        "credential_source": {
            "file": subject, "format": { "type": "json", "subject_token_field_name": "value" },
        },
    });
    std::fs::write(&file, account.to_string()).unwrap();
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())];
    let hosts = ["sts.googleapis.com", "iamcredentials.googleapis.com"];
    let (_service, settings) = cloud(&hosts, &variables, |request| {
        if request.path == "/v1/token" {
            assert_eq!(request.form()["subject_token"], "oidc-token");
            return json(&json!({ "access_token": "federated" }));
        }
        assert_eq!(request.headers["authorization"], "Bearer federated");
        json(&json!({ "accessToken": "impersonated" }))
    })
    .await;
    let expected = Ok(Some(Credential::basic("oauth2accesstoken", "impersonated")));
    assert_eq!(get(settings, "eu.gcr.io").await, expected);
}

#[tokio::test]
async fn google_with_the_machine() {
    let (service, mut settings) = cloud(&[], &[], |request| {
        assert_eq!(request.headers["metadata-flavor"], "Google");
        json(&json!({ "access_token": "gce" }))
    })
    .await;
    assert_eq!(get(settings.clone(), "gcr.io").await, Ok(None));
    settings.variables.insert("GCE_METADATA_HOST".into(), service.host.clone());
    let expected = Ok(Some(Credential::basic("oauth2accesstoken", "gce")));
    assert_eq!(get(settings, "gcr.io").await, expected);
    assert_eq!(service.take_log(), ["GET /computeMetadata/v1/instance/service-accounts/default/token"]);
}

#[tokio::test]
async fn azure_with_a_service_principal() {
    let variables =
        [("AZURE_CLIENT_ID", "client"), ("AZURE_CLIENT_SECRET", "hunter2"), ("AZURE_TENANT_ID", "tenant")];
    let hosts = ["login.microsoftonline.com", "team.azurecr.io"];
    let (_service, settings) = cloud(&hosts, &variables, |request| {
        let form = request.form();
        if request.path == "/tenant/oauth2/v2.0/token" {
            assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("client", "hunter2"));
            return json(&json!({ "access_token": "directory" }));
        }
        assert_eq!(request.path, "/oauth2/exchange");
        assert_eq!(form["grant_type"], "access_token");
        assert_eq!(
            (form["service"].as_str(), form["access_token"].as_str()),
            ("team.azurecr.io", "directory")
        );
        json(&json!({ "refresh_token": "refresh" }))
    })
    .await;
    let expected = Credential::IdentityToken {
        username: "00000000-0000-0000-0000-000000000000".into(),
        token: "refresh".into(),
    };
    assert_eq!(get(settings, "team.azurecr.io").await, Ok(Some(expected)));
}

#[tokio::test]
async fn azure_with_a_workload_identity() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "assertion").unwrap();
    let variables = [
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_TENANT_ID", "tenant"),
    ];
    let hosts = ["login.microsoftonline.com", "team.azurecr.io"];
    let (_service, settings) = cloud(&hosts, &variables, |request| {
        if request.path == "/oauth2/exchange" {
            return json(&json!({ "refresh_token": "refresh" }));
        }
        assert_eq!(request.form()["client_assertion"], "assertion");
        json(&json!({ "access_token": "directory" }))
    })
    .await;
    assert!(get(settings, "team.azurecr.io").await.unwrap().is_some());
}

#[tokio::test]
async fn github_and_gitlab() {
    let variables = [
        ("GITHUB_TOKEN", "gh"),
        ("GITHUB_ACTOR", "octocat"),
        ("CI_REGISTRY", "registry.gitlab.example"),
        ("CI_REGISTRY_USER", "ci"),
        ("CI_REGISTRY_PASSWORD", "gl"),
    ];
    let (_service, settings) = cloud(&[], &variables, |_| None).await;
    assert_eq!(get(settings.clone(), "ghcr.io").await, Ok(Some(Credential::basic("octocat", "gh"))));
    let gitlab = Ok(Some(Credential::basic("ci", "gl")));
    assert_eq!(get(settings.clone(), "registry.gitlab.example").await, gitlab);
    assert_eq!(get(settings, "docker.io").await, Ok(None));
}
