//! `auth check` and `config show`: why a registry is reached as it is.

use garboard_registry::{CloudCredentials, Credential, CredentialError, Credentials as _, Looked, Target};
use serde_json::{Value, json};

use super::Setting;
use crate::args::{AuthCheckArgs, AuthCommand, ConfigCommand, ConfigShowArgs, TableFormat};
use crate::failure::{Failure, chain};
use crate::settings::Settings;
use crate::table::table;
use crate::{access, engine, names};

/// Runs a command about credentials.
pub(crate) fn run(command: &AuthCommand, setting: &Setting<'_>) -> Result<(), Failure> {
    let AuthCommand::Check(args) = command;
    check(args, setting)
}

/// Runs a command about the configuration.
pub(crate) fn config(command: &ConfigCommand, setting: &Setting<'_>) -> Result<(), Failure> {
    let ConfigCommand::Show(args) = command;
    show(args, setting)
}

/// Tells which place gave which credential, and what the registry said to it.
fn check(args: &AuthCheckArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let settings = setting.settings()?;
    let (host, repository) = target(&args.registry)?;
    let client = engine::client(&settings, setting.env)?;
    let runtime = access::runtime()?;
    let (places, chosen) = runtime.block_on(look(&settings, setting, &host, &repository));
    let credential = chosen.clone().unwrap_or_else(|| Credential::basic("", ""));
    let answer = match &chosen {
        Some(_) => runtime.block_on(client.check_login(&host, &credential)).map(|()| "accepted".to_owned()),
        None => runtime.block_on(client.check_anonymous(&host)).map(|open| {
            if open { "open to all" } else { "wants credentials for some repositories" }.to_owned()
        }),
    };
    let (said, failure) = match answer {
        Ok(said) => (said, None),
        Err(error) => (chain(&error), Some(Failure::from(error))),
    };
    match args.format {
        TableFormat::Json => {
            setting.printer.json(&json!({ "registry": host, "places": places, "answer": said }))?;
        }
        TableFormat::Table => {
            let text = |place: &Value, key: &str| place[key].as_str().unwrap_or_default().to_owned();
            let rows: Vec<[String; 2]> =
                places.iter().map(|place| [text(place, "place"), text(place, "found")]).collect();
            setting.printer.data(table(["PLACE", "FOUND"], &rows))?;
            setting.printer.line(format!("\n{host}: {said}"))?;
        }
    }
    failure.map_or(Ok(()), |_| Err(Failure::Reported))
}

/// Asks every place in the order in which they count, up to the one that knows.
async fn look(
    settings: &Settings,
    setting: &Setting<'_>,
    host: &str,
    repository: &str,
) -> (Vec<Value>, Option<Credential>) {
    let mut places = Vec::new();
    if let Some((_, credential)) = settings.registry_auth.iter().find(|(own, _)| own == host) {
        places.push(place("`--registry-auth`", &described(credential)));
        return (places, Some(credential.clone()));
    }
    let target = Target { host, repository };
    for looked in engine::auth_files(setting.env).look(target).await {
        let (text, credential) = outcome(&looked);
        places.push(place(&looked.place, &text));
        if credential.is_some() {
            return (places, credential);
        }
    }
    let cloud = CloudCredentials::new(engine::cloud(setting.env));
    if let Some(service) = cloud.service(host) {
        let found = cloud.get(target).await;
        let (text, credential) = said(found.as_ref());
        places.push(place(&format!("{service}, from the environment"), &text));
        return (places, credential);
    }
    (places, None)
}

fn place(place: &str, found: &str) -> Value {
    json!({ "place": place, "found": found })
}

fn outcome(looked: &Looked) -> (String, Option<Credential>) {
    if !looked.exists {
        return ("no such file".into(), None);
    }
    let (text, credential) = said(looked.found.as_ref());
    let text = match &looked.helper {
        Some(helper) => format!("{text} (helper `docker-credential-{helper}`)"),
        None => text,
    };
    (text, credential)
}

fn said(found: Result<&Option<Credential>, &CredentialError>) -> (String, Option<Credential>) {
    match found {
        Ok(Some(credential)) => (described(credential), Some(credential.clone())),
        Ok(None) => ("nothing".into(), None),
        Err(error) => (chain(error), None),
    }
}

/// What kind of credential it is, and whose.
fn described(credential: &Credential) -> String {
    match credential {
        Credential::Basic { username, .. } => format!("password of `{username}`"),
        Credential::IdentityToken { username, .. } if username.is_empty() => "identity token".into(),
        Credential::IdentityToken { username, .. } => format!("identity token of `{username}`"),
        _ => "registry token".into(),
    }
}

/// Tells how a registry is reached.
fn show(args: &ConfigShowArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let settings = setting.settings()?;
    let (host, repository) = target(&args.registry)?;
    let hosts = engine::hosts(&settings, setting.env)?;
    let report = hosts
        .describe(&host, &repository)
        .map_err(|error| Failure::because(format_args!("can't reach `{host}`"), &error))?;
    if args.format == TableFormat::Json {
        return setting.printer.json(&report);
    }
    let rows: Vec<[String; 4]> = report
        .endpoints
        .iter()
        .map(|endpoint| {
            let mut files = endpoint.ca.clone();
            files.extend(endpoint.certificates.iter().chain(&endpoint.folders).cloned());
            let kind = if endpoint.mirror { "mirror" } else { "registry" };
            let trust = match (endpoint.url.starts_with("http:"), endpoint.insecure) {
                (true, _) => "plain HTTP",
                (false, true) => "any certificate",
                (false, false) => "verified",
            };
            [endpoint.url.clone(), kind.into(), trust.into(), files.join(", ")]
        })
        .collect();
    setting.printer.data(table(["ADDRESS", "KIND", "TLS", "CERTIFICATES"], &rows))?;
    let own = settings.file.as_ref().map(|(path, _)| path.display().to_string());
    let file = report.origin.or(own).unwrap_or_else(|| "built-in defaults".into());
    setting.printer.line(format!("\nfrom {file}"))
}

/// Host and repository of what may be either a registry or an image.
fn target(text: &str) -> Result<(String, String), Failure> {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let is_host =
        !bare.trim_end_matches('/').contains('/') || bare.ends_with("/v1/") || bare.ends_with("/v2/");
    if is_host {
        return Ok((names::registry(text).to_owned(), String::new()));
    }
    let reference = names::parse(bare)?;
    Ok((reference.domain().to_owned(), reference.repository().to_owned()))
}
