//! Bake files in HCL and JSON, with compose files beside them.

use garboard_compose::MemorySource;
use garboard_compose::bake::{Request, read};

/// Properties: what is printed is a bake file that comes to the same, and lists are JSON; targets come after those they are
/// built from.
///
/// The data is the name of a file, `--`, and what is in it.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (name, text) = crate::parts(text);
    let name = match name.trim() {
        name @ ("docker-bake.json" | "compose.yaml" | "bakefile") => name,
        _ => "docker-bake.hcl",
    };
    let Some(printed) = printed(name, text) else { return };
    // longer ones meet the bounds of what is read
    if printed.len() < 200_000 {
        assert!(self::printed("docker-bake.json", &printed).is_some(), "can't be read again: {printed}");
    }
}

/// Everything that a file comes to; `None` where it is refused.
fn printed(name: &str, text: &str) -> Option<String> {
    let mut source = MemorySource::default();
    source.files.insert(format!("/p/{name}").into(), text.as_bytes().to_vec());
    let request = Request {
        files: vec![name.to_owned()],
        environment: [("V".to_owned(), "1,2".to_owned())].into(),
        variables_from_environment: true,
        working_dir: "/p".into(),
        home: Some("/home".into()),
        ..Request::default()
    };
    let told = |error: garboard_compose::bake::BakeError| {
        let _ = (error.to_string(), error.excerpt(), error.hint());
    };
    let definition = read(&source, &request).map_err(told).ok()?;
    for list in [definition.entries_json(), definition.variables_json()] {
        json(&list);
    }
    let overrides = ["*.labels.l=1".to_owned(), "*.platform+=linux/arm64".to_owned()];
    let resolved =
        definition.resolve(&[], &overrides).or_else(|_| definition.resolve(&[], &[])).map_err(told).ok()?;
    let _ = resolved.check(&source, &request.environment).map_err(told);
    let _ = resolved.not_allowed(&["fs.read=/".to_owned()], &source);
    if let Ok(targets) = resolved.targets() {
        let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        for (index, target) in targets.iter().enumerate() {
            assert!(
                target.links().iter().all(|link| !names[index..].contains(link)),
                "built before {target:?}"
            );
        }
    }
    let printed = resolved.json();
    json(&printed);
    Some(printed)
}

fn json(text: &str) {
    assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "not JSON: {text}");
}
