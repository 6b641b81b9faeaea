//! Digests of files and folders as `BuildKit` makes them: what it names the content of a context by.
//!
//! A file's is of its metadata, without its name and times, and its bytes. A folder's is of its own metadata and of the names
//! and digests of what is in it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use garboard_layer::{Entry, EntryKind, Found};
use garboard_parser::ignore::{Matched, Matcher};
use sha2::{Digest as _, Sha256};

use super::vertices::Selected;
use crate::files::Files;
use crate::graph::OpId;
use crate::source::ContextTree;

/// Bytes of files that are read at most.
const MAX_BYTES: u64 = 8 << 30;

/// Digests of selections of contexts, each made once.
#[derive(Debug, Default)]
pub(super) struct ContentDigests(Mutex<Known>);

type Known = HashMap<(OpId, Vec<Selected>), Option<Vec<String>>>;

impl ContentDigests {
    /// The digests of what is selected of a context; none if something of it can't be digested.
    pub(super) async fn of(
        &self,
        context: OpId,
        selected: &[Selected],
        tree: impl Future<Output = Option<Arc<ContextTree>>>,
    ) -> Option<Vec<String>> {
        let key = (context, selected.to_vec());
        if let Some(known) = self.known().get(&key) {
            return known.clone();
        }
        let tree = tree.await?;
        let selected = selected.to_vec();
        let digest = move || {
            let files = Files::of_folder(tree.view.clone(), &tree.folder).ok()?;
            let hasher = ContentHasher::new(&files);
            selected.iter().map(|selected| hasher.selected(selected)).collect::<Option<Vec<String>>>()
        };
        let digests = tokio::task::spawn_blocking(digest).await.unwrap_or_default();
        self.known().insert(key, digests.clone());
        digests
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Digests what is in one context.
pub(super) struct ContentHasher<'a> {
    files: &'a Files,
    known: RefCell<HashMap<Vec<u8>, String>>,
    left: Cell<u64>,
}

/// Something that a path stands for: what it is, and by which name it was come to.
struct Place<'a> {
    /// Where it is.
    path: Vec<u8>,
    /// With a `/` in front, through links; the root's is empty.
    name: Vec<u8>,
    found: Option<Found<'a>>,
}

/// What is part of a selection.
struct Taken {
    name: Vec<u8>,
    digest: String,
}

impl<'a> ContentHasher<'a> {
    pub(super) fn new(files: &'a Files) -> Self {
        Self { files, known: RefCell::default(), left: Cell::new(MAX_BYTES) }
    }

    /// The digest of what is selected; none where it is not there, can't be read, or is too much.
    pub(super) fn selected(&self, selected: &Selected) -> Option<String> {
        if !selected.wildcard && selected.include.is_empty() && selected.exclude.is_empty() {
            return self.path(selected.path.as_bytes(), selected.follow);
        }
        self.filtered(selected)
    }

    /// The digest of what is at a path.
    fn path(&self, path: &[u8], follow: bool) -> Option<String> {
        let resolved = self.files.view.resolve(path, follow).ok()?;
        if !resolved.exists {
            return None;
        }
        self.tree(&resolved.path)
    }

    /// The digest of a file, or of a folder with all that is in it; the path leads through no links.
    fn tree(&self, path: &[u8]) -> Option<String> {
        if let Some(known) = self.known.borrow().get(path) {
            return Some(known.clone());
        }
        let found = self.files.view.lookup(path);
        let is_dir = path.is_empty() || matches!(found?.entry.kind, EntryKind::Dir { .. });
        let digest = if is_dir {
            let mut hash = Sha256::new();
            hash.update(b"\0");
            hash.update(self.folder_itself(found)?);
            for (name, _) in self.files.view.children(path) {
                hash.update([b"\0", name].concat());
                hash.update(self.tree(&join(path, name))?);
            }
            finish(hash)
        } else {
            self.file(found?)?
        };
        self.known.borrow_mut().insert(path.to_vec(), digest.clone());
        Some(digest)
    }

    /// The digest of a folder without what is in it. A context's own is nobody's.
    fn folder_itself(&self, found: Option<Found<'_>>) -> Option<String> {
        found.map_or_else(|| Some(finish(Sha256::new())), |found| self.file(found))
    }

    /// The digest of one entry.
    fn file(&self, found: Found<'_>) -> Option<String> {
        let found = self.files.view.content_entry(found).ok()?;
        let mut hash = Sha256::new();
        hash.update(header(found.entry)?);
        if let EntryKind::File { size, .. } = found.entry.kind
            && size > 0
        {
            self.left.set(self.left.get().checked_sub(size)?);
            let file = self.files.open(found.layer, &found.entry.path).ok()?;
            let mut file = file.take(size + 1);
            let mut buffer = vec![0; 128 << 10];
            let mut count = 0;
            loop {
                let read = file.read(&mut buffer).ok()?;
                if read == 0 {
                    break;
                }
                count += read as u64;
                hash.update(&buffer[..read]);
            }
            // It has changed since it was looked at.
            if count != size {
                return None;
            }
        }
        Some(finish(hash))
    }

    /// The digest of what a pattern matches, without what is not to be taken.
    fn filtered(&self, selected: &Selected) -> Option<String> {
        let include = matcher(&selected.include).ok()?;
        let exclude = matcher(&selected.exclude).ok()?;
        let pattern = if selected.path == "/" { "" } else { &selected.path };
        let start = if selected.wildcard { before_pattern(pattern) } else { pattern.to_owned() };
        let follow_start = selected.wildcard;
        let resolved = self.files.view.resolve(start.as_bytes(), follow_start).ok()?;
        let mut filter =
            Filter { selected, pattern, include, exclude, matched: Vec::new(), taken: Vec::new() };
        if resolved.exists {
            let found = self.files.view.lookup(&resolved.path);
            let place = Place { path: resolved.path, name: start.clone().into_bytes(), found };
            self.visit(&place, &mut Vec::new(), &mut filter)?;
        }
        let taken = filter.taken;
        match &taken[..] {
            [] => Some(finish(Sha256::new())),
            [one] if base(selected.path.as_bytes()) == base(&one.name) => Some(one.digest.clone()),
            _ => {
                let mut hash = Sha256::new();
                for taken in &taken {
                    let name = taken.name.strip_prefix(start.as_bytes()).unwrap_or(&taken.name);
                    let key: Vec<u8> = name.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect();
                    hash.update(if key.is_empty() { &[0][..] } else { &key });
                    hash.update(&taken.digest);
                }
                Some(finish(hash))
            }
        }
    }

    /// Looks at a place and all in it, in the order of names.
    fn visit(&self, place: &Place<'_>, above: &mut Vec<Above>, filter: &mut Filter<'_>) -> Option<()> {
        let is_dir = place.found.is_none_or(|found| matches!(found.entry.kind, EntryKind::Dir { .. }));
        let is_root = place.name.is_empty();
        let verdict = if is_root { None } else { filter.verdict(&place.name, above.last()).ok()? };
        if !is_dir {
            if verdict.is_some_and(|verdict| verdict.is_taken) {
                let follow = above.is_empty() && filter.selected.follow;
                let is_link =
                    place.found.is_some_and(|found| matches!(found.entry.kind, EntryKind::Symlink { .. }));
                let digest =
                    if follow && is_link { self.path(&place.name, true)? } else { self.file(place.found?)? };
                filter.take(above, Taken { name: place.name.clone(), digest });
            }
            return Some(());
        }
        let mut pushed = false;
        if let Some(verdict) = verdict {
            let digest = self.folder_itself(place.found)?;
            let is_taken = verdict.is_taken;
            if is_taken {
                filter.take(above, Taken { name: place.name.clone(), digest: digest.clone() });
            }
            above.push(Above { name: place.name.clone(), digest, verdict, is_taken });
            pushed = true;
        }
        for (name, found) in self.files.view.children(&place.path) {
            let inner = Place {
                path: join(&place.path, name),
                name: [&place.name[..], b"/", name].concat(),
                found: Some(found),
            };
            self.visit(&inner, above, filter)?;
        }
        if pushed {
            above.pop();
        }
        Some(())
    }
}

/// A folder above what is looked at.
struct Above {
    name: Vec<u8>,
    digest: String,
    verdict: Verdict,
    is_taken: bool,
}

/// What the patterns say of a place.
#[derive(Clone, Default)]
struct Verdict {
    is_taken: bool,
    include: Matched,
    exclude: Matched,
}

/// Decides what is part of a selection, and collects it.
struct Filter<'a> {
    selected: &'a Selected,
    pattern: &'a str,
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    /// The last place that the pattern matched.
    matched: Vec<u8>,
    taken: Vec<Taken>,
}

impl Filter<'_> {
    /// `None`: the pattern doesn't match, nor has anything above.
    fn verdict(&mut self, name: &[u8], above: Option<&Above>) -> Result<Option<Verdict>, ()> {
        let rest = if self.selected.wildcard {
            if self.matched.is_empty() || !inside(name, &self.matched) {
                if !garboard_parser::glob::go_match(self.pattern, name).map_err(drop)? {
                    return Ok(None);
                }
                self.matched = name.to_vec();
            }
            below(name, &self.matched)
        } else {
            below(name, self.pattern.as_bytes())
        };
        let nothing = Verdict::default();
        let parent = above.map_or(&nothing, |above| &above.verdict);
        let mut verdict = Verdict { is_taken: true, ..Verdict::default() };
        if let Some(include) = &self.include {
            verdict.include = include.child(&parent.include, rest).map_err(drop)?;
            verdict.is_taken = verdict.include.is_excluded();
        }
        if let Some(exclude) = self.exclude.as_ref().filter(|_| verdict.is_taken) {
            verdict.exclude = exclude.child(&parent.exclude, rest).map_err(drop)?;
            verdict.is_taken = !verdict.exclude.is_excluded();
        }
        Ok(Some(verdict))
    }

    /// Takes something, and the folders above that were not taken yet.
    fn take(&mut self, above: &mut [Above], taken: Taken) {
        for folder in above.iter_mut().filter(|folder| !folder.is_taken) {
            self.taken.push(Taken { name: folder.name.clone(), digest: folder.digest.clone() });
            folder.is_taken = true;
        }
        self.taken.push(taken);
    }
}

/// No patterns match nothing.
fn matcher(patterns: &[String]) -> Result<Option<Matcher>, ()> {
    if patterns.is_empty() { Ok(None) } else { Matcher::new(patterns).map(Some).map_err(drop) }
}

/// The components of a pattern before the first that has a special character; empty for the root.
fn before_pattern(pattern: &str) -> String {
    let plain = pattern.split('/').filter(|name| !name.is_empty());
    let plain: Vec<&str> = plain.take_while(|name| !garboard_parser::glob::has_meta(name)).collect();
    plain.iter().fold(String::new(), |path, name| format!("{path}/{name}"))
}

/// What is digested of an entry besides its bytes.
fn header(entry: &Entry) -> Option<Vec<u8>> {
    let (kind, size, link, device) = match &entry.kind {
        EntryKind::File { size, .. } => ('0', *size, &[][..], (0, 0)),
        EntryKind::Dir { .. } => ('5', 0, &[][..], (0, 0)),
        EntryKind::Symlink { target } => ('2', 0, &target[..], (0, 0)),
        EntryKind::Char { major, minor } => ('3', 0, &[][..], (*major, *minor)),
        EntryKind::Block { major, minor } => ('4', 0, &[][..], (*major, *minor)),
        EntryKind::Fifo => ('6', 0, &[][..], (0, 0)),
        EntryKind::Hardlink { .. } | EntryKind::Whiteout => return None,
    };
    let Entry { mode, uid, gid, .. } = entry;
    let mut out = format!("namemode{mode}uid{uid}gid{gid}size{size}typeflag{kind}linkname").into_bytes();
    out.extend_from_slice(link);
    out.extend(format!("unamegnamedevmajor{}devminor{}", device.0, device.1).into_bytes());
    for (name, value) in &entry.xattrs {
        let is_private = name.starts_with(b"security.") || name.starts_with(b"system.");
        if name == b"security.capability" || !is_private {
            out.extend_from_slice(name);
            out.extend_from_slice(value);
        }
    }
    Some(out)
}

fn finish(hash: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Whether a path lies in a folder.
fn inside(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}

/// The rest of a path below a folder, or nothing for the folder itself.
fn below<'a>(path: &'a [u8], folder: &[u8]) -> &'a [u8] {
    let rest = path.strip_prefix(folder).unwrap_or(path);
    rest.strip_prefix(b"/").unwrap_or(rest)
}
