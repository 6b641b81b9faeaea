//! Digests that a build of `BuildKit` gives its operations: `testdata/buildkit/keys.txt`.

use super::*;

fn platform() -> KeyPlatform {
    KeyPlatform { os: "linux".into(), architecture: "amd64".into(), ..KeyPlatform::default() }
}

#[test]
fn smoke() {
    assert!(selector(&["/"]).starts_with("sha256:8a5edab2"));
    let exec = Exec {
        args: vec!["/bin/sh".into(), "-c".into(), "cat /a.txt > /b.txt".into()],
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        platform: platform(),
        ..Exec::default()
    };
    assert_eq!(exec.digests().len(), 2);
}
