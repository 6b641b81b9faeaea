//! A build may be killed at any moment: the next one is right, and the store is whole.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use crate::support::TestContext;
use crate::support::layout::{Image, read_image};

const KILLS: u32 = 50;
/// A store is used for so many kills; then the making of a new one is among what is broken off.
const KILLS_PER_STORE: u32 = 10;

/// Something of everything: stages beside each other, files written, changed and removed, copies from context and
/// stages, mounts.
const DOCKERFILE: &str = r#"FROM base AS one
RUN i=0; while [ $i -lt 20 ]; do echo file $i >/f$i; i=$((i+1)); done
COPY data /data
RUN --mount=type=cache,target=/cache echo x >>/cache/runs; cat /data /f3 >/sum; echo changed >/f4

FROM base AS two
WORKDIR /work/deep
RUN --mount=from=one,target=/one cat /one/sum >from-one

FROM one
COPY --from=two /work /work
COPY --link data /linked/
RUN cat /work/deep/from-one /linked/data >/all
ENV DONE=yes
CMD ["cat", "/all"]
"#;

fn args<'a>(root: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let output = "type=oci,dest=image,tar=false";
    let args =
        ["--root", root, "build", "--progress=plain", "--build-context=base=base", "-t", "app", "-o", output];
    args.iter().chain(&["-o", "type=image"]).chain(more).chain(&["c"]).copied().collect()
}

/// Builds to the end.
fn build(context: &TestContext, root: &str, what: &str) -> Image {
    let _ = std::fs::remove_dir_all(context.work().join("image"));
    let output = context.output(&args(root, &[]), b"");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    read_image(&context.work().join("image"))
}

#[test]
fn killed_at_any_moment() {
    let Some(context) = TestContext::with_base() else { return };
    context.write("c/Dockerfile", DOCKERFILE);
    context.write("c/data", "data\n".repeat(10_000));
    let start = Instant::now();
    let reference = build(&context, "reference", "the reference");
    let longest = start.elapsed();
    assert!(
        reference.files.contains_key("all") && reference.config["config"]["Env"].is_array(),
        "{reference:?}"
    );

    for kill in 0..KILLS {
        let root = format!("store-{}", kill / KILLS_PER_STORE);
        let random = RandomState::new().build_hasher().finish();
        let delay = Duration::from_nanos(random % u64::try_from(longest.as_nanos()).unwrap());
        let what = format!("kill {kill} after {delay:?} of {longest:?}");
        // Without the cache, so that every step is there to be hit.
        let mut child = context.command(&args(&root, &["--no-cache"])).spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(build(&context, &root, &what), reference, "{what}");
        let check = context.run(&["--root", &root, "debug", "fsck"]);
        assert!(check.contains("exit code: 0"), "{what}: {check}");
    }
}

/// A step has folders and a socket of its own while it runs. When the build is killed, the next one clears them away.
#[test]
fn nothing_of_a_killed_step_stays() {
    let Some(context) = TestContext::with_base() else { return };
    let _agent = std::os::unix::net::UnixListener::bind(context.work().join("agent")).unwrap();
    let mounts = "--mount=type=ssh --mount=type=tmpfs,target=/new/mount --mount=target=/etc/deep,rw";
    let sleeping = format!("FROM base\nRUN {mounts} echo asleep; sleep 1000\n");
    context.write("c/Dockerfile", sleeping);
    let args = ["build", "--progress=plain", "--build-context=base=base", "--ssh=default=agent", "c"];
    let mut child = context.command(&args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(" asleep")));
    let own = || std::fs::read_dir(context.root().join("tmp")).unwrap().count();
    assert_eq!(own(), 1, "the folder of the process");
    child.kill().unwrap();
    child.wait().unwrap();
    context.write("c/Dockerfile", "FROM base\nRUN true\n");
    let output = context.output(&args, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(own(), 0);
    let stubs = std::fs::read_dir(context.root().join("stubs")).unwrap().flatten();
    let steps: Vec<_> =
        stubs.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-")).collect();
    assert!(steps.is_empty(), "{steps:?}");
}
