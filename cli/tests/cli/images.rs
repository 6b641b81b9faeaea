//! Commands on the images of the local store, with a store that the tests fill.

use crate::support::TestContext;

/// A store with `app:1` for two platforms, and `base` for one.
fn filled() -> TestContext {
    let context = TestContext::new();
    let amd = context.image("amd64", "docker.io/library/base:latest");
    let arm = context.image("arm64", "");
    context.index("docker.io/library/app:1", &[("amd64", amd), ("arm64", arm)]);
    context
}

#[test]
fn images() {
    insta::assert_snapshot!(TestContext::new().run(&["images"]), @r"
    $ garboard images
    exit code: 0
    ----- stdout -----
    NAME   DIGEST   PLATFORM   CREATED   SIZE
    ----- stderr -----
    ");
    insta::assert_snapshot!(filled().run(&["images"]), @r"
    $ garboard images
    exit code: 0
    ----- stdout -----
    NAME          DIGEST         PLATFORM                   CREATED    SIZE
    app:1         c8819444772b   linux/amd64, linux/arm64   just now   2.05kB
    base:latest   1bee45cb2318   linux/amd64                just now   1.02kB
    ----- stderr -----
    ");
    insta::assert_snapshot!(filled().run(&["images", "--format", "json", "bas"]), @r#"
    $ garboard images --format json bas
    exit code: 0
    ----- stdout -----
    [
      {
        "created": "2999-01-01T00:00:00Z",
        "digest": "sha256:1bee45cb23186f7daf4d789524dc31699d293d698e5529eeb7770603eb3b0447",
        "name": "docker.io/library/base:latest",
        "platforms": [
          "linux/amd64"
        ],
        "size": 1024
      }
    ]
    ----- stderr -----
    "#);
    insta::assert_snapshot!(filled().run(&["images", "-q"]), @r"
    $ garboard images -q
    exit code: 0
    ----- stdout -----
    sha256:c8819444772bfaa83f491f0a5e5edf128d3bab44ad4f5382a17894435b85e200
    sha256:1bee45cb23186f7daf4d789524dc31699d293d698e5529eeb7770603eb3b0447
    ----- stderr -----
    ");
}

#[test]
fn tag_and_rmi() {
    let context = filled();
    insta::assert_snapshot!(context.run(&["tag", "app:1", "registry.example/team/app:2"]), @r"
    $ garboard tag app:1 registry.example/team/app:2
    exit code: 0
    ----- stdout -----

    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["rmi", "app:1", "base"]), @r"
    $ garboard rmi app:1 base
    exit code: 0
    ----- stdout -----
    untagged app:1
    untagged base:latest
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["images"]), @r"
    $ garboard images
    exit code: 0
    ----- stdout -----
    NAME                          DIGEST         PLATFORM                   CREATED    SIZE
    registry.example/team/app:2   c8819444772b   linux/amd64, linux/arm64   just now   2.05kB
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["rmi", "registry.example/team/ap:2"]), @r"
    $ garboard rmi registry.example/team/ap:2
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: no image `registry.example/team/ap:2` in the local store
    hint: did you mean `registry.example/team/app:2`?
    ");
    insta::assert_snapshot!(context.run(&["rmi", "-f", "nothing"]), @r"
    $ garboard rmi -f nothing
    exit code: 0
    ----- stdout -----

    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["tag", "registry.example/team/app:2", "X:Y:Z"]), @r"
    $ garboard tag registry.example/team/app:2 X:Y:Z
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: `X:Y:Z` is no image name: invalid reference format: repository name (library/X) must be lowercase
    hint: write it as `library/x`
    ");
}

#[test]
fn inspect() {
    let context = filled();
    insta::assert_snapshot!(context.run(&["inspect", "app:1", "--platform", "linux/arm64"]), @r#"
    $ garboard inspect app:1 --platform linux/arm64
    exit code: 0
    ----- stdout -----
    [
      {
        "annotations": {},
        "config": {
          "architecture": "arm64",
          "config": {
            "Cmd": [
              "sh"
            ]
          },
          "created": "2999-01-01T00:00:00Z",
          "history": [
            {
              "comment": "buildkit",
              "created": "2999-01-01T00:00:00Z",
              "created_by": "COPY a / # buildkit"
            },
            {
              "created": "2999-01-01T00:00:00Z",
              "created_by": "CMD [\"sh\"]",
              "empty_layer": true
            }
          ],
          "os": "linux",
          "rootfs": {
            "diff_ids": [
              "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
            ],
            "type": "layers"
          }
        },
        "digest": "sha256:c8819444772bfaa83f491f0a5e5edf128d3bab44ad4f5382a17894435b85e200",
        "layers": [
          {
            "digest": "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "size": 1024
          }
        ],
        "manifest": "sha256:85d16f91fb150d2f333f12901b5090d2a68856874d8beac9d0da51d8e12ff5d6",
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "name": "docker.io/library/app:1",
        "platform": "linux/arm64",
        "platforms": [
          "linux/amd64",
          "linux/arm64"
        ],
        "size": 1024
      }
    ]
    ----- stderr -----
    "#);
    insta::assert_snapshot!(context.run(&["inspect", "app:1", "--platform", "linux/s390x"]), @r"
    $ garboard inspect app:1 --platform linux/s390x
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: no match for platform in manifest: `linux/s390x` is wanted, the index has `linux/amd64`, `linux/arm64`
    hint: choose one that is there, such as `--platform=linux/amd64`
    ");
    insta::assert_snapshot!(context.run(&["inspect", "--raw", "base"]), @r#"
    $ garboard inspect --raw base
    exit code: 0
    ----- stdout -----
    {"config":{"digest":"sha256:617fd456a356307d98341cac3560de455730d108a472d2f300fa1633120afe04","mediaType":"application/vnd.oci.image.config.v1+json","size":393},"layers":[{"digest":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","mediaType":"application/vnd.oci.image.layer.v1.tar","size":1024}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}
    ----- stderr -----
    "#);
}

#[test]
fn history() {
    let context = filled();
    insta::assert_snapshot!(context.run(&["history", "base"]), @r#"
    $ garboard history base
    exit code: 0
    ----- stdout -----
    CREATED    CREATED BY            SIZE     COMMENT
    just now   CMD ["sh"]            0B
    just now   COPY a / # buildkit   1.02kB   buildkit
    ----- stderr -----
    "#);
}

#[test]
fn du_and_prune() {
    let context = filled();
    let output = context.output(&["du", "--format", "json"], b"");
    let items: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(items.as_array().unwrap().iter().all(|item| item["type"] != "regular"), "{items:#}");
    let named = items.as_array().unwrap().iter().filter(|item| item["shared"] == true);
    assert!(named.clone().count() > 0 && named.clone().all(|item| item["inUse"] == true), "{items:#}");
    for (args, part) in [
        (&["du", "--by=image"][..], "docker.io/library/"),
        (&["du", "--by=age"], "used in the last hour"),
        (&["du", "--by=step", "--filter=shared"], "(blob)"),
        (&["du", "--verbose"], "Reclaimable:   false"),
        (&["du", "--format=pretty", "--filter=private"], "Total:         0B"),
        (&["du", "--format={{.type}} {{.inUse}}", "--filter=image=app"], "blob true"),
    ] {
        let shown = context.run(args);
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(context.run(&["rmi", "app:1", "base"]).contains("exit code: 0"));
    assert!(context.run(&["prune", "--all"]).contains("kept"));
    insta::assert_snapshot!(context.run(&["prune", "--filter", "untl=1h"]), @r"
    $ garboard prune --filter untl=1h
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: invalid value `untl=1h` for `--filter`: unknown filter `untl`, did you mean `until`?

    For more information, try '--help'.
    ");
}

#[test]
fn push_without_the_image() {
    insta::assert_snapshot!(TestContext::new().run(&["push", "127.0.0.1:1/app"]), @r"
    $ garboard push 127.0.0.1:1/app
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: no image `127.0.0.1:1/app` in the local store
    hint: `garboard images` lists what is there
    ");
}

#[test]
fn pull_without_a_registry() {
    let text = TestContext::new().run(&["pull", "127.0.0.1:1/app"]);
    assert!(text.contains("exit code: 1") && text.contains("can't connect to `127.0.0.1:1`"), "{text}");
}

#[test]
fn login_needs_a_terminal_or_flags() {
    insta::assert_snapshot!(TestContext::new().run(&["login"]), @r"
    $ garboard login
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: there is no terminal to ask for credentials on
    hint: give `--username` and `--password-stdin`
    ");
}

#[test]
fn logout() {
    let context = TestContext::new();
    context.write("../home/.docker/config.json", r#"{"auths":{"ghcr.io":{"auth":"YTpi"}}}"#);
    insta::assert_snapshot!(context.run(&["logout", "https://ghcr.io/"]), @r"
    $ garboard logout https://ghcr.io/
    exit code: 0
    ----- stdout -----
    logged out of ghcr.io
    ----- stderr -----
    ");
    insta::assert_snapshot!(context.run(&["logout", "ghcr.io"]), @r"
    $ garboard logout ghcr.io
    exit code: 0
    ----- stdout -----
    not logged in to ghcr.io
    ----- stderr -----
    ");
}
