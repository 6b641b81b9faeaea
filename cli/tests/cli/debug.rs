//! `debug parse`, `debug expand`, `debug ignore`, `debug fsck`.

use crate::support::TestContext;

const DOCKERFILE: &str = "# check=skip=all\nFROM busybox AS build\nRUN --mount=type=cache,target=/c make \\\n  all\nCOPY <<EOF /x\nhi\nEOF\n";

#[test]
fn parse_as_expressions() {
    let context = TestContext::new();
    context.write("Dockerfile", DOCKERFILE);
    insta::assert_snapshot!(context.run(&["debug", "parse", "--sexp", "Dockerfile"]), @r#"
    $ garboard debug parse --sexp Dockerfile
    exit code: 0
    ----- stdout -----
    (from "busybox" "AS" "build")
    (run ["--mount=type=cache,target=/c"] "make   all")
    (copy "<<EOF" "/x")
    ----- stderr -----
    "#);
}

#[test]
fn parse_as_json() {
    let context = TestContext::new();
    let output = context.output(&["debug", "parse", "--json", "-"], DOCKERFILE.as_bytes());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"instruction\": \"copy\"") && text.contains("\"skip=all\""), "{text}");
}

#[test]
fn parse_errors_have_an_excerpt() {
    let context = TestContext::new();
    context.write("Dockerfile", "FROM busybox\n\nCMD [\"a\", 1]\nCOPY a b\n");
    insta::assert_snapshot!(context.run(&["debug", "parse", "Dockerfile"]), @r#"
    $ garboard debug parse Dockerfile
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    Dockerfile:3:5
    --------------------
       1 |     FROM busybox
       2 |
       3 | >>> CMD ["a", 1]
         |         ^
       4 |     COPY a b
    --------------------
    ERROR: dockerfile parse error on line 3: when using JSON array syntax, arrays must be comprised of strings only
    "#);
}

#[test]
fn parse_a_missing_file() {
    insta::assert_snapshot!(TestContext::new().run(&["debug", "parse", "Dockerfile"]), @r"
    $ garboard debug parse Dockerfile
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't read `Dockerfile`: no such file or directory
    ");
}

#[test]
fn expand() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.run(&["debug", "expand", "--env", "A=1 2", "$A-${B:-'x y'}"]), @r"
    $ garboard debug expand --env A=1 2 $A-${B:-'x y'}
    exit code: 0
    ----- stdout -----
    1 2-x y
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["debug", "expand", "--words", "--env", "A=1 2", "$A '3 4'"]), @r"
    $ garboard debug expand --words --env A=1 2 $A '3 4'
    exit code: 0
    ----- stdout -----
    1
    2
    3 4
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["debug", "expand", "${A"]), @r#"
    $ garboard debug expand ${A
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't expand `${A`: failed to process "${A": syntax error: missing '}'
    "#);
}

#[test]
fn ignore() {
    let context = TestContext::new();
    let paths = ["src/a.o", "src/keep.o", "b.c"];
    insta::assert_snapshot!(context.run(&[&["debug", "ignore", "**/*.o", "!**/keep.o", "--"][..], &paths].concat()), @r"
    $ garboard debug ignore **/*.o !**/keep.o -- src/a.o src/keep.o b.c
    exit code: 0
    ----- stdout -----
    src/a.o
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["debug", "ignore", "*.o", "--", "b.c"]), @r"
    $ garboard debug ignore *.o -- b.c
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["debug", "ignore", "[", "--", "b.c"]), @r#"
    $ garboard debug ignore [ -- b.c
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't use the patterns: syntax error in pattern "["
    "#);
}

#[test]
fn fsck_of_an_empty_store() {
    insta::assert_snapshot!(TestContext::new().run(&["debug", "fsck"]), @r"
    $ garboard debug fsck
    exit code: 0
    ----- stdout -----

    ----- stderr -----
    ");
}
