//! Who `--chown` means.
//!
//! BuildKit is lenient here and its images show it: an unknown user is root, an unknown group is the user's primary
//! group. Only where there is nothing at all to look a name up in does the build fail.

use garboard_layer::{EntryKind, TreeView};

use super::{CopyError, Owner, SourceContent};

/// What the destination image says about users.
#[derive(Clone, Copy, Debug)]
pub enum Accounts<'a> {
    /// There is no image to look in: `FROM scratch` without a layer yet, or `--link`.
    NoImage,
    /// Its files; `None` where one is missing.
    Image {
        /// `/etc/passwd`.
        passwd: Option<&'a [u8]>,
        /// `/etc/group`.
        group: Option<&'a [u8]>,
    },
}

/// One half of `user:group`.
enum Half<'a> {
    Id(u32),
    Name(&'a str),
}

/// Where `/etc/passwd` and `/etc/group` of an image are, links followed inside it. Layers are counted in `image`.
pub fn account_files(image: &TreeView) -> [Option<SourceContent>; 2] {
    [&b"etc/passwd"[..], b"etc/group"].map(|path| {
        let path = image.resolve(path, true).ok()?.path;
        let holder = image.content_entry(image.lookup(&path)?).ok()?;
        let content = SourceContent::Tree { path: holder.entry.path.clone(), layer: holder.layer };
        matches!(holder.entry.kind, EntryKind::File { .. }).then_some(content)
    })
}

/// Whether `/etc/passwd` or `/etc/group` of the destination is needed to know whom the argument of `--chown` means.
/// If so, their contents belong to the step's key.
pub fn needs_lookup(text: &str) -> bool {
    text.split(':').take(2).any(|half| !matches!(parse(half), Ok(Half::Id(_))))
}

/// The owner that an argument of `--chown` (`user`, `user:group`, `:group`; names or numbers) means.
///
/// A number alone is the group's number too, a name alone brings its primary group, an empty half is 0, `root` never
/// needs a file.
pub fn resolve_chown(text: &str, accounts: &Accounts<'_>) -> Result<Owner, CopyError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (passwd, groups) = match accounts {
        Accounts::NoImage if needs_lookup(text) => {
            return Err(CopyError::NoAccounts { text: text.to_owned() });
        }
        Accounts::NoImage => (None, None),
        Accounts::Image { passwd, group } => (*passwd, *group),
    };
    let mut owner = match parse(user)? {
        Half::Id(id) => Owner { uid: id, gid: id },
        Half::Name(name) => passwd.and_then(|file| find(file, name, user_line)).unwrap_or_default(),
    };
    match group.map(parse).transpose()? {
        Some(Half::Id(id)) => owner.gid = id,
        Some(Half::Name(name)) => {
            owner.gid = groups.and_then(|file| find(file, name, group_line)).unwrap_or(owner.gid);
        }
        None => {}
    }
    Ok(owner)
}

/// A number, `root` and nothing are ids, all else is a name.
fn parse(half: &str) -> Result<Half<'_>, CopyError> {
    let bad = || CopyError::BadOwner { text: half.to_owned() };
    if half.is_empty() || half == "root" {
        return Ok(Half::Id(0));
    }
    let digits = half.strip_prefix(['+', '-']).unwrap_or(half);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Half::Name(half));
    }
    // All ones means "leave as it is" to the kernel, so it is nobody's id.
    half.parse().ok().filter(|id| *id != u32::MAX).map(Half::Id).ok_or_else(bad)
}

/// The first line of this name.
fn find<T>(file: &[u8], name: &str, read: fn(&[&[u8]]) -> T) -> Option<T> {
    let lines = file.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let mut fields = lines.map(|line| line.split(|b| *b == b':').collect::<Vec<_>>());
    fields.find(|fields| fields[0] == name.as_bytes()).map(|fields| read(&fields))
}

fn user_line(fields: &[&[u8]]) -> Owner {
    Owner { uid: number(fields.get(2)), gid: number(fields.get(3)) }
}

fn group_line(fields: &[&[u8]]) -> u32 {
    number(fields.get(2))
}

/// A field's number; 0 where it is none, as Docker's reader of these files has it.
fn number(field: Option<&&[u8]>) -> u32 {
    field.and_then(|f| std::str::from_utf8(f).ok()).and_then(|f| f.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:\n app:x:1000:1001:app::\n\nodd:x:z\n";
    const GROUP: &[u8] = b"root:x:0:\nstaff:x:50:app\nnogroup:x:65534:\n";

    fn image() -> Accounts<'static> {
        Accounts::Image { passwd: Some(PASSWD), group: Some(GROUP) }
    }

    #[test]
    fn names_and_numbers() {
        let rows = [
            ("12:34", 12, 34),
            ("77", 77, 77),
            ("0:5", 0, 5),
            ("root", 0, 0),
            ("root:root", 0, 0),
            ("app", 1000, 1001),
            ("app:staff", 1000, 50),
            ("app:", 1000, 0),
            ("www-data", 33, 33),
            ("5:nogroup", 5, 65534),
            ("www-data:1", 33, 1),
            (":50", 0, 50),
            (":staff", 0, 50),
            // Unknown names: root, and the user's own group.
            ("stranger", 0, 0),
            ("stranger:staff", 0, 50),
            ("app:strangers", 1000, 1001),
            ("9:strangers", 9, 9),
            ("odd", 0, 0),
        ];
        for (text, uid, gid) in rows {
            assert_eq!(resolve_chown(text, &image()).unwrap(), Owner { uid, gid }, "{text}");
        }
    }

    #[test]
    fn an_image_without_files_knows_nobody() {
        let none = Accounts::Image { passwd: None, group: None };
        assert_eq!(resolve_chown("app:staff", &none).unwrap(), Owner::default());
    }

    #[test]
    fn without_an_image_only_numbers_work() {
        for text in ["app", "5:staff", ":staff"] {
            let error = resolve_chown(text, &Accounts::NoImage).unwrap_err();
            assert!(error.to_string().contains("invalid user index: -1"), "{error}");
        }
        assert_eq!(resolve_chown("5:6", &Accounts::NoImage).unwrap(), Owner { uid: 5, gid: 6 });
        assert_eq!(resolve_chown("root", &Accounts::NoImage).unwrap(), Owner::default());
    }

    #[test]
    fn files_behind_links() {
        let image =
            crate::copy::testing::tree("etc/\netc/passwd -> ../lib2/passwd\n---\nlib2/\nlib2/passwd\n");
        let passwd = SourceContent::Tree { path: b"lib2/passwd".to_vec(), layer: 1 };
        assert_eq!(account_files(&image), [Some(passwd), None]);
    }

    #[test]
    fn impossible_ids() {
        for text in ["4294967295", "-1", "1:99999999999"] {
            assert!(matches!(resolve_chown(text, &image()), Err(CopyError::BadOwner { .. })), "{text}");
        }
    }

    #[test]
    fn lookups_only_for_names() {
        for (text, wanted) in
            [("1", false), ("1:2", false), ("root", false), (":3", false), ("app", true), ("1:g", true)]
        {
            assert_eq!(needs_lookup(text), wanted, "{text}");
        }
    }
}
