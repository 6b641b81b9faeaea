//! What typed instructions hold.

use std::time::Duration;

use garboard_parser::instruction::{Healthcheck, Network, Security};
use garboard_parser::{
    CommandLine, Dockerfile, InstructionKind, LineIndex, ParseErrorKind, Position, parse, parse_trigger,
};

fn file(text: &str) -> Dockerfile {
    parse(text.as_bytes()).expect("the file is well-formed")
}

/// Returns the one instruction below `FROM scratch`.
fn one(text: &str) -> InstructionKind {
    let file = file(&format!("FROM scratch\n{text}\n"));
    file.stages[0].instructions[0].kind.clone()
}

#[test]
fn run_commands() {
    let InstructionKind::Run(run) =
        one("RUN --network=none --security=insecure --device=v.com/c=n,required make  x")
    else {
        panic!("it is a RUN")
    };
    assert_eq!(run.command, CommandLine::Shell("make  x".to_owned()));
    assert_eq!((run.network, run.security), (Some(Network::None), Some(Security::Insecure)));
    assert!(run.devices[0].required);
    let InstructionKind::Run(run) = one("RUN [\"a\", \"b c\"]") else { panic!("it is a RUN") };
    assert_eq!(run.command, CommandLine::Exec(vec!["a".to_owned(), "b c".to_owned()]));
    let InstructionKind::Run(run) = one("RUN") else { panic!("it is a RUN") };
    assert_eq!(run.command, CommandLine::Shell(String::new()));
}

#[test]
fn run_heredocs() {
    let InstructionKind::Run(script) = one("RUN <<-EOF\n\ta\n\tb\n\tEOF") else { panic!("it is a RUN") };
    assert_eq!(script.script().unwrap().text(), "a\nb\n");
    let InstructionKind::Run(mixed) = one("RUN cat <<A | tr <<'B'\n$a\nA\nb\nB") else {
        panic!("it is a RUN")
    };
    assert_eq!(mixed.script(), None);
    assert_eq!(mixed.shell_text().unwrap(), "cat <<A | tr <<'B'\n$a\nA\nb\nB");
    let InstructionKind::Run(mounts) =
        one("RUN --mount=type=cache,target=/c --mount=from=X,target=/d <<EOF\nEOF")
    else {
        panic!("it is a RUN")
    };
    assert!(mounts.script().is_some());
    assert_eq!(mounts.mounts[0].from, None);
    assert_eq!(mounts.mounts[1].from.as_deref(), Some("X"));
}

#[test]
fn copies() {
    let text = "COPY --from=x --chown=1 --chmod= --link --parents=false --exclude=a --exclude=!b s1 <<f.txt s2 /d/\nhi\nf.txt";
    let InstructionKind::Copy(copy) = one(text) else { panic!("it is a COPY") };
    assert_eq!((copy.from.as_deref(), copy.chown.as_deref(), copy.chmod), (Some("x"), Some("1"), None));
    assert_eq!(
        (copy.link, copy.parents, copy.excludes),
        (true, false, vec!["a".to_owned(), "!b".to_owned()])
    );
    assert_eq!((copy.sources, copy.dest), (vec!["s1".to_owned(), "s2".to_owned()], "/d/".to_owned()));
    assert_eq!((copy.heredocs[0].name.as_str(), copy.heredocs[0].content.as_str()), ("f.txt", "hi\n"));
    let text = "ADD --keep-git-dir --checksum=sha256:0 --unpack=false \"a b\" c";
    let InstructionKind::Add(add) = one(text) else { panic!("it is an ADD") };
    assert_eq!((add.keep_git_dir, add.unpack), (Some(true), Some(false)));
    assert_eq!(add.sources, ["\"a", "b\""]);
    let InstructionKind::Copy(twice) = one("COPY <<A <<A /d/\n1\nA\n2\nA") else { panic!("it is a COPY") };
    assert_eq!(twice.heredocs.iter().map(|heredoc| &*heredoc.content).collect::<Vec<_>>(), ["1\n", "2\n"]);
}

#[test]
fn healthchecks() {
    assert_eq!(one("HEALTHCHECK none"), InstructionKind::Healthcheck(Healthcheck::None));
    let text = "HEALTHCHECK --interval=1m30s --timeout=0s --start-period=1ms --retries=3 cmd curl \"x\"";
    let InstructionKind::Healthcheck(Healthcheck::Check {
        command,
        interval,
        timeout,
        start_period,
        retries,
        ..
    }) = one(text)
    else {
        panic!("it is a check")
    };
    assert_eq!(command, CommandLine::Shell("curl \"x\"".to_owned()));
    assert_eq!((interval, timeout), (Duration::from_secs(90), Duration::ZERO));
    assert_eq!((start_period, retries), (Duration::from_millis(1), 3));
}

#[test]
fn metadata() {
    let InstructionKind::Expose(expose) = one("EXPOSE 80 443/udp $P 8080") else { panic!("it is an EXPOSE") };
    assert_eq!(expose.ports, ["$P", "443/udp", "80", "8080"]);
    let InstructionKind::Env(env) = one("ENV a=\"b c\" $d=e\\ f g==") else { panic!("it is an ENV") };
    let pairs: Vec<_> = env.pairs.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
    assert_eq!((pairs, env.legacy), (vec![("a", "\"b c\""), ("$d", "e\\ f"), ("g", "=")], false));
    let InstructionKind::Env(env) = one("ENV a  b=c d  ") else { panic!("it is an ENV") };
    assert_eq!((env.pairs[0].value.as_str(), env.legacy), ("b=c d", true));
    assert_eq!(one("WORKDIR /a b"), InstructionKind::Workdir("/a b".to_owned()));
    assert_eq!(one("CMD []"), InstructionKind::Cmd(CommandLine::Exec(Vec::new())));
}

#[test]
fn comments_describe() {
    let file = file("# A sets a\n# other\nARG A=1 B\n# build  makes it\nFROM x AS Build\n# C c\n#\nARG C\n");
    let InstructionKind::Arg(arg) = &file.global_args[0].kind else { panic!("it is an ARG") };
    assert_eq!(arg.items[0].description.as_deref(), Some("sets a"));
    assert_eq!((arg.items[0].default.as_deref(), arg.items[1].default.as_deref()), (Some("1"), None));
    assert_eq!(arg.items[1].description, None);
    assert_eq!(file.stages[0].description.as_deref(), Some("makes it"));
    let InstructionKind::Arg(arg) = &file.stages[0].instructions[0].kind else { panic!("it is an ARG") };
    assert_eq!(arg.items[0].description, None);
}

#[test]
fn places() {
    let text = "\u{feff}# syntax=x\r\nFROM a\r\nRUN b \\\r\n  <<E\r\nc\r\nE\r\nCOPY ä b\r\n";
    let file = file(text);
    let [run, copy] = file.stages[0].instructions.as_slice() else { panic!("there are two") };
    assert_eq!((run.lines, &text[run.span.start..run.span.end]), ((3, 6), "RUN b \\\r\n  <<E\r\nc\r\nE\r\n"));
    let InstructionKind::Run(inner) = &run.kind else { panic!("it is a RUN") };
    assert_eq!(inner.heredocs[0].content, "c\r\n");
    assert_eq!(run.original, "RUN b   <<E");
    let index = LineIndex::new(text.as_bytes());
    let b = copy.words[1].span;
    assert_eq!(&text[b.start..b.end], "b");
    assert_eq!(index.position(text.as_bytes(), b.start), Position { line: 7, column: 8 });
}

#[test]
fn bytes_that_are_not_text() {
    let file = parse(b"# M\xfcller\nFROM a\nRUN x \\\n# \xff\n y\n").unwrap();
    assert_eq!(file.stages[0].instructions[0].original, "RUN x  y");
    for (text, line) in [(&b"FROM a\nRUN \xff\n"[..], 2), (b"FROM a\nCOPY <<E /f\n\xff\nE\n", 3)] {
        assert_eq!(*parse(text).unwrap_err().kind, ParseErrorKind::NotUtf8 { line });
    }
}

#[test]
fn triggers() {
    assert_eq!(parse_trigger("COPY <<E /f\nx\nE").unwrap().kind.name(), "COPY");
    assert!(matches!(parse_trigger("run a\\\n b").unwrap().kind, InstructionKind::Run(_)));
    for (text, message) in [
        ("INSTALL x", "unknown instruction: INSTALL"),
        ("RUN a\nRUN b", "an ONBUILD trigger must be one instruction, not 2"),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
    ] {
        assert_eq!(parse_trigger(text).unwrap_err().kind.to_string(), message);
    }
    assert!(parse_trigger("").is_err());
}
