//! What targets need, and what is wrong with how stages hang together.

use std::collections::BTreeMap;

use garboard_parser::graph::{
    self, Base, Graph, GraphError, Place, Reader, Request, Source, resolve, target_stage,
};
use garboard_parser::platform::Platform;
use garboard_parser::{Dockerfile, parse};

fn file(text: &str) -> Dockerfile {
    parse(text.as_bytes()).expect("the file is well-formed")
}

/// Resolves with `A=a`, `P=linux/arm64`, a context for each name given.
fn graph(text: &str, target: Option<&str>, contexts: &[&str]) -> Result<Graph, GraphError> {
    let pairs = [("A", "a"), ("P", "linux/arm64/v8"), ("TARGETPLATFORM", "linux/amd64")];
    let globals: BTreeMap<String, String> =
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let names: Vec<&str> = globals.keys().map(String::as_str).collect();
    let request = Request {
        target,
        globals: &globals,
        global_names: &names,
        is_context: &|name| contexts.contains(&name),
        host: &Platform::new("linux", "amd64", ""),
    };
    resolve(&file(text), &request)
}

fn fails(text: &str, target: Option<&str>) -> (String, Vec<(usize, usize)>) {
    let error = graph(text, target, &[]).expect_err("it is wrong");
    (error.to_string(), error.lines)
}

#[test]
fn only_what_is_needed() {
    let text = "FROM a AS one\nRUN --mount=from=four x\nFROM b AS two\nFROM one\nCOPY --from=TWO x /\nFROM c AS four\n";
    let found = graph("FROM c AS four\nFROM a AS one\nRUN --mount=from=four x\nFROM b AS two\nFROM one\nCOPY --from=TWO x /\n", None, &[]).unwrap();
    assert_eq!((found.target, found.order), (3, vec![0, 1, 2, 3]));
    let found = graph(text, Some("Two"), &[]).unwrap();
    assert_eq!((found.target, &found.order[..]), (1, &[1][..]));
    assert!(found.needs(1) && !found.needs(0));
    assert!(found.nodes[0].dependencies.is_empty(), "what isn't needed isn't looked at");
}

#[test]
fn bases() {
    let text = "FROM $A AS a\nFROM a\nFROM A\nFROM scratch\nFROM ctx\nFROM x AS replaced\nCOPY --from=9 a b\nFROM --platform=$P a\nFROM replaced\n";
    let found = graph(text, None, &["ctx", "replaced", "scratch"]).unwrap();
    let bases: Vec<&Base> = found.nodes.iter().map(|node| &node.base).collect();
    let context = |name: &str, replaces_stage| Base::Context { name: name.to_owned(), replaces_stage };
    assert_eq!(
        bases,
        [
            &Base::Image("a".to_owned()),
            &Base::Stage(0),
            &Base::Image("A".to_owned()),
            &Base::Scratch,
            &context("ctx", false),
            &context("replaced", true),
            &Base::Stage(0),
            &Base::Stage(5),
        ]
    );
    assert_eq!(found.nodes[6].platform.as_ref().unwrap().to_string(), "linux/arm64");
    assert_eq!(found.order, [5, 7]);
}

#[test]
fn names_given_twice() {
    let text = "FROM a AS x\nFROM b AS x\nFROM x\nCOPY --from=x f /\nFROM x AS y\n";
    let found = graph(text, None, &[]).unwrap();
    assert_eq!(found.nodes[3].base, Base::Stage(1));
    assert_eq!(found.order, [1, 3]);
    let (message, lines) =
        fails("FROM a AS b\nFROM a AS one\nCOPY --from=b x /\nFROM c AS b\nFROM one\n", None);
    assert_eq!(message, "cannot copy from stage \"b\", it needs to be defined before current stage \"one\"");
    assert_eq!(lines, [(3, 3)]);
}

#[test]
fn dependencies() {
    let text = "FROM a AS base\nONBUILD COPY --from=tools t /\nONBUILD NONSENSE\nFROM b AS tools\nFROM base\nRUN --mount=target=/x --mount=from=img,target=/y true\nCOPY --from=0 f --from /\nCOPY --from=ctx f /\n";
    let text = text.replace(" --from /", " /");
    let found = graph(&text, None, &["ctx"]).unwrap();
    let needs: Vec<_> = found.nodes[2]
        .dependencies
        .iter()
        .map(|need| (need.place, need.reader, need.source.clone(), need.lines.0))
        .collect();
    assert_eq!(
        needs,
        [
            (Place::Trigger(0), Reader::Copy, Source::Stage(1), 2),
            (Place::Instruction(0), Reader::Mount(1), Source::Image("img".to_owned()), 6),
            (Place::Instruction(1), Reader::Copy, Source::Stage(0), 7),
            (Place::Instruction(2), Reader::Copy, Source::Context("ctx".to_owned()), 8),
        ]
    );
    assert!(found.nodes[0].dependencies.is_empty(), "triggers belong to who uses the stage");
    assert_eq!(found.order, [0, 1, 2]);
}

#[test]
fn faults() {
    for (text, target, message) in [
        ("FROM a AS build", Some("bulid"), "target stage \"bulid\" could not be found (did you mean build?)"),
        ("FROM a AS build", Some("0"), "target stage \"0\" could not be found"),
        ("FROM \"\"", None, "base name (\"\") should not be blank"),
        ("FROM ${NONE:-} AS unused\nFROM a", None, "base name (${NONE:-}) should not be blank"),
        ("FROM ${NONE:?missing}", None, "failed to process \"${NONE:?missing}\": NONE: missing"),
        (
            "FROM --platform=$TARGETPLATFORMS a",
            None,
            "empty platform value from expression $TARGETPLATFORMS (did you mean TARGETPLATFORM?)",
        ),
        (
            "FROM --platform=nonsense a",
            None,
            "failed to parse platform nonsense: \"nonsense\": unknown operating system or architecture",
        ),
        (
            "FROM a\nCOPY --from=$A x /",
            None,
            "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        ),
        ("FROM a\nCOPY --from=7 x /", None, "invalid stage index 7"),
        ("FROM a\nCOPY --from=-1 x /", None, "invalid stage index -1"),
        ("FROM a AS one\nCOPY --from=one x /", None, "circular dependency detected on stage: one"),
        ("FROM a\nCOPY --from=0 x /", None, "circular dependency detected on stage: stage-0"),
        (
            "FROM a AS one\nRUN --mount=from=two,target=/m x\nFROM b AS two\nFROM one",
            None,
            "cannot mount from stage \"two\" to \"/m\", stage needs to be defined before current command",
        ),
    ] {
        assert_eq!(fails(text, target).0, message, "{text}");
    }
    let circle = "FROM a AS s0\nCOPY --from=s2 f /\nFROM a AS s1\nCOPY --from=s0 f /\nFROM a AS s2\nCOPY --from=s1 f /\n";
    assert_eq!(
        fails(circle, Some("s0")),
        ("circular dependency detected on stage: s0".to_owned(), vec![(2, 2), (6, 6), (4, 4)])
    );
}

#[test]
fn unset_variables_are_known() {
    let found = graph("FROM x${NONE:-y} AS a\nFROM --platform=${Q:-linux} a", None, &[]).unwrap();
    assert!(found.nodes[0].unset.contains("NONE"));
    assert!(found.nodes[1].unset.contains("Q"));
}

#[test]
fn names_of_the_target() {
    let named = file("FROM a AS One\nFROM b AS Two");
    assert_eq!(target_stage(&named, None), "two");
    assert_eq!(target_stage(&named, Some("ONE")), "ONE");
    assert_eq!(target_stage(&file("FROM a"), None), "default");
}

#[test]
fn sources_of_triggers() {
    let file = file("FROM a AS one\nFROM b\nFROM c AS three");
    let source = |reader, from| graph::source(&file, 1, reader, from, &|name| name == "ctx");
    assert_eq!(source(Reader::Copy, "0").unwrap(), Source::Stage(0));
    assert_eq!(source(Reader::Mount(0), "0").unwrap(), Source::Image("0".to_owned()));
    assert_eq!(source(Reader::Copy, "ONE").unwrap(), Source::Stage(0));
    assert_eq!(source(Reader::Copy, "ctx").unwrap(), Source::Context("ctx".to_owned()));
    assert!(source(Reader::Copy, "three").is_err());
}

#[test]
fn many_stages_in_a_row() {
    let later = (1..3_000).map(|stage| format!("FROM s{} AS s{stage}\n", stage - 1));
    let text: String = std::iter::once("FROM a AS s0\n".to_owned()).chain(later).collect();
    assert_eq!(graph(&text, None, &[]).unwrap().order.len(), 3_000);
}
