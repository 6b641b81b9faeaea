//! Credentials for the registries of clouds, got as the clouds' own helper programs get them: from what the environment of
//! a build machine has anyway. A static program in an image without anything else has no helpers to run.
//!
//! Only asked for hosts of that cloud, and only when a registry wants credentials and no file has any. The metadata service
//! of a machine is spoken to only where the firmware says that it is there: elsewhere that would be a wait for nothing.
mod aws;
mod azure;
mod google;
mod sigv4;
mod web;

pub(crate) use sigv4::{Keys, Signed, sum};

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Credential, CredentialError, CredentialFuture, Credentials, Target};
use crate::client::{ClientConfig, Limits};
use crate::config::{Proxies, TlsRoots};
use crate::transport::Wire;

/// More than any token file holds.
const MAX_FILE: u64 = 1 << 20;

/// What the machine says of itself, and how to reach the clouds.
#[derive(Clone, Default)]
pub struct CloudSettings {
    /// Environment variables by name; see [`CloudCredentials::VARIABLES`].
    pub variables: BTreeMap<String, String>,
    /// Vendor and product as the firmware tells them (`/sys/class/dmi/id/sys_vendor`, `product_name`); decides whether
    /// there is a metadata service.
    pub machine: String,
    /// The user's home folder, for the files that the clouds' tools keep there.
    pub home: Option<PathBuf>,
    /// Proxies to the clouds' services. Metadata services are never reached through one.
    pub proxies: Proxies,
    /// Trusted certificate authorities.
    pub roots: TlsRoots,
    /// Addresses to use in place of `https://HOST`, by host: for private endpoints, and for tests.
    pub endpoints: BTreeMap<String, String>,
}

impl fmt::Debug for CloudSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudSettings")
            .field("machine", &self.machine)
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

/// A cloud with a registry service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloud {
    Ecr,
    EcrPublic,
    Google,
    Azure,
    GitHub,
}

/// Gets credentials for Amazon ECR, Google's Artifact Registry and Container Registry, Azure's registries and GitHub's.
pub struct CloudCredentials {
    settings: CloudSettings,
    wire: Wire,
}

impl fmt::Debug for CloudCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudCredentials").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl CloudCredentials {
    /// The environment variables that are looked at; those that end in `*` stand for all with that beginning.
    pub const VARIABLES: &[&str] = &[
        "AWS_*",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_CONFIG",
        "GCE_METADATA_HOST",
        "AZURE_*",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "GITHUB_TOKEN",
        "GITHUB_ACTOR",
        "CI_REGISTRY",
        "CI_REGISTRY_USER",
        "CI_REGISTRY_PASSWORD",
    ];

    /// Makes it; does no I/O.
    pub fn new(settings: CloudSettings) -> Self {
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            ..Limits::default()
        };
        let config = ClientConfig {
            proxies: settings.proxies.clone(),
            roots: settings.roots.clone(),
            limits,
            ..ClientConfig::default()
        };
        Self { wire: Wire::new(&config), settings }
    }

    /// The service that a host belongs to, for people; `None` for other hosts.
    pub fn service(&self, host: &str) -> Option<&'static str> {
        Some(match cloud_of(host)? {
            Cloud::Ecr => "Amazon ECR",
            Cloud::EcrPublic => "Amazon ECR Public",
            Cloud::Google => "Google Artifact Registry",
            Cloud::Azure => "Azure Container Registry",
            Cloud::GitHub => "GitHub Packages",
        })
    }

    async fn find(&self, target: Target<'_>) -> Result<Option<Credential>, CredentialError> {
        if let Some(credential) = self.gitlab(target.host) {
            return Ok(Some(credential));
        }
        let Some(cloud) = cloud_of(target.host) else { return Ok(None) };
        let web = web::Web { wire: &self.wire, endpoints: &self.settings.endpoints, host: target.host };
        match cloud {
            Cloud::Ecr | Cloud::EcrPublic => aws::ecr(self, &web, target.host).await,
            Cloud::Google => google::token(self, &web).await,
            Cloud::Azure => azure::refresh_token(self, &web, target.host).await,
            Cloud::GitHub => Ok(self.github()),
        }
    }

    /// Keys for another of Amazon's services, at this host; `None` if there are none.
    pub(crate) async fn amazon_keys(
        &self,
        region: &str,
        host: &str,
    ) -> Result<Option<Keys>, CredentialError> {
        let web = web::Web { wire: &self.wire, endpoints: &self.settings.endpoints, host };
        aws::keys(self, &web, region).await
    }

    /// What every job of GitHub Actions may have.
    fn github(&self) -> Option<Credential> {
        let user = self.variable("GITHUB_ACTOR").unwrap_or("x-access-token");
        Some(Credential::basic(user, self.variable("GITHUB_TOKEN")?))
    }

    /// What every job of GitLab's CI has, for GitLab's own registry.
    fn gitlab(&self, host: &str) -> Option<Credential> {
        let named = self.variable("CI_REGISTRY")?;
        (named == host).then_some(())?;
        Some(Credential::basic(self.variable("CI_REGISTRY_USER")?, self.variable("CI_REGISTRY_PASSWORD")?))
    }

    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        self.settings.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn runs_on(&self, vendor: &str) -> bool {
        self.settings.machine.contains(vendor)
    }
}

impl Credentials for CloudCredentials {
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a> {
        Box::pin(self.find(target))
    }
}

/// The cloud whose registry a host is.
fn cloud_of(host: &str) -> Option<Cloud> {
    let aws = host.strip_suffix(".cn").unwrap_or(host).ends_with(".amazonaws.com");
    Some(match host {
        "public.ecr.aws" => Cloud::EcrPublic,
        "ghcr.io" | "docker.pkg.github.com" => Cloud::GitHub,
        "gcr.io" => Cloud::Google,
        _ if host.ends_with(".gcr.io") || host.ends_with("-docker.pkg.dev") => Cloud::Google,
        _ if [".azurecr.io", ".azurecr.cn", ".azurecr.us"].iter().any(|end| host.ends_with(end)) => {
            Cloud::Azure
        }
        _ if aws && (host.contains(".dkr.ecr.") || host.contains(".dkr.ecr-fips.")) => Cloud::Ecr,
        _ => return None,
    })
}

/// Reads a file that a cloud's settings name.
async fn read_file(path: &Path) -> Result<Option<String>, CredentialError> {
    use tokio::io::AsyncReadExt as _;
    let failed = |source| CredentialError::Read { path: path.into(), source };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).await.map_err(failed)?;
    Ok(Some(text))
}

/// As [`read_file`], for a file that must be there.
async fn must_read(path: &Path) -> Result<String, CredentialError> {
    let missing = || CredentialError::Read { path: path.into(), source: std::io::ErrorKind::NotFound.into() };
    read_file(path).await?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whose_hosts_they_are() {
        for (host, cloud) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Some(Cloud::Ecr)),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", Some(Cloud::Ecr)),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", Some(Cloud::Ecr)),
            ("public.ecr.aws", Some(Cloud::EcrPublic)),
            ("eu.gcr.io", Some(Cloud::Google)),
            ("europe-west1-docker.pkg.dev", Some(Cloud::Google)),
            ("team.azurecr.io", Some(Cloud::Azure)),
            ("ghcr.io", Some(Cloud::GitHub)),
            ("gcr.io.example", None),
            ("notgcr.io", None),
            ("x.dkr.ecr.amazonaws.com.example", None),
            ("docker.io", None),
        ] {
            assert_eq!(cloud_of(host), cloud, "{host}");
        }
    }
}
