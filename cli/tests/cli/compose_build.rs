//! `compose build`: services as one run, what they share made once, and one made from another.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::support::TestContext;

/// Notes in a cache mount that a step ran.
fn note(name: &str) -> String {
    format!("RUN --mount=type=cache,target=/ran echo {name} >>/ran/steps")
}

/// What [`note`] noted; `turn` is another one each time.
fn noted(context: &TestContext, turn: &str) -> Vec<String> {
    context.write(
        "count",
        "FROM base\nARG TURN\nRUN --mount=type=cache,target=/ran cat /ran/steps >/steps\nFROM scratch\nCOPY --from=0 /steps /\n",
    );
    let turn = format!("--build-arg=TURN={turn}");
    context.done(&["build", &turn, "--build-context=base=base", "-f", "count", "-o", "out", "-q", "."]);
    let text = std::fs::read_to_string(context.work().join("out/steps")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn stderr(context: &TestContext, args: &[&str]) -> (bool, String) {
    let output = context.output(args, b"");
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn twenty_services_share_their_stages() {
    let Some(context) = TestContext::with_base() else { return };
    let mut file = "name: shop\nservices:\n".to_owned();
    for number in 0..20 {
        let _ = write!(
            file,
            "  s{number}:\n    build:\n      context: c\n      dockerfile: ../Dockerfile.{number}\n      additional_contexts: [base=./base]\n"
        );
        let dockerfile = format!(
            "FROM base AS tools\n{}\nFROM tools AS lib\nCOPY data /data\n{}\nFROM lib\n{}\n",
            note("tools"),
            note("lib"),
            note(&format!("own{number}"))
        );
        context.write(&format!("Dockerfile.{number}"), dockerfile);
    }
    context.write("compose.yaml", file);
    context.write("c/data", "data");
    let (success, log) = stderr(&context, &["compose", "build"]);
    assert!(success, "{log}");
    let steps = noted(&context, "1");
    assert_eq!(steps.iter().filter(|step| *step == "tools").count(), 1, "{steps:?}");
    assert_eq!(steps.iter().filter(|step| *step == "lib").count(), 1, "{steps:?}");
    assert_eq!(steps.len(), 22, "{steps:?}");
    let begin = Instant::now();
    let (success, log) = stderr(&context, &["compose", "build"]);
    println!("built again in {} ms", begin.elapsed().as_millis());
    assert!(success, "{log}");
    assert_eq!(noted(&context, "2").len(), 22, "{log}");
    assert_eq!(log.lines().filter(|line| line.ends_with(" CACHED")).count(), 20 * 4, "{log}");
    let images: Vec<Value> =
        serde_json::from_str(&context.done(&["compose", "images", "--format", "json"])).unwrap();
    assert_eq!(images.len(), 20, "{images:?}");
    assert_eq!(images[0]["name"], "shop-s0", "{images:?}");
}

#[test]
fn a_service_is_built_from_another() {
    let Some(context) = TestContext::with_base() else { return };
    let file = "
name: shop
services:
  app:
    image: example/app:1
    build:
      context: c
      dockerfile_inline: |
        FROM lib
        RUN cat /of_lib >/app
        RUN --mount=type=secret,id=word,env=WORD echo $$WORD >/word
        FROM scratch
        COPY --from=0 /app /word /
      additional_contexts:
        lib: service:lib
      secrets: [word]
  lib:
    build:
      context: c
      dockerfile_inline: |
        FROM base
        COPY data /of_lib
      additional_contexts: {base: ./base}
secrets:
  word: {environment: WORD}
";
    let context = context.env("WORD", "said");
    context.write("compose.yaml", file);
    context.write("c/data", "of lib");
    let (success, log) = stderr(&context, &["compose", "build", "app"]);
    assert!(success, "{log}");
    assert!(log.contains("[app stage-0 2/3] RUN cat /of_lib >/app"), "{log}");
    assert!(!log.contains("said"), "{log}");
    context.done(&["save", "example/app:1", "-o", "app.tar"]);
    let copied = "FROM example/app:1\n";
    context.write("copied", copied);
    context.done(&["build", "-q", "-f", "copied", "-o", "out", "."]);
    assert_eq!(std::fs::read_to_string(context.work().join("out/app")).unwrap(), "of lib");
    assert_eq!(std::fs::read_to_string(context.work().join("out/word")).unwrap(), "said\n");
}

#[test]
fn a_failure_is_shown_with_its_place_and_leaves_the_others() {
    let context = TestContext::new();
    let service = |name: &str, text: &str| {
        format!(
            "  {name}:\n    build:\n      context: c\n      dockerfile_inline: |\n        FROM scratch\n        {text}\n"
        )
    };
    let needs = "  needs:\n    build:\n      context: c\n      dockerfile_inline: FROM bad\n      additional_contexts: [\"bad=service:bad\"]\n";
    let file = [
        "name: shop\nservices:\n",
        &service("bad", "COPY missing /"),
        needs,
        &service("good", "COPY data /"),
    ];
    context.write("compose.yaml", file.concat());
    context.write("c/data", "data");
    let (success, log) = stderr(&context, &["compose", "build", "--keep-going"]);
    assert!(!success, "{log}");
    assert!(log.contains("target bad: ") && log.contains(">>> COPY missing /"), "{log}");
    assert!(log.contains("not built for that: needs"), "{log}");
    context.done(&["inspect", "shop-good"]);
    assert_eq!(context.output(&["inspect", "shop-bad"], b"").status.code(), Some(1));
    let (success, log) = stderr(&context, &["compose", "build", "good"]);
    assert!(success, "{log}");
}
