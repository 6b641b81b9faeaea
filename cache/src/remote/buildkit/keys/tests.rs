//! Digests that versions of `BuildKit` gave to operations. Those of whole builds are in `builder/testdata/buildkit`.

use super::*;

fn platform() -> KeyPlatform {
    KeyPlatform { os: "linux".into(), architecture: "amd64".into(), ..KeyPlatform::default() }
}

#[test]
fn the_selector_of_everything() {
    let digest = "sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1";
    assert_eq!(selector(&["/"]), digest);
    assert_eq!(selector(&[]), "");
}

/// Of the version 0.8 that Docker 20.10 has.
#[test]
fn a_process_of_an_old_version() {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let exec = Exec {
        args: vec!["/bin/sh".into(), "-c".into(), "echo \"one <x>\" > /one".into()],
        env: vec![path.into(), "A=1".into()],
        cwd: "/".into(),
        network: 1,
        platform: platform(),
        ..Exec::default()
    };
    let digests: Vec<String> = exec.digests().iter().map(|digest| record(digest, 0)).collect();
    assert_eq!(digests.len(), 2);
    assert_eq!(digests[1], "sha256:6d5ca6cc52f02fc776dc1d632bc69bcda40b962a20191a21c111d02377df189d");
}

#[test]
fn owners_are_numbers_or_names() {
    let rows = [
        ("5", Some(Account::Id(5)), None),
        ("root", Some(Account::Id(0)), None),
        ("a:7", Some(Account::Name("a".into(), 3)), Some(Account::Id(7))),
        (":b", Some(Account::Id(0)), Some(Account::Name("b".into(), 3))),
        ("99999999999", Some(Account::Name("99999999999".into(), 3)), None),
    ];
    for (text, user, group) in rows {
        assert_eq!(Owner::parse(text, 3), Owner { user, group }, "{text}");
    }
}

#[test]
fn generations_differ_where_numbers_are_zero() {
    let merged = merge(2);
    assert_eq!(merged[0], of_bytes(br#"{"Type":"buildkit.merge.v0","Merge":{"inputs":[{},{"input":1}]}}"#));
    let older = br#"{"Type":"buildkit.merge.v0","Merge":{"inputs":[{"input":0},{"input":1}]}}"#;
    assert_eq!(merged[1..], [of_bytes(older)]);
}
