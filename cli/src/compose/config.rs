//! `compose config` and `compose version`.

use garboard_compose::{Format, Model, Node, Options};
use serde_json::json;

use super::args::{ConfigArgs, TextFormat, VersionArgs};
use super::source::Files;
use super::{Compose, lines};
use crate::failure::Failure;
use crate::names;
use crate::table::table;
use crate::{access, engine};

/// Prints what the files come to, or a part of it.
pub(super) fn run(compose: &Compose<'_>, args: &ConfigArgs) -> Result<(), Failure> {
    let options = Options {
        interpolate: !(args.no_interpolate || args.variables),
        normalize: !(args.no_normalize || args.lock_image_digests),
        resolve_paths: !args.no_path_resolution,
        consistency: !args.no_consistency,
        ..compose.options.clone()
    };
    let compose = Compose { options, ..*compose };
    if args.variables {
        return variables(&compose, args);
    }
    if args.no_interpolate {
        let text = raw(&compose, args)?;
        return text.map_or(Ok(()), |text| emit(&compose, args, &text));
    }
    match names(&compose, args)? {
        Some(names) => names.iter().try_for_each(|name| compose.setting.printer.line(lines(name))),
        None => whole(&compose, args),
    }
}

fn format(args: &ConfigArgs) -> Format {
    if args.format == Some(TextFormat::Json) { Format::Json } else { Format::Yaml }
}

/// Prints, or writes to the file that was asked for.
fn emit(compose: &Compose<'_>, args: &ConfigArgs, text: &str) -> Result<(), Failure> {
    match &args.output {
        _ if args.quiet => Ok(()),
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::because(format_args!("can't write `{}`", path.display()), &error)),
        None => compose.setting.printer.data(text),
    }
}

/// The merged files as they are.
fn model(compose: &Compose<'_>) -> Result<Model, Failure> {
    let mut warnings = Vec::new();
    let model = Model::load(&compose.options, &Files, &mut warnings);
    compose.warn(&warnings);
    model.map_err(|error| compose.fail(&error))
}

fn raw(compose: &Compose<'_>, args: &ConfigArgs) -> Result<Option<String>, Failure> {
    let model = model(compose)?;
    if args.services_only {
        model.service_names().iter().try_for_each(|name| compose.setting.printer.line(name))?;
        return Ok(None);
    }
    Ok(Some(ended(model.to_text(format(args)))))
}

/// The text with an end of its last line.
fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn variables(compose: &Compose<'_>, args: &ConfigArgs) -> Result<(), Failure> {
    let found = model(compose)?.variables();
    if args.format.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        let rows: Vec<_> = found
            .values()
            .map(|it| [it.name.clone(), it.required.to_string(), lines(&it.default), lines(&it.alternate)])
            .collect();
        return compose
            .setting
            .printer
            .data(table(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], &rows));
    }
    let values: serde_json::Map<String, serde_json::Value> = found
        .into_iter()
        .map(|(name, it)| {
            let value = json!({
                "Name": it.name,
                "DefaultValue": it.default,
                "PresenceValue": it.alternate,
                "Required": it.required,
            });
            (name, value)
        })
        .collect();
    compose.setting.printer.json(&values)
}

/// The names that were asked for; none where the whole is.
fn names(compose: &Compose<'_>, args: &ConfigArgs) -> Result<Option<Vec<String>>, Failure> {
    let kinds = [(args.volumes, "volumes"), (args.networks, "networks"), (args.models, "models")];
    if let Some((_, kind)) = kinds.iter().find(|(wanted, _)| *wanted) {
        return Ok(Some(compose.load(&[], false)?.names_of(kind)));
    }
    if args.services_only {
        return Ok(Some(compose.load(&[], false)?.services.into_keys().collect()));
    }
    if args.profiles {
        return Ok(Some(compose.load(&args.services, false)?.all_profiles()));
    }
    if args.images {
        let project = compose.load(&args.services, false)?;
        let images = project.services.iter().map(|(name, service)| project.image_of(name, service));
        return Ok(Some(images.collect()));
    }
    if args.environment {
        let project = compose.load(&args.services, false)?;
        return Ok(Some(project.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()));
    }
    let Some(wanted) = &args.hash else { return Ok(None) };
    let project = compose.load(&[], false)?;
    let mut wanted: Vec<String> = match wanted.as_str() {
        "*" => project.services.keys().cloned().collect(),
        list => list.split(',').map(str::to_owned).collect(),
    };
    wanted.sort();
    let hash = |name: String| match project.service_hash(&name) {
        Some(hash) => Ok(format!("{name} {hash}")),
        None => Err(Failure::message(format!("no such service: {name}"))),
    };
    wanted.into_iter().map(hash).collect::<Result<_, _>>().map(Some)
}

fn whole(compose: &Compose<'_>, args: &ConfigArgs) -> Result<(), Failure> {
    let mut project = compose.load(&args.services, false)?;
    if args.resolve_image_digests || args.lock_image_digests {
        resolve_digests(compose, &mut project.services)?;
    }
    if !args.no_env_resolution {
        project.resolve_environment(&Files).map_err(|error| compose.fail(&error))?;
    }
    project.resolve_labels(&Files).map_err(|error| compose.fail(&error))?;
    if !args.no_consistency {
        project.check_container_names().map_err(|error| compose.fail(&error))?;
    }
    if args.lock_image_digests {
        project.rest.clear();
        for service in project.services.values_mut() {
            if let Some(service) = service.as_map_mut() {
                service.retain(|key, _| key == "image");
            }
        }
    }
    emit(compose, args, &ended(project.to_text(format(args))))
}

/// Asks registries for the digests of images, and writes them into their names.
fn resolve_digests(compose: &Compose<'_>, services: &mut garboard_compose::Map) -> Result<(), Failure> {
    let settings = compose.setting.settings()?;
    let client = engine::client(&settings, compose.setting.env)?;
    let runtime = access::runtime()?;
    for service in services.values_mut() {
        let Some(image) = service.text("image").map(str::to_owned) else { continue };
        let reference = names::parse(&image)?;
        if image.contains('@') {
            continue;
        }
        let manifest = runtime.block_on(client.manifest(&reference))?;
        let named = format!("{}@{}", reference, manifest.descriptor.digest);
        if let Some(map) = service.as_map_mut() {
            let at = map.get("image").map(|node| node.at).unwrap_or_default();
            map.insert("image".to_owned(), Node::text_at(named, at));
        }
    }
    Ok(())
}

/// Prints the version.
pub(super) fn version(compose: &Compose<'_>, args: &VersionArgs) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match args.format.as_deref() {
        Some("json") => compose.setting.printer.json(&json!({ "version": version })),
        _ if args.short => compose.setting.printer.line(version),
        _ => compose.setting.printer.line(format!("garboard compose {version}")),
    }
}
