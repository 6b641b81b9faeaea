//! `compose`, as far as it needs no base images.

use crate::support::TestContext;

const FILE: &str = "\
services:
  web:
    build: {context: ./web, args: {VERSION: '${VERSION:-1}'}}
    image: shop/web
  db: {build: ., profiles: [data]}
";

fn project() -> TestContext {
    let context = TestContext::new();
    context.write("shop/compose.yaml", FILE);
    context
}

const PROJECT: [&str; 3] = ["compose", "--project-directory", "shop"];

fn run(context: &TestContext, words: &[&str]) -> String {
    context.run(&[&PROJECT, words].concat())
}

#[test]
fn config() {
    insta::assert_snapshot!(run(&project(), &["config"]), @r#"
    $ garboard compose --project-directory shop config
    exit code: 0
    ----- stdout -----
    name: shop
    services:
      web:
        build:
          context: [TEMP]/work/shop/web
          dockerfile: Dockerfile
          args:
            VERSION: "1"
        image: shop/web
        networks:
          default: null
    networks:
      default:
        name: shop_default
    ----- stderr -----
    "#);
    insta::assert_snapshot!(run(&project(), &["--profile", "*", "config", "--services"]), @r"
    $ garboard compose --project-directory shop --profile * config --services
    exit code: 0
    ----- stdout -----
    db
    web
    ----- stderr -----
    ");
    insta::assert_snapshot!(run(&project(), &["config", "--images", "db"]), @r"
    $ garboard compose --project-directory shop config --images db
    exit code: 0
    ----- stdout -----
    shop-db
    ----- stderr -----
    ");
    insta::assert_snapshot!(run(&project(), &["config", "--variables"]), @r#"
    $ garboard compose --project-directory shop config --variables
    exit code: 0
    ----- stdout -----
    {
      "VERSION": {
        "DefaultValue": "1",
        "Name": "VERSION",
        "PresenceValue": "",
        "Required": false
      }
    }
    ----- stderr -----
    "#);
    insta::assert_snapshot!(run(&project(), &["config", "--quiet"]), @r"
    $ garboard compose --project-directory shop config --quiet
    exit code: 0
    ----- stdout -----

    ----- stderr -----
    ");
}

#[test]
fn build_without_building() {
    insta::assert_snapshot!(run(&project(), &["build", "--print", "--build-arg", "A=b"]), @r#"
    $ garboard compose --project-directory shop build --print --build-arg A=b
    exit code: 0
    ----- stdout -----
    {
      "group": {
        "default": {
          "targets": [
            "web"
          ]
        }
      },
      "target": {
        "web": {
          "context": "[TEMP]/work/shop/web",
          "dockerfile": "[TEMP]/work/shop/web/Dockerfile",
          "args": {
            "A": "b",
            "VERSION": "1"
          },
          "labels": {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "web",
            "com.docker.compose.version": "0.1.0"
          },
          "tags": [
            "shop/web"
          ],
          "output": [
            "type=docker"
          ]
        }
      }
    }
    ----- stderr -----
    "#);
    insta::assert_snapshot!(run(&project(), &["--dry-run", "build"]), @r"
    $ garboard compose --project-directory shop --dry-run build
    exit code: 0
    ----- stdout -----
    would build web: shop/web
    ----- stderr -----
    ");
}

#[test]
fn nothing_to_build() {
    let context = TestContext::new();
    context.write("shop/compose.yaml", "services: {a: {image: a}}\n");
    insta::assert_snapshot!(run(&context, &["build"]), @r"
    $ garboard compose --project-directory shop build
    exit code: 0
    ----- stdout -----

    ----- stderr -----
    warning: No services to build
    ");
}

#[test]
fn errors_show_their_place() {
    let context = TestContext::new();
    context.write("shop/compose.yaml", "services:\n  web:\n    build:\n      dockerfle: x\n");
    insta::assert_snapshot!(run(&context, &["config"]), @r"
    $ garboard compose --project-directory shop config
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    [TEMP]/work/shop/compose.yaml:4:7
       1 |     services:
       2 |       web:
       3 |         build:
       4 | >>>       dockerfle: x
    ERROR: validating [TEMP]/work/shop/compose.yaml: services.web.build additional properties 'dockerfle' not allowed
    hint: did you mean `dockerfile`?
    ");
    insta::assert_snapshot!(run(&project(), &["build", "wbe"]), @r"
    $ garboard compose --project-directory shop build wbe
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: no such service: wbe
    hint: did you mean `web`?
    ");
    insta::assert_snapshot!(TestContext::new().run(&["compose", "config"]), @r"
    $ garboard compose config
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: no configuration file provided: not found
    hint: make a `compose.yaml`, or name a file with `-f`
    ");
    insta::assert_snapshot!(run(&project(), &["config", "--bad"]), @r"
    $ garboard compose --project-directory shop config --bad
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    error: unexpected argument '--bad' found

      tip: to pass '--bad' as a value, use '-- --bad'

    Usage: garboard compose config [OPTIONS] [SERVICE]...

    For more information, try '--help'.
    ");
}

#[test]
fn files_of_this_machine_only_and_not_too_big() {
    let context = TestContext::new();
    insta::assert_snapshot!(context.run(&["compose", "-f", "https://example.com/compose.yaml", "config"]), @r"
    $ garboard compose -f https://example.com/compose.yaml config
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't read `https://example.com/compose.yaml`: files on other machines are not supported
    ");
    let file = std::fs::File::create(context.work().join("compose.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    insta::assert_snapshot!(context.run(&["compose", "config"]), @r"
    $ garboard compose config
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: open [TEMP]/work/compose.yaml: file is larger than 8 MiB
    ");
}

#[test]
fn containers_are_somebody_elses() {
    insta::assert_snapshot!(run(&project(), &["up", "-d"]), @r"
    $ garboard compose --project-directory shop up -d
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: `compose up` is about running containers, which garboard doesn't do
    hint: images that `compose build` makes are in the local store; where Docker or podman runs, `compose build --load` hands them over, and `docker compose up --no-build` starts them
    ");
    insta::assert_snapshot!(run(&project(), &["buidl"]), @r"
    $ garboard compose --project-directory shop buidl
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: compose has no command `buidl`
    ");
}

#[test]
fn links_name_the_project() {
    let context = project();
    std::os::unix::fs::symlink("shop", context.work().join("linked")).unwrap();
    insta::assert_snapshot!(
        context.run(&["compose", "--project-directory", "linked", "config", "--images"]),
        @r#"
        $ garboard compose --project-directory linked config --images
        exit code: 0
        ----- stdout -----
        shop/web
        ----- stderr -----
        warning: project has been loaded without an explicit name from a symlink. Using name "linked"
        "#
    );
}

#[test]
fn standard_input_is_a_file() {
    let input = b"services: {a: {build: .}}\n";
    let words = ["compose", "-f", "-", "-p", "piped", "--ansi", "never", "config", "--images"];
    insta::assert_snapshot!(TestContext::new().run_with_input(&words, input), @r"
    $ garboard compose -f - -p piped --ansi never config --images
    exit code: 0
    ----- stdout -----
    piped-a
    ----- stderr -----
    ");
}
