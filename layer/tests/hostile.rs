//! Nothing in a tar reaches outside the folder it is unpacked to, and nothing makes the reader panic.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use std::path::Path;

use common::{unpack, view};
use garboard_layer::{
    ArchiveOptions, Devices, DiffOptions, EntryKind, Form, Ids, LayerError, Limits, Toc, TreeView,
    UnpackOptions, diff_trees, is_archive, unpack_archive, unpack_layer,
};
use proptest::prelude::*;
use tar::{EntryType, Header};

/// Name, type, link and content of an entry.
type Raw<'a> = (&'a str, EntryType, &'a str, &'a str);

/// A tar of entries as an attacker writes them.
fn raw(entries: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

use EntryType::{Directory as D, Link as H, Regular as F, Symlink as S};

/// A folder to unpack to, in a folder where a file lies that must not change.
struct Cage {
    outer: tempfile::TempDir,
}

impl Cage {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("root")).unwrap();
        std::fs::write(outer.path().join("secret"), "secret").unwrap();
        Self { outer }
    }

    fn root(&self) -> std::path::PathBuf {
        self.outer.path().join("root")
    }

    fn check(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.outer.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        assert_eq!(std::fs::read(self.outer.path().join("secret")).unwrap(), b"secret");
        assert!(!Path::new("/garboard-evil").exists());
    }
}

fn outer_path(cage: &Cage) -> String {
    cage.outer.path().to_str().unwrap().to_owned()
}

#[test]
fn names_and_links_stay_inside() {
    let cage = Cage::new();
    let outer = outer_path(&cage);
    let tar = raw(&[
        ("../secret", F, "", "evil"),
        ("/garboard-evil", F, "", "evil"),
        ("a/../../b", F, "", "b"),
        ("abs", S, &outer, ""),
        ("abs/secret", F, "", "evil"),
        ("up", S, "../../..", ""),
        ("up/garboard-evil2", F, "", "x"),
        ("./x/./y//z", F, "", "z"),
    ]);
    for form in [Form::Overlay, Form::Flat] {
        let cage = Cage::new();
        let toc = unpack(&tar, &cage.root(), form, &TreeView::default()).unwrap();
        cage.check();
        for path in ["secret", "garboard-evil", "garboard-evil2", "b", "x/y/z"] {
            assert!(toc.get(path.as_bytes()).is_some(), "{path}");
            assert!(cage.root().join(path).is_file(), "{path}");
        }
        assert!(toc.get(format!("{}/secret", &outer[1..]).as_bytes()).is_some());
    }
    cage.check();
}

#[test]
fn hard_links_out_are_refused() {
    for target in ["../secret", "/etc/passwd", "nowhere", "", ".", "dir"] {
        let cage = Cage::new();
        let tar = raw(&[("dir", D, "", ""), ("x", H, target, "")]);
        let result = unpack(&tar, &cage.root(), Form::Overlay, &TreeView::default());
        assert!(matches!(result, Err(LayerError::BrokenHardlink { .. })), "{target}: {result:?}");
        cage.check();
    }
    // A link to a link is one, and writing to its name replaces it.
    let cage = Cage::new();
    let outer = outer_path(&cage);
    let tar = raw(&[
        ("s", S, &format!("{outer}/secret"), ""),
        ("h", H, "s", ""),
        ("h", F, "", "evil"),
        ("s", F, "", "evil"),
    ]);
    let toc = unpack(&tar, &cage.root(), Form::Overlay, &TreeView::default()).unwrap();
    assert_eq!(common::paths(&toc), "h s");
    cage.check();
}

#[test]
fn whiteout_names_are_checked() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", ".wh..wh..opq"] {
        let cage = Cage::new();
        let tar = raw(&[("a", D, "", ""), (name, F, "", "")]);
        assert!(unpack(&tar, &cage.root(), Form::Flat, &TreeView::default()).is_err(), "{name}");
        cage.check();
    }
}

#[test]
fn later_entries_replace_earlier_ones() {
    let cases: &[(&[Raw], &str)] = &[
        (&[("a", F, "", "1"), ("a", D, "", ""), ("a/b", F, "", "2")], "a/ a/b"),
        (&[("a", D, "", ""), ("a/b", F, "", "2"), ("a", F, "", "1")], "a"),
        (&[("a", D, "", ""), ("a/b", F, "", "2"), (".wh.a", F, "", "")], "-a"),
        (&[(".wh.a", F, "", ""), ("a/b", F, "", "2")], "a/! a/b"),
        (&[(".wh.a", F, "", ""), ("a", F, "", "2")], "a"),
        (&[("a/b", F, "", "2"), ("a/.wh..wh..opq", F, "", "")], "a/! a/b"),
        (&[("a/.wh..wh..opq", F, "", ""), ("a", D, "", ""), ("a/b", F, "", "2")], "a/! a/b"),
        (&[("z", F, "", "1"), ("b", H, "z", ""), ("a", H, "z", "")], "a b=a z=a"),
        (&[("z", F, "", "1"), ("b", H, "z", ""), ("z", F, "", "2")], "b z"),
        (&[("z", F, "", "1"), ("b", H, "z", ""), ("c", H, "b", ""), (".wh.z", F, "", "")], "b c=b -z"),
        (&[("a", S, "b", ""), ("b", D, "", ""), ("a/c", F, "", "1")], "a@b b/ b/c"),
        (&[("a", S, "b", ""), ("a", D, "", ""), ("a/c", F, "", "1")], "a/ a/c"),
        (&[(".wh..wh.plnk", D, "", ""), (".wh..wh.aufs", F, "", ""), ("a", F, "", "")], "a"),
    ];
    for (entries, expected) in cases {
        for form in [Form::Overlay, Form::Flat] {
            let cage = Cage::new();
            let toc = unpack(&raw(entries), &cage.root(), form, &TreeView::default()).unwrap();
            assert_eq!(common::paths(&toc), *expected, "{form:?}");
        }
    }
}

#[test]
fn lower_layers_decide_where_links_lead() {
    let lower = vec![common::dir("usr"), common::dir("usr/lib"), common::symlink("lib", "usr/lib")];
    let mut lower: Vec<_> = lower.into_iter().map(|p| p.entry).collect();
    lower[1].mode = 0o711;
    let below = view(vec![Toc::new(lower)]);
    let cage = Cage::new();
    let toc = unpack(&raw(&[("lib/x", F, "", "1")]), &cage.root(), Form::Overlay, &below).unwrap();
    assert_eq!(common::paths(&toc), "usr/ usr/lib/ usr/lib/x");
    assert_eq!(toc.get(b"usr/lib").map(|e| e.mode), Some(0o711));
    let tar = raw(&[(".wh.lib", F, "", ""), ("lib/x", F, "", "1")]);
    let toc = unpack(&tar, &Cage::new().root(), Form::Overlay, &below).unwrap();
    assert_eq!(common::paths(&toc), "lib/! lib/x");
}

#[test]
fn limits_hold() {
    let cage = Cage::new();
    let tar = raw(&[("a", F, "", "12345"), ("b", F, "", "12345")]);
    let with = |entries, bytes| {
        let limits = Limits { entries, bytes };
        let lower = &TreeView::default();
        let options =
            UnpackOptions { form: Form::Flat, lower, ids: Ids::Squash, devices: Devices::Skip, limits };
        unpack_layer(&tar[..], &cage.root(), options)
    };
    assert!(with(2, 10_000).is_ok());
    assert!(matches!(with(1, 10_000), Err(LayerError::Limit { what: "entries", .. })));
    assert!(with(2, 1000).is_err());
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(1 << 40);
    header.set_cksum();
    let bomb = header.as_bytes().to_vec();
    let result = unpack(&bomb, &cage.root(), Form::Flat, &TreeView::default());
    assert!(matches!(result, Err(LayerError::BadTar { .. })), "{result:?}");
}

/// An entry with PAX records of its own in front; each list of records becomes a header.
fn with_records(headers: &[Vec<(&str, String)>], entry: Raw) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut out = Vec::new();
    for records in headers {
        let mut body = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            // The length counts its own digits.
            let len = (1..20).map(|digits| rest + digits).find(|len| len.to_string().len() + rest == *len);
            writeln!(body, "{} {key}={value}", len.unwrap()).unwrap();
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(body.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(body.as_bytes());
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend(raw(&[entry]));
    out
}

#[test]
fn empty_pieces_of_sparse_files_are_nothing() {
    let map = |pieces: &str| vec![("GNU.sparse.size", "5".to_owned()), ("GNU.sparse.map", pieces.to_owned())];
    for pieces in [format!("{}0,5", "0,0,".repeat(250_000)), format!("0,5{}", ",5,0".repeat(250_000))] {
        let cage = Cage::new();
        let tar = with_records(&[map(&pieces)], ("a", F, "", "12345"));
        unpack(&tar, &cage.root(), Form::Overlay, &TreeView::default()).unwrap();
        assert_eq!(std::fs::read(cage.root().join("a")).unwrap(), b"12345");
    }
}

#[test]
fn extensions_don_t_pile_up() {
    let unpack = |count: usize, records: &dyn Fn(usize) -> Vec<(&'static str, String)>| {
        let headers: Vec<_> = (0..count).map(records).collect();
        let tar = with_records(&headers, ("a", F, "", ""));
        unpack(&tar, &Cage::new().root(), Form::Overlay, &TreeView::default())
    };
    let comment = |_: usize| vec![("comment", "x".repeat(1_000_000))];
    assert!(unpack(4, &comment).is_ok());
    let result = unpack(5, &comment);
    assert!(matches!(result, Err(LayerError::BadTar { .. })), "{result:?}");
    let piece = [("GNU.sparse.offset", "0".to_owned()), ("GNU.sparse.numbytes", "0".to_owned())];
    let pieces = |_: usize| piece.iter().cycle().take(40_000).cloned().collect();
    let result = unpack(4, &pieces);
    assert!(result.is_ok(), "{result:?}");
}

/// Deep paths cost what they are long, and not what they are deep times as long.
#[test]
fn deep_paths_are_cheap() {
    let deep = "a/".repeat(2040) + "f";
    for form in [Form::Overlay, Form::Flat] {
        let cage = Cage::new();
        let tar = with_records(&[vec![("path", deep.clone())]], ("short", F, "", "1"));
        let toc = unpack(&tar, &cage.root(), form, &TreeView::default()).unwrap();
        assert_eq!(toc.entries().len(), 2041);
        assert_eq!(Toc::from_bytes(&toc.to_bytes()).unwrap(), toc);
        // Too deep to be removed by the temporary folder itself.
        unpack(&raw(&[(".wh.a", F, "", "")]), &cage.root(), Form::Flat, &TreeView::default()).unwrap();
    }
    // A short name may be long on the way: links of links.
    let links: Vec<_> = (0..60).map(|n| (format!("l{n}"), format!("l{}/", n + 1).repeat(20))).collect();
    let mut entries: Vec<Raw> = links.iter().map(|(name, target)| (&name[..], S, &target[..], "")).collect();
    entries.push(("l0/x", F, "", ""));
    let result = unpack(&raw(&entries), &Cage::new().root(), Form::Overlay, &TreeView::default());
    assert!(matches!(result, Err(LayerError::TooManyLinks { .. })), "{result:?}");
}

#[test]
fn holes_take_no_room() {
    use std::os::unix::fs::MetadataExt;
    let records =
        |map: &str| vec![("GNU.sparse.size", (1u64 << 30).to_string()), ("GNU.sparse.map", map.into())];
    for (map, at) in [("268435456,5", 1u64 << 28), ("1073741819,5", (1 << 30) - 5)] {
        let cage = Cage::new();
        let tar = with_records(&[records(map)], ("a", F, "", "12345"));
        let ok = archive(tar, &cage.root(), "", None);
        ok.unwrap();
        let meta = std::fs::metadata(cage.root().join("a")).unwrap();
        assert_eq!(meta.len(), 1 << 30);
        assert!(meta.blocks() < 1000, "{} blocks", meta.blocks());
        let mut there = [0; 7];
        let file = std::fs::File::open(cage.root().join("a")).unwrap();
        let n = std::os::unix::fs::FileExt::read_at(&file, &mut there, at - 1).unwrap();
        assert_eq!(there[..n.min(6)], *b"\x0012345");
    }
}

fn archive(tar: Vec<u8>, root: &Path, dest: &str, chown: Option<(u32, u32)>) -> Result<(), LayerError> {
    let options = ArchiveOptions { chown, ids: common::ids(), limits: Limits::default() };
    unpack_archive(std::io::Cursor::new(tar), root, dest.as_bytes(), &options).map(drop)
}

#[test]
fn owners_that_can_not_be_given_are_kept_by_the_real_path() {
    let cage = Cage::new();
    std::fs::create_dir_all(cage.root().join("dest/real")).unwrap();
    std::os::unix::fs::symlink("/real", cage.root().join("dest/link")).unwrap();
    let tar = raw(&[("link/a", F, "", "1"), ("h", H, "/link/a", "")]);
    let options = ArchiveOptions { chown: Some((7, 8)), ids: Ids::Squash, limits: Limits::default() };
    let withheld = unpack_archive(std::io::Cursor::new(tar), &cage.root(), b"dest", &options).unwrap();
    let lower = TreeView::default();
    let diff = DiffOptions { ids: Ids::Squash, threads: 1 };
    let mut planned = diff_trees(&lower, &cage.root(), None, diff).unwrap();
    withheld.apply(&mut planned, &lower);
    let owners: Vec<_> = planned
        .iter()
        .filter(|one| matches!(one.entry.kind, EntryKind::File { .. } | EntryKind::Hardlink { .. }))
        .map(|one| (String::from_utf8_lossy(&one.entry.path).into_owned(), one.entry.uid, one.entry.gid))
        .collect();
    assert_eq!(owners, [("dest/h".to_owned(), 7, 8), ("dest/real/a".to_owned(), 7, 8)]);
}

#[test]
fn archives_see_their_destination_as_the_root() {
    let cage = Cage::new();
    let dest = cage.root().join("dest");
    std::fs::create_dir(&dest).unwrap();
    std::os::unix::fs::symlink(cage.outer.path(), dest.join("out")).unwrap();
    std::os::unix::fs::symlink("/real", dest.join("abs")).unwrap();
    std::fs::create_dir(dest.join("real")).unwrap();
    let tar = raw(&[
        ("./", D, "", ""),
        ("../evil", F, "", "1"),
        ("/etc/x", F, "", "2"),
        ("abs/in-real", F, "", "3"),
        (".wh.x", F, "", ""),
        ("h", H, "/etc/x", ""),
    ]);
    archive(tar, &cage.root(), "dest", None).unwrap();
    for path in ["evil", "etc/x", "real/in-real", ".wh.x", "h"] {
        assert!(dest.join(path).is_file(), "{path}");
    }
    assert!(archive(raw(&[("out/secret", F, "", "evil")]), &cage.root(), "dest", None).is_err());
    archive(raw(&[("out", D, "", ""), ("out/secret", F, "", "mine")]), &cage.root(), "dest", None).unwrap();
    assert!(dest.join("out/secret").is_file());
    assert!(archive(raw(&[("h2", H, "../../secret", "")]), &cage.root(), "dest", None).is_err());
    cage.check();
}

#[test]
fn chown_goes_for_entries_and_not_for_implied_folders() {
    use std::os::unix::fs::MetadataExt;
    if !common::is_root() {
        println!("skipped: chown needs root");
        return;
    }
    let cage = Cage::new();
    archive(raw(&[("a/b", F, "", "1"), ("c", D, "", "")]), &cage.root(), "", Some((7, 8))).unwrap();
    let owner = |path: &str| {
        let meta = std::fs::symlink_metadata(cage.root().join(path)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    assert_eq!(owner("a"), (0, 0, 0o755));
    assert_eq!(owner("a/b"), (7, 8, 0o755));
    assert_eq!(owner("c"), (7, 8, 0o755));
}

#[test]
fn archives_are_recognised_by_content() {
    let is = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        is_archive(&file).unwrap()
    };
    let tar = raw(&[("a", F, "", "1")]);
    assert!(is(&tar));
    assert!(!is(b"") && !is(&[0; 10_240]) && !is(b"PK\x03\x04 zip") && !is(&common::noise(1, 5000)));
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        if common::has(program) {
            let pack = |data: &[u8]| {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("x");
                std::fs::write(&path, data).unwrap();
                std::process::Command::new(program).args(["-kqc"]).arg(&path).output().unwrap().stdout
            };
            assert!(is(&pack(&tar)), "{program}");
            assert!(!is(&pack(b"no tar")), "{program}");
        }
    }
}

#[test]
fn gnu_tar_writes_what_we_read() {
    if !common::has("tar") || !common::is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at(&format!("{}/{}", "l".repeat(120), "m".repeat(120)))).unwrap();
    std::fs::write(at(&format!("{}/{}/{}", "l".repeat(120), "m".repeat(120), "n".repeat(200))), "deep")
        .unwrap();
    std::os::unix::fs::symlink("t".repeat(300), at("link")).unwrap();
    let sparse = std::fs::File::create(at("sparse")).unwrap();
    for n in 0..12u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, &common::noise(n, 70_000), n * 1_000_000).unwrap();
    }
    sparse.set_len(20_000_000).unwrap();
    drop(sparse);
    let content = garboard_layer::ContentDigest::of(&std::fs::read(at("sparse")).unwrap());
    for format in ["gnu", "posix", "oldgnu", "posix --sparse-version=0.1", "posix --sparse-version=0.0"] {
        let mut tar = std::process::Command::new("tar");
        tar.args(["-S", "-c", "-C"]).arg(folder.path());
        tar.args(format!("--format={format}").split(' ')).arg(".");
        let out = tar.output().unwrap();
        assert!(out.status.success());
        assert!(out.stdout.len() < 2_000_000, "the holes are left out");
        let cage = Cage::new();
        let toc = unpack(&out.stdout, &cage.root(), Form::Overlay, &TreeView::default()).unwrap();
        let Some(garboard_layer::EntryKind::File { size, digest }) =
            toc.get(b"sparse").map(|e| e.kind.clone())
        else {
            panic!("{format}: {}", common::paths(&toc));
        };
        assert_eq!((size, digest), (20_000_000, content), "{format}");
        assert_eq!(toc.entries().iter().filter(|e| e.path.len() == 442).count(), 1, "{format}");
        assert!(std::fs::read_link(cage.root().join("link")).unwrap().as_os_str().len() == 300);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let cage = Cage::new();
        let _ = unpack(&bytes, &cage.root(), Form::Overlay, &TreeView::default());
    }

    #[test]
    fn damaged_tars_are_survived(at in 0usize..4000, to in any::<u8>(), fix in any::<bool>()) {
        let mut tar = common::tar_of(common::sample(false));
        tar.truncate(12_000);
        tar[at] = to;
        if fix {
            let start = at / 512 * 512;
            let sum = |range: &[u8]| range.iter().map(|b| u32::from(*b)).sum::<u32>();
            let header = &tar[start..start + 512];
            let sum = sum(&header[..148]) + 256 + sum(&header[156..]);
            tar[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let cage = Cage::new();
        let _ = unpack(&tar, &cage.root(), Form::Overlay, &TreeView::default());
        cage.check();
    }

    #[test]
    fn odd_sequences_are_survived(picks in proptest::collection::vec((0usize..9, 0usize..5, 0usize..9), 0..12)) {
        let names = ["a", "a/b", "a/b/c", "../x", "l", "l/x", ".wh.a", "a/.wh..wh..opq", "a/.wh.b"];
        let kinds = [F, D, S, H, F];
        let entries: Vec<_> = picks.iter().map(|(n, k, t)| (names[*n], kinds[*k], names[*t], "")).collect();
        let tar = raw(&entries);
        for form in [Form::Overlay, Form::Flat] {
            let cage = Cage::new();
            if let Ok(toc) = unpack(&tar, &cage.root(), form, &TreeView::default()) {
                prop_assert_eq!(&Toc::from_bytes(&toc.to_bytes()).unwrap(), &toc);
                if form == Form::Flat {
                    // What the table says is what is there.
                    let there = view(vec![toc.clone()]);
                    for found in there.walk(b"") {
                        let path = String::from_utf8_lossy(&found.entry.path).into_owned();
                        prop_assert!(cage.root().join(&path).symlink_metadata().is_ok(), "{} {}", path, common::paths(&toc));
                    }
                    prop_assert!(garboard_layer::diff_trees(&there, &cage.root(), None, common::diff_options()).unwrap().is_empty());
                }
            }
            cage.check();
        }
    }
}
