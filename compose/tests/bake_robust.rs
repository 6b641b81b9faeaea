//! What must hold of any bake file, and what hostile ones cost.

use std::fmt::Write as _;

use garboard_compose::MemorySource;
use garboard_compose::bake::{Request, read};
use proptest::prelude::*;

/// What a file comes to, as printed; an error as its text.
fn printed(name: &str, text: &str) -> Result<String, String> {
    let mut source = MemorySource::default();
    source.files.insert(format!("/p/{name}").into(), text.as_bytes().to_vec());
    let request = Request { working_dir: "/p".into(), files: vec![name.to_owned()], ..Request::default() };
    let said = |error: garboard_compose::bake::BakeError| {
        let _ = error.excerpt();
        error.to_string()
    };
    let definition = read(&source, &request).map_err(said)?;
    let _ = (definition.entries_json(), definition.variables_json());
    let resolved = definition.resolve(&[], &[]).map_err(said)?;
    let _ = (resolved.targets().map_err(said)?, resolved.not_allowed(&[], &source));
    Ok(resolved.json())
}

/// Text that looks like HCL.
fn file() -> impl Strategy<Value = String> {
    let words = [
        "target \"default\" {\n",
        "}\n",
        "variable \"V\" {\n",
        "group \"g\" {\n",
        "function \"f\" {\n",
        "default = ",
        "args = { A = ",
        "tags = [",
        "]",
        "}",
        "\n",
        "\"x\"",
        "\"a${V}b\"",
        "${",
        "%{ if true }",
        "%{ endif }",
        "V",
        "f(1)",
        "params = [a]\n",
        "result = a\n",
        "1",
        "12345678901234567890123",
        "-",
        "!",
        " + ",
        " ? ",
        " : ",
        "[for v in ",
        "{for k, v in ",
        " => ",
        "...",
        "upper(",
        ")",
        ",",
        "target.default.args",
        ".x",
        "[0]",
        ".*",
        "<<EOT\n",
        "EOT\n",
        "matrix = { m = [1, 2] }\n",
        "name = \"n${m}\"\n",
        "inherits = [\"default\"]\n",
        "null",
        "jsonencode(",
        "split(\",\", ",
        "try(",
        "\"",
        "\\u00e9",
        "#",
        "/*",
        "*/",
        "$${",
        "é",
    ];
    let word = prop_oneof![12 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,5}"];
    prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_hcl_is_read_or_refused(text in file()) {
        let _ = printed("docker-bake.hcl", &text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        for name in ["docker-bake.hcl", "docker-bake.json", "bakefile"] {
            let _ = printed(name, &text);
        }
    }

    #[test]
    fn what_is_printed_is_a_bake_file(tags in prop::collection::vec("[a-z${}%\"\\\\ ]{1,8}", 1..4), arg in "\\PC{0,12}") {
        let list = serde_json::to_string(&tags.iter().map(|tag| escaped(tag)).collect::<Vec<_>>()).unwrap_or_default();
        let arg = serde_json::to_string(&escaped(&arg)).unwrap_or_default();
        let text = format!(r#"{{"target":{{"default":{{"tags":{list},"args":{{"A":{arg}}}}}}}}}"#);
        let first = printed("docker-bake.json", &text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&printed("docker-bake.json", &first).map_err(TestCaseError::fail)?, &first);
    }
}

/// A text in which nothing begins a template.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// A file that must be refused; were it not for bounds, this would not end.
fn refuse(what: &str, text: &str) {
    assert!(printed("docker-bake.hcl", text).is_err(), "{what}: not refused");
}

#[test]
fn what_would_grow_forever_is_refused() {
    let mut doubling = "a0 = [\"x\"]\n".to_owned();
    let mut nested = "a0 = 1\n".to_owned();
    let mut squared = "a0 = 7\n".to_owned();
    let mut texts = "a0 = \"0123456789\"\n".to_owned();
    for index in 1..200 {
        let before = index - 1;
        let _ = writeln!(doubling, "a{index} = [a{before}, a{before}]");
        let _ = writeln!(nested, "a{index} = [a{before}]");
        let _ = writeln!(squared, "a{index} = a{before} * a{before}");
        let _ = writeln!(texts, "a{index} = \"${{a{before}}}${{a{before}}}\"");
    }
    let big = "big = format(\"%1000s\", \"x\")\nhuge = join(big, split(\"\", join(big, split(\"\", big))))\n";
    for (what, text) in [
        ("doubling", doubling),
        ("nesting", nested),
        ("squaring", squared),
        ("doubling texts", texts),
        ("joining", big.to_owned()),
        ("width", "a = format(\"%1000000000d\", 1)".to_owned()),
        ("precision", "a = format(\"%.1000000000f\", 1)".to_owned()),
        ("range", "a = range(1000000000)".to_owned()),
        ("exponent", "a = 1e999999999".to_owned()),
        ("indent", "a = indent(1000000000, \"x\\ny\")".to_owned()),
        ("pattern", "a = regex(\"((a{100}){100}){100}\", \"a\")".to_owned()),
        ("product", "r = range(1000)\na = setproduct(r, r, r)".to_owned()),
        (
            "matrix",
            "r = range(1000)\ntarget \"t\" {\n matrix = { a = r, b = r }\n name = \"t\"\n}".to_owned(),
        ),
        ("loops", "r = range(1000)\na = [for x in r : [for y in r : [for z in r : 1]]]".to_owned()),
        (
            "replacing",
            "r = join(\"\", range(1000))\ns = replace(r, \"\", r)\na = replace(s, \"\", s)".to_owned(),
        ),
    ] {
        refuse(what, &text);
    }
}

#[test]
fn what_is_deep_is_refused() {
    let mut chain = String::new();
    let mut calls = String::new();
    let mut inherits = String::new();
    let mut links = String::new();
    for index in 0..1500 {
        let next = index + 1;
        let _ = writeln!(chain, "a{index:04} = a{next:04}");
        let _ = writeln!(calls, "function \"f{index}\" {{\n params = [x]\n result = f{next}(x)\n}}");
        let _ = writeln!(inherits, "target \"t{index}\" {{ inherits = [\"t{next}\"] }}");
        let _ = writeln!(links, "target \"t{index}\" {{ contexts = {{ x = \"target:t{next}\" }} }}");
    }
    chain += "a1500 = 1\n";
    calls += "function \"f1500\" {\n params = [x]\n result = x\n}\nstart = f0(1)\n";
    let ends = "target \"t1500\" {}\ngroup \"default\" { targets = [\"t0\"] }\n";
    for (what, text) in [
        ("variables", chain),
        ("functions", calls),
        ("inheritance", inherits + ends),
        ("links", links + ends),
        ("brackets", format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("operators", format!("a = {}1", "1 + ".repeat(100_000))),
        ("conditions", format!("a = {}1", "true ? 1 : ".repeat(50_000))),
        ("blocks", "a {".repeat(100_000)),
    ] {
        refuse(what, &text);
    }
    assert!(printed("docker-bake.json", &"[".repeat(500_000)).is_err());
    let deep = format!("a = jsondecode(\"{}{}\")", "[".repeat(5000), "]".repeat(5000));
    refuse("decoded", &deep);
}

#[test]
fn large_files_are_read() {
    let mut text = "variable \"V\" { default = \"1\" }\n".to_owned();
    for index in 0..1200 {
        let _ = writeln!(
            text,
            "target \"t{index}\" {{\n args = {{ A = upper(\"${{V}}-{index}\") }}\n tags = [\"t:{index}\"]\n}}"
        );
    }
    text += "group \"default\" { targets = [\"t0\"] }\n";
    assert!(printed("docker-bake.hcl", &text).is_ok());
    let entries = (0..4000).map(|index| format!("k{index} = 1, ")).collect::<Vec<_>>().concat();
    assert!(printed("docker-bake.hcl", &format!("a = {{{entries}}}\ntarget \"default\" {{}}")).is_ok());
    refuse("a large file", &"a = 1 # one\n".repeat(20_000));
}

#[test]
fn diamonds_are_walked_once() {
    let mut file = "target \"t0\" { policy = [\"p\"] }\ntarget \"l0\" {}\n".to_owned();
    for index in 1..60 {
        let below = index - 1;
        writeln!(file, "target \"t{index}\" {{ inherits = [\"t{below}\", \"t{below}\"] }}").unwrap();
        let contexts = format!("a = \"target:l{below}\", b = \"target:l{below}\"");
        writeln!(file, "target \"l{index}\" {{ contexts = {{ {contexts} }} }}").unwrap();
    }
    file += "group \"default\" { targets = [\"t59\", \"l59\"] }\n";
    assert!(printed("docker-bake.hcl", &file).is_ok());
}

#[test]
fn long_chains_of_links_are_called_so() {
    let mut file = "target \"t300\" {}\n".to_owned();
    for index in 0..300 {
        writeln!(file, "target \"t{index}\" {{ contexts = {{ a = \"target:t{}\" }} }}", index + 1).unwrap();
    }
    file += "group \"default\" { targets = [\"t0\"] }\n";
    let error = printed("docker-bake.hcl", &file).unwrap_err();
    assert!(error.contains("too many links from target to target"), "{error}");
}
