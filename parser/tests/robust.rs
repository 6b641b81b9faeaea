//! Nothing that is put in makes the parser panic or take long.

use garboard_parser::expand::{self, Syntax, Word};
use garboard_parser::ignore::{Matched, Matcher};
use garboard_parser::{
    ast, chmod, directive, dump, duration, glob, parse, parse_mount, parse_trigger, port, signal,
};
use proptest::prelude::*;

const DOCKERFILE: &[&str] = &[
    "FROM ",
    "scratch",
    "alpine:3",
    " AS ",
    "a",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "LABEL ",
    "ARG ",
    "CMD ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "EXPOSE ",
    "SHELL ",
    "VOLUME ",
    "USER ",
    "--from=",
    "--mount=type=",
    "--chown=",
    "--",
    "\n",
    "\n\n",
    "\\\n",
    "`\n",
    "\\",
    " ",
    "\t",
    "\r\n",
    "#",
    "# escape=`\n",
    "# check=",
    "<<EOF",
    "<<-",
    "<<",
    "EOF\n",
    "\nEOF\n",
    "'",
    "\"",
    "[",
    "]",
    "[\"a\", \"b\"]",
    ",",
    "=",
    "x=y",
    "$",
    "${",
    "}",
    ":-",
    "ä",
    "\u{feff}",
    "\u{a0}",
];

const WORD: &[&str] = &[
    "$", "{", "}", "${A", "${B", ":-", ":+", ":?", "-", "+", "?", "#", "##", "%", "%%", "/", "//", "*", "?",
    "\\", "`", "'", "\"", "a", "b", " ", "\n", "ä", "A", "B", "_", "1", "@", "!",
];

const PATTERN: &[&str] = &[
    "*", "**", "?", "/", "a", "b", "ä", "[", "]", "^", "-", "\\", "!", ".", "..", "[a-b]", "[^a]", " ", "#",
];

/// Pieces that mean something, strung together at random.
fn strung(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

/// Checks that spans lie in the file, at characters' borders, and that lines have an order.
fn check(text: &str) {
    if let Ok(ast) = ast::parse(text.as_bytes()) {
        let mut last = 0;
        for node in &ast.nodes {
            assert!(text.get(node.span.start..node.span.end).is_some(), "{node:?}");
            assert!(last < node.lines.0 && node.lines.0 <= node.lines.1);
            last = node.lines.1;
            for part in node.words().chain(&node.flags).chain([&node.keyword]) {
                assert!(text.get(part.span.start..part.span.end).is_some(), "{part:?}");
            }
        }
        dump::sexp(&ast);
        dump::json(&ast);
    }
    match parse(text.as_bytes()) {
        Ok(file) => assert!(!file.stages.is_empty()),
        Err(error) => {
            if let Some(span) = error.span {
                assert!(text.get(span.start..span.end).is_some(), "{error:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dockerfiles(text in strung(DOCKERFILE, 40)) {
        check(&text);
        check(&format!("FROM scratch\n{text}"));
        let _ = parse_trigger(&text);
        let _ = directive::detect_syntax(text.as_bytes());
    }

    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
        let _ = garboard_parser::ignore::read(&bytes);
    }

    #[test]
    fn words(text in strung(WORD, 30), a in strung(WORD, 10)) {
        let env = vec![("A".to_owned(), a)];
        for syntax in [Syntax::word('\\'), Syntax::word('`'), Syntax::heredoc()] {
            if let Ok(word) = Word::parse(&text, syntax)
                && let Ok(expanded) = word.expand(&env)
            {
                let variables = word.variables();
                prop_assert!(expanded.unmatched.iter().all(|name| variables.contains(name.as_str())));
            }
        }
    }

    #[test]
    fn text_without_signs_stays(text in "[a-zA-Z0-9 /.:=_-]*") {
        prop_assert_eq!(expand::word(&text, '\\', &()).unwrap().text, text);
    }

    #[test]
    fn patterns(patterns in prop::collection::vec(strung(PATTERN, 12), 0..4), path in "[ab/ä.]{0,12}") {
        let _ = glob::go_match(&patterns.concat(), path.as_bytes());
        let Ok(matcher) = Matcher::new(&patterns) else { return Ok(()) };
        let _ = matcher.matches(&path);
        let Ok(top) = matcher.child(&Matched::default(), "a") else { return Ok(()) };
        let Ok(below) = matcher.child(&top, format!("a/{path}")) else { return Ok(()) };
        // What is left out of a walk because of this would have been excluded.
        if top.is_excluded() && !matcher.may_have_exceptions_below("a") && !path.is_empty() {
            prop_assert!(below.is_excluded());
        }
    }

    #[test]
    fn notations(text in "[0-9a-zA-Zµ=+:/.,()\\-\\[\\]\" ]{0,20}") {
        if let Ok(time) = duration::parse(&text) {
            prop_assert_eq!(duration::parse(&duration::format(time)), Ok(time));
        }
        if let Ok(mode) = chmod::Mode::parse(&text) {
            prop_assert!(mode.apply(0o644, false) <= 0o7777);
        }
        let _ = port::parse(&text);
        let _ = signal::is_valid(&text);
        let _ = parse_mount(&text, |value| Ok(value.to_owned()));
    }
}

#[test]
fn large_inputs() {
    let deep = "${a:-".repeat(100_000);
    assert!(expand::word(&deep, '\\', &()).is_err());
    let quotes = "\"${a:-".repeat(100_000);
    assert!(expand::word(&quotes, '\\', &()).is_err());
    let nested = format!("FROM a\n{}RUN x", "ONBUILD ".repeat(100_000));
    assert!(parse(nested.as_bytes()).is_err());
    let arithmetic = format!("FROM a\nRUN <<E {}\nE\n", "$((".repeat(100_000));
    assert!(parse(arithmetic.as_bytes()).is_ok());
    let stages = format!("FROM a\n{}", "FROM b AS c\nFROM c\n".repeat(1_000));
    assert_eq!(parse(stages.as_bytes()).unwrap().stages.len(), 2_001);
    assert!(ast::parse(&vec![b'x'; ast::MAX_BYTES + 1]).is_err());
    let too_many = "FROM a\n".repeat(garboard_parser::MAX_STAGES + 1);
    assert!(parse(too_many.as_bytes()).is_err());
    let stars = "*a".repeat(100);
    assert!(!glob::go_match(&stars, "b".repeat(1_000).as_bytes()).unwrap());
    let env = vec![("V".to_owned(), "a".repeat(5_000))];
    assert!(expand::word(&format!("${{V//{}b/x}}", "a*".repeat(20)), '\\', &env).is_ok());
}
