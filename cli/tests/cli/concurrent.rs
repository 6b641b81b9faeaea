//! Several builds on one store at once: each is right, and what they share is done once.

use std::collections::BTreeMap;
use std::process::Child;

use crate::support::TestContext;
use crate::support::layout::read_image;

/// Steps note in a cache mount that they ran. The last is each build's own.
const DOCKERFILE: &str = "FROM base AS one
RUN --mount=type=cache,target=/ran echo first >>/ran/steps; echo 1 >/first; sleep 0.2
RUN --mount=type=cache,target=/ran echo second >>/ran/steps; cat /first >/second

FROM base AS two
COPY data /
RUN --mount=type=cache,target=/ran echo third >>/ran/steps; cat /data >/third; sleep 0.1

FROM one
COPY --from=two /third /
RUN --mount=type=cache,target=/ran echo fourth >>/ran/steps; cat /second /third >/fourth
ARG WHO
RUN --mount=type=cache,target=/ran echo own >>/ran/steps; echo $WHO >/who
";

/// Says what ran.
const COUNT: &str = "FROM base
RUN --mount=type=cache,target=/ran cat /ran/steps >/steps
FROM scratch
COPY --from=0 /steps /
";

fn start(context: &TestContext, number: usize) -> Child {
    let who = format!("WHO=build {number}");
    let output = format!("type=oci,dest=image-{number},tar=false");
    let name = format!("app{number}");
    let args = ["build", "--progress=plain", "--build-context=base=base", "-t", &name, "--build-arg", &who];
    context.command(&[&args[..], &["-o", &output, "-o", "type=image", "c"]].concat()).spawn().unwrap()
}

/// How the vertices of a plain log ended, by name: `DONE` or `CACHED`.
fn ends(log: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut ends = BTreeMap::new();
    for (number, rest) in log.lines().filter_map(|line| line.split_once(' ')) {
        if rest.starts_with('[') {
            names.insert(number, rest);
        } else if let Some(end) = ["DONE", "CACHED"].into_iter().find(|end| rest.starts_with(end))
            && let Some(name) = names.get(number)
        {
            ends.insert((*name).to_owned(), end.to_owned());
        }
    }
    ends
}

fn together(count: usize) {
    let Some(context) = TestContext::with_base() else { return };
    context.write("c/Dockerfile", DOCKERFILE);
    context.write("c/data", "data\n");
    context.write("count", COUNT);
    let builds: Vec<Child> = (0..count).map(|number| start(&context, number)).collect();
    let mut done: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut images = Vec::new();
    for (number, build) in builds.into_iter().enumerate() {
        let output = build.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        for (name, end) in ends(&log).into_iter().filter(|(name, _)| name.contains("RUN")) {
            done.entry(name).or_default().push(end);
        }
        let mut image = read_image(&context.work().join(format!("image-{number}")));
        assert!(image.files.contains_key("fourth"), "{image:?}");
        // What differs.
        images.push((image.files.remove("who").unwrap(), image));
    }
    assert!(images.iter().all(|(_, image)| *image == images[0].1), "{images:?}");
    assert!(images.iter().skip(1).all(|(who, _)| *who != images[0].0), "{images:?}");
    for (name, ends) in &done {
        assert_eq!(ends.len(), count, "{name}");
        let ran = ends.iter().filter(|end| *end == "DONE").count();
        assert_eq!(ran, if name.contains("echo own") { count } else { 1 }, "{name}: {ends:?}");
    }
    assert_eq!(done.len(), 5, "{done:?}");
    let counted = ["build", "--build-context=base=base", "-f", "count", "-o", "counted", "c"];
    let output = context.output(&counted, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(context.work().join("counted/steps")).unwrap();
    let mut steps: Vec<&str> = text.lines().collect();
    steps.sort_unstable();
    let mut expected = vec!["first", "fourth", "second", "third"];
    expected.extend(std::iter::repeat_n("own", count));
    expected.sort_unstable();
    assert_eq!(steps, expected);
    assert!(context.run(&["debug", "fsck"]).contains("exit code: 0"));
}

#[test]
fn two_builds() {
    together(2);
}

#[test]
fn eight_builds() {
    together(8);
}

/// Each build prunes what the others have just left; none may lose what it needs.
#[test]
fn while_the_store_is_pruned() {
    let Some(context) = TestContext::with_base() else { return };
    let context = context.env("GARBOARD_CONFIG", "garboard.toml");
    context.write(
        "garboard.toml",
        "[store]\nmax-used-space = \"1\"\nreserved-space = \"0\"\nmin-free-space = \"0\"\n",
    );
    context.write("c/Dockerfile", DOCKERFILE);
    context.write("c/data", "data\n");
    let builds: Vec<Child> = (0..4).map(|number| start(&context, number)).collect();
    let mut images = Vec::new();
    for (number, build) in builds.into_iter().enumerate() {
        let output = build.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut image = read_image(&context.work().join(format!("image-{number}")));
        assert!(image.files.remove("who").is_some());
        images.push(image);
    }
    assert!(images.iter().all(|image| *image == images[0]), "{images:?}");
    let check = context.run(&["debug", "fsck"]);
    assert!(check.contains("exit code: 0"), "{check}");
    let usage = context.run(&["du"]);
    assert!(usage.contains("exec.cachemount   0 "), "what no image needs is gone: {usage}");
}
