//! Compose files, and the `.env` files beside them.

use garboard_compose::{BuildOptions, Format, MemorySource, Model, Node, Options, Project, Value, read_yaml};

/// Properties: what is printed of a project is YAML, and JSON where that is asked for; the merged tree comes out of its own
/// text as it went in; dollars of texts are doubled; targets come after those they are built from.
///
/// The data is a `.env` file, `--`, a compose file, and maybe `--` and another one that the first one may include.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (env, files) = crate::parts(text);
    let (main, other) = files.split_once("\n--\n").unwrap_or((files, ""));
    let mut source = MemorySource::default();
    for (path, text) in [("/p/.env", env), ("/p/compose.yaml", main), ("/p/dir/other.yaml", other)] {
        source.files.insert(path.into(), text.as_bytes().to_vec());
    }
    let mut options = Options::new("/p".into(), [("HOME".to_owned(), "/home".to_owned())].into());
    options.profiles.push("*".to_owned());
    let mut warnings = Vec::new();
    if let Ok(mut project) = Project::load(&options, &source, &mut warnings) {
        if let Ok(plan) = project.plan(&BuildOptions::default(), &source) {
            let names: Vec<_> = plan.targets.iter().map(|target| target.name.as_str()).collect();
            for (index, target) in plan.targets.iter().enumerate() {
                assert!(
                    target.links().iter().all(|link| !names[index..].contains(link)),
                    "built before {target:?}"
                );
            }
            json(&plan.to_json());
        }
        let _ = project.resolve_environment(&source);
        let _ = project.resolve_labels(&source);
        project.drop_unused();
        let printed = project.to_text(Format::Yaml);
        assert!(!printed.replace("$$", "").contains('$'), "a single dollar in {printed}");
        assert!(read_yaml(&printed).is_ok(), "not YAML: {printed}");
        json(&project.to_text(Format::Json));
    }
    options.interpolate = false;
    if let Ok(model) = Model::load(&options, &source, &mut warnings) {
        let printed = model.to_text(Format::Yaml);
        let again = read_yaml(&printed).expect("what is printed is YAML");
        let root = Node::map_at(model.root.clone(), garboard_compose::Mark::default());
        assert!(again.first().is_some_and(|again| same(again, &root)), "{printed}\n{again:?}\n{root:?}");
        model.variables();
    }
}

/// Whether two values are the same, where `1.0` is printed as `1`.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Int(int), Value::Float(float)) => int.to_string().parse() == Ok(*float),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (a, b) => a == b,
    }
}

fn json(text: &str) {
    let read: Result<serde_json::Value, _> = serde_json::from_str(text);
    assert!(read.is_ok(), "not JSON: {text}");
}
