//! What must hold of any input, and what big or hostile input costs.

use std::fmt::Write as _;

use garboard_compose::dotenv::{self, Variables};
use garboard_compose::template::substitute;
use garboard_compose::{Format, MAX_FILE_BYTES, MemorySource, Model, Options, Project, read_yaml};
use proptest::prelude::*;

fn load(text: &str) -> Result<Project, String> {
    let mut source = MemorySource::default();
    source.files.insert("/p/compose.yaml".into(), text.as_bytes().to_vec());
    let options = Options::new("/p".into(), Variables::new());
    Project::load(&options, &source, &mut Vec::new()).map_err(|error| error.to_string())
}

/// Text that looks like a compose file.
fn file() -> impl Strategy<Value = String> {
    let words = [
        "services:\n",
        "  web:\n",
        "    build:\n",
        "      context: .\n",
        "      args:\n",
        "        A: 1\n",
        "    image: x\n",
        "    <<: *a\n",
        "  db: &a\n",
        "    extends: db\n",
        "include:\n",
        "  - other.yaml\n",
        "    ports: ['80:80', 1-2]\n",
        "    volumes: [a:/b, ./c:/d:ro]\n",
        "    depends_on: [db]\n",
        "name: x\n",
        "    command: !reset null\n",
        "    environment: [A, B=2]\n",
        "x-a: {b: c}\n",
        "---\n",
        "    - a\n",
        "${A:-b}",
        ": ",
        "[",
        "{",
        "\"",
        "'",
        "#",
        "|\n",
        "&b ",
        "*b ",
        "\t",
    ];
    let word = prop_oneof![9 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,6}"];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(text in file()) {
        if let Ok(project) = load(&text) {
            let printed = project.to_text(Format::Yaml);
            prop_assert!(read_yaml(&printed).is_ok(), "{printed}");
            prop_assert!(serde_json::from_str::<serde_json::Value>(&project.to_text(Format::Json)).is_ok());
        }
    }

    #[test]
    fn texts_are_written_so_that_they_are_read(text in "\\PC{0,20}|[ -~\n\t]{0,20}|[-0-9.:_eE+xobTZ]{0,12}") {
        let mut source = MemorySource::default();
        let quoted = serde_json::to_string(&text).unwrap();
        source.files.insert("/p/compose.yaml".into(), format!("x-a: {quoted}\nx-b: [{quoted}]\n").into_bytes());
        let options = Options { interpolate: false, ..Options::new("/p".into(), Variables::new()) };
        let model = Model::load(&options, &source, &mut Vec::new()).unwrap();
        let printed = model.to_text(Format::Yaml);
        let again = read_yaml(&printed).unwrap();
        prop_assert_eq!(again[0].text("x-a"), Some(text.as_str()), "{}", printed);
        prop_assert_eq!(again[0].texts("x-b"), vec![text], "{}", printed);
    }

    #[test]
    fn any_env_file_is_read_or_refused(text in "[A-C=: '\"\\\\$#\n{}-]{0,40}|\\PC{0,20}") {
        let mut found = Variables::new();
        let _ = dotenv::parse(&text, &|_| None, &mut found);
    }

    #[test]
    fn text_without_dollars_stays(text in "[^$]{0,40}") {
        prop_assert_eq!(substitute(&text, &|_| None, &mut |_| {}), Ok(text));
    }

    #[test]
    fn doubled_dollars_are_dollars(text in "\\PC{0,40}|[${}A:?+-]{0,30}") {
        let doubled = text.replace('$', "$$");
        prop_assert_eq!(substitute(&doubled, &|_| None, &mut |_| {}), Ok(text));
    }
}

#[test]
fn thousands_of_services_are_read() {
    let mut text = "x-base: &base\n  image: base\n  environment: {A: 1, B: 2}\nservices:\n".to_owned();
    for index in 0..5_000 {
        let before = if index > 0 { format!("    depends_on: [s{}]\n", index - 1) } else { String::new() };
        write!(text, "  s{index}:\n    <<: *base\n    build: {{context: ./s{index}, args: [A=1]}}\n{before}")
            .unwrap();
    }
    let project = load(&text).unwrap();
    assert_eq!(project.services.len(), 5_000);
}

#[test]
fn too_much_is_refused() {
    let bomb = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |bomb, level| {
        let alias = format!("*a{}", level - 1);
        bomb + &format!("x-{level}: &a{level} [{}]\n", vec![alias; 12].join(", "))
    });
    let maps = (1..12).fold("x-0: &a0 {k: v}\n".to_owned(), |maps, level| {
        let before = level - 1;
        let keys: Vec<_> = (0..10).map(|key| format!("k{key}: *a{before}")).collect();
        maps + &format!("x-{level}: &a{level} {{{}}}\n", keys.join(", "))
    });
    let long = format!("x-a: {}\n", "a".repeat(MAX_FILE_BYTES as usize));
    let deep_map = (0..20_000).fold(String::new(), |text, _| text + "{a: ");
    let defaults = format!("x-a: '{}'\n", "${A:-".repeat(5_000) + &"}".repeat(5_000));
    let ports: Vec<_> = (1..10).map(|host| format!("'10.0.0.{host}:1-65535:1-65535'")).collect();
    let ports = format!("services: {{a: {{image: x, ports: [{}]}}}}\n", ports.join(", "));
    let mut services = format!("services:\n  base: {{image: x, x-big: [{}]}}\n", "1,".repeat(10_000));
    for index in 0..500 {
        writeln!(services, "  s{index}: {{extends: base}}").unwrap();
    }
    for (what, text, said) in [
        ("ports", ports, "ports"),
        ("services from services", services, "too large"),
        ("aliases", bomb, "excessive aliasing"),
        ("aliases in maps", maps, "excessive aliasing"),
        ("lists in lists", "x-a: ".to_owned() + &"[".repeat(20_000), "failed to parse"),
        ("maps in maps", deep_map, "failed to parse"),
        ("defaults in defaults", defaults, "too large"),
        ("a long text", long, "empty compose file"),
    ] {
        let error = load(&text).err().unwrap_or_else(|| "empty compose file".to_owned());
        assert!(error.contains(said), "{what}: {error}");
    }
}

#[test]
fn variables_do_not_explode() {
    let mut env = "A0=0123456789\n".to_owned();
    for index in 1..60 {
        writeln!(env, "A{index}=$A{0}$A{0}", index - 1).unwrap();
    }
    let error = dotenv::parse(&env, &|_| None, &mut Variables::new()).unwrap_err();
    assert!(error.contains("too large"), "{error}");
    let mut source = MemorySource::default();
    let text = format!("x-a: [{}]\n", "'$BIG', ".repeat(2_000));
    source.files.insert("/p/compose.yaml".into(), text.into_bytes());
    let environment = Variables::from([("BIG".to_owned(), "x".repeat(100_000))]);
    let options = Options::new("/p".into(), environment);
    let error = Project::load(&options, &source, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn long_chains_are_followed_up_to_a_bound() {
    let chain = |length: usize| {
        let services = (0..length).map(|index| format!("  s{index:03}: {{extends: s{:03}}}\n", index + 1));
        format!("services:\n{}  s{length:03}: {{image: x}}\n", services.collect::<String>())
    };
    assert_eq!(load(&chain(90)).unwrap().services["s000"].text("image"), Some("x"));
    let refusal = load(&chain(500)).err().unwrap_or_default();
    assert!(refusal.contains("extends more than 100 services"), "{refusal}");
    let deep = |depth: usize| format!("x-a: {}1{}\nservices: {{}}\n", "[".repeat(depth), "]".repeat(depth));
    assert!(load(&deep(190)).unwrap().to_text(Format::Yaml).contains("- 1"));
    assert!(load(&deep(300)).is_err());
}

#[test]
fn includes_have_an_end() {
    let mut source = MemorySource::default();
    for index in 0..100 {
        let text = format!("include: [{}.yaml]\nservices: {{}}\n", index + 1);
        source.files.insert(format!("/p/{index}.yaml").into(), text.into_bytes());
    }
    let mut options = Options::new("/p".into(), Variables::new());
    options.files.push("0.yaml".to_owned());
    let error = Project::load(&options, &source, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("more than 64 files"), "{error}");
}
