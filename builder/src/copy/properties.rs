//! What holds for every plan, on small random trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use garboard_layer::{Entry, EntryKind, Mtime, Toc, TreeView};
use proptest::prelude::*;

use super::testing::{digest, operation};
use super::{CopyOp, PlannedEntry, plan, selection_digest};

const NOW: Mtime = Mtime { secs: 99, nanos: 0 };

/// A path of one to three components out of a few names, so that they meet.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|names| names.join("/"))
}

fn kind() -> impl Strategy<Value = EntryKind> {
    let file = prop::sample::select(vec!["1", "2"]);
    prop_oneof![
        3 => file.prop_map(|text| EntryKind::File { size: 1, digest: digest(text) }),
        3 => Just(EntryKind::Dir { opaque: false }),
        1 => Just(EntryKind::Dir { opaque: true }),
        2 => (any::<bool>(), path()).prop_map(|(absolute, path)| {
            let target = if absolute { format!("/{path}") } else { format!("../{path}") };
            EntryKind::Symlink { target: target.into_bytes() }
        }),
        1 => path().prop_map(|target| EntryKind::Hardlink { target: target.into_bytes() }),
        1 => Just(EntryKind::Whiteout),
        1 => Just(EntryKind::Fifo),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (path(), kind(), prop::sample::select(vec![0o644, 0o755]), 0..2u32, 0..3i64).prop_map(
        |(path, kind, mode, uid, secs)| {
            let mtime = Mtime { secs, nanos: 0 };
            Entry { path: path.into_bytes(), kind, mode, uid, gid: uid, mtime, xattrs: BTreeMap::new() }
        },
    )
}

/// Layers in which every folder that holds something has an entry, as readers of layers make them.
fn tree() -> impl Strategy<Value = TreeView> {
    let layer = prop::collection::vec(entry(), 0..12).prop_map(|entries| {
        let dir = |path: &[u8]| Entry {
            path: path.to_vec(),
            kind: EntryKind::Dir { opaque: false },
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime::default(),
            xattrs: BTreeMap::new(),
        };
        let parents = entries.iter().flat_map(|e| super::path::ancestors(&e.path)).map(dir);
        let all: Vec<Entry> = entries.iter().cloned().chain(parents).collect();
        let toc = Toc::new(all);
        // Hard links to other things than files exist, but then copying twice need not be copying once.
        let good = |entry: &&Entry| match &entry.kind {
            EntryKind::Hardlink { target } => toc
                .get(target)
                .is_none_or(|e| matches!(e.kind, EntryKind::File { .. } | EntryKind::Dir { .. })),
            _ => true,
        };
        Arc::new(Toc::new(toc.entries().iter().filter(good).cloned().collect()))
    });
    prop::collection::vec(layer, 1..3).prop_map(TreeView::new)
}

fn line() -> impl Strategy<Value = String> {
    let flags = ["", "--from ", "--chmod=700 ", "--chown=5:6 --from ", "--link ", "--exclude=b "];
    let sources = ["a", "b/c", "*", "a/*", "[ab] c", "."];
    let dests = ["/", "/a", "/a/", "/a/b", "/n/e/w", "/c/./b/"];
    (
        prop::sample::select(flags.to_vec()),
        prop::sample::select(sources.to_vec()),
        prop::sample::select(dests.to_vec()),
    )
        .prop_map(|(flags, source, dest)| format!("COPY {flags}{source} {dest}"))
}

fn toc(entries: &[PlannedEntry]) -> Toc {
    Toc::new(entries.iter().map(|planned| planned.entry.clone()).collect())
}

fn leads(op: &CopyOp, tree: &TreeView) -> Option<Vec<u8>> {
    tree.resolve(op.dest.as_bytes(), true).ok().map(|resolved| resolved.path)
}

fn check(entries: &[PlannedEntry], source: &TreeView) {
    let toc = toc(entries);
    assert_eq!(toc.entries().len(), entries.len(), "a path is there twice");
    for (PlannedEntry { entry, content }, sorted) in entries.iter().zip(toc.entries()) {
        assert_eq!(entry, sorted, "not in the order of a table");
        for folder in super::path::ancestors(&entry.path) {
            let above = toc.get(folder).map(|e| &e.kind);
            assert_eq!(above, Some(&EntryKind::Dir { opaque: false }), "a folder is missing");
        }
        assert_eq!(content.is_some(), matches!(entry.kind, EntryKind::File { .. }));
        if let EntryKind::Hardlink { target } = &entry.kind {
            assert!(matches!(toc.get(target).map(|e| &e.kind), Some(EntryKind::File { .. })));
        }
        if let Some(super::SourceContent::Tree { path, layer }) = content {
            assert_eq!(source.layers()[*layer].get(path).map(|e| &e.kind), Some(&entry.kind));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn plans_are_sound_and_settle(source in tree(), dest in tree(), line in line()) {
        let op = operation(&line).unwrap();
        let _ = selection_digest(&op, &source);
        let Ok(entries) = plan(&op, &source, &dest, NOW) else { return Ok(()) };
        check(&entries, &source);
        let layers = dest.layers().iter().cloned().chain([Arc::new(toc(&entries))]);
        let after = TreeView::new(layers.collect());
        // A link on the way to the destination may have been replaced; then it means another place now.
        if leads(&op, &dest) != leads(&op, &after) {
            return Ok(());
        }
        let again = plan(&op, &source, &after, NOW).unwrap();
        if op.is_linked() {
            prop_assert_eq!(again, entries);
        } else {
            prop_assert!(again.is_empty(), "copied again: {:?}", again);
        }
    }
}
