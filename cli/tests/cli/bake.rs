//! `bake`, as far as it builds nothing.

use crate::support::TestContext;

const FILE: &str = "\
variable \"TAG\" {
  default = \"1\"
  description = \"Which one\"
}
target \"app\" {
  description = \"The app\"
  tags = [\"app:${TAG}\"]
  contexts = { up = \"..\" }
}
";

fn project() -> TestContext {
    let context = TestContext::new();
    context.write("docker-bake.hcl", FILE);
    context
}

#[test]
fn print_and_list() {
    insta::assert_snapshot!(project().run(&["bake", "app", "--print", "--var", "TAG=2", "--push"]), @r#"
    $ garboard bake app --print --var TAG=2 --push
    exit code: 0
    ----- stdout -----
    {
      "group": {
        "default": {
          "targets": [
            "app"
          ]
        }
      },
      "target": {
        "app": {
          "description": "The app",
          "context": ".",
          "contexts": {
            "up": ".."
          },
          "dockerfile": "Dockerfile",
          "tags": [
            "app:2"
          ],
          "output": [
            {
              "push": "true",
              "type": "image"
            }
          ]
        }
      }
    }
    ----- stderr -----
    "#);
    insta::assert_snapshot!(project().run(&["bake", "--list=targets"]), @"
    $ garboard bake --list=targets
    exit code: 0
    ----- stdout -----
    TARGET\tDESCRIPTION
    app\tThe app
    ----- stderr -----
    ");
    insta::assert_snapshot!(project().run(&["bake", "--list=variables"]), @"
    $ garboard bake --list=variables
    exit code: 0
    ----- stdout -----
    VARIABLE\tTYPE\tVALUE\tDESCRIPTION
    TAG\t\t1\tWhich one
    ----- stderr -----
    ");
}

/// An empty folder is the one that the program runs in, not all there are.
#[test]
fn rights_that_are_none() {
    let context = TestContext::new();
    context.write("docker-bake.hcl", "target \"default\" {\n  secret = [\"id=x,src=/etc/hostname\"]\n}\n");
    for (right, message) in [
        ("frob", "unknown entitlement key \"frob\""),
        ("fs.reed=/x", "did you mean `fs.read`?"),
        ("fs.read=", "isn't allowed: fs.read=/etc/hostname"),
        ("fs", "isn't allowed: fs.read=/etc/hostname"),
        ("fs.write=/", "isn't allowed: fs.read=/etc/hostname"),
        ("fs.read=/usr", "isn't allowed: fs.read=/etc/hostname"),
        ("buildx.local.delete", "isn't allowed: fs.read=/etc/hostname"),
    ] {
        let said = context.run(&["bake", "--allow", right]);
        assert!(said.contains("exit code: 1") && said.contains(message), "{said}");
    }
    for right in ["fs=*", "fs.read=/etc"] {
        let said = context.run(&["bake", "--allow", right]);
        assert!(!said.contains("isn't allowed"), "{said}");
    }
}

#[test]
fn answers_of_several_targets() {
    let context = TestContext::new();
    context.write(
        "docker-bake.hcl",
        "group \"default\" { targets = [\"a\", \"b\"] }
target \"a\" { dockerfile-inline = \"RUM x\" }
target \"b\" { dockerfile-inline = \"FROM scratch AS one\\nARG Q=1\\n\" }
",
    );
    let output = context.output(&["bake", "--call=outline,format=json"], b"");
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success(), "one has no answer");
    assert_eq!(answers["group"]["default"]["targets"], serde_json::json!(["a", "b"]));
    assert_eq!(answers["target"]["b"]["outline"]["args"][0]["name"], "Q");
    assert_eq!(answers["target"]["b"]["build"]["context"], ".");
    assert_eq!(answers["target"]["a"].get("outline"), None);
    assert!(String::from_utf8_lossy(&output.stderr).contains("target a: dockerfile parse error"));
    let said = context.run(&["bake", "--check", "--keep-going=false"]);
    assert!(
        said.contains("target a: dockerfile parse error") && said.contains("\nb\n\nCheck complete"),
        "{said}"
    );
}

#[test]
fn mistakes() {
    insta::assert_snapshot!(project().run(&["bake", "ap", "--print"]), @"
    $ garboard bake ap --print
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: failed to find target ap
    hint: there is a target `app`
    ");
    insta::assert_snapshot!(project().run(&["bake", "app"]), @"
    $ garboard bake app
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: targets ask for what isn't allowed: fs.read=[TEMP]
    hint: to allow it, add --allow fs.read=[TEMP]
    ");
    insta::assert_snapshot!(project().run(&["bake", "--list=targets", "--print"]), @"
    $ garboard bake --list=targets --print
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: --print and --list are mutually exclusive
    ");
}
