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
