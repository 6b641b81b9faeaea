//! The value of `RUN --mount`.

use garboard_parser::instruction::Sharing;
use garboard_parser::{Mount, MountKind, parse_mount};

/// Property: a mount that was read can be printed and read again with the same result.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| parse_mount(text, |value| Ok(value.to_owned()));
    match read(text) {
        Ok(mount) => {
            let printed = print(&mount);
            assert_eq!(read(&printed).as_ref(), Ok(&mount), "{printed}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}

fn print(mount: &Mount) -> String {
    let mut fields = vec![format!("type={}", mount.kind.name()), format!("readonly={}", mount.read_only)];
    let texts = [
        ("from", &mount.from),
        ("source", &mount.source),
        ("target", &mount.target),
        ("id", &mount.id),
        ("env", &mount.env),
    ];
    let texts = texts.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    fields.extend(texts.map(|(key, value)| format!("{key}={value}")));
    if let Some(sharing) = mount.sharing {
        let name = match sharing {
            Sharing::Shared => "shared",
            Sharing::Private => "private",
            Sharing::Locked => "locked",
        };
        fields.push(format!("sharing={name}"));
    }
    if matches!(mount.kind, MountKind::Secret | MountKind::Ssh) {
        fields.push(format!("required={}", mount.required));
    }
    fields.extend(mount.size.map(|size| format!("size={size}")));
    fields.extend(mount.mode.map(|mode| format!("mode={mode:o}")));
    fields.extend(mount.uid.map(|uid| format!("uid={uid}")));
    fields.extend(mount.gid.map(|gid| format!("gid={gid}")));
    let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
    quoted.join(",")
}
