//! What a COPY is told to do, and what comes out.

use garboard_layer::Entry;
use garboard_parser::chmod::Mode;

use super::path::clean;

/// One COPY (or ADD of plain files), with variables expanded and names of users resolved.
#[derive(Clone, Debug)]
pub struct CopyOp {
    /// The sources, in the order in which they are copied (heredocs come after all others).
    pub sources: Vec<CopySource>,
    /// Absolute path, see [`join_destination`]. A `/` at the end says that it is a folder.
    pub dest: String,
    /// `--chown`, see [`super::resolve_chown`].
    pub chown: Option<Owner>,
    /// `--chmod`.
    pub chmod: Option<Mode>,
    /// `--parents`: the folders of the source path are kept.
    pub parents: bool,
    /// `--exclude`, in order, as written.
    pub excludes: Vec<String>,
    /// `--link`. Ignored when `chmod` is given, as BuildKit does; ask [`CopyOp::is_linked`].
    pub link: bool,
    /// Files keep the owners that they have in the source tree (`--from`); else they are root's.
    pub owner_from_source: bool,
}

impl CopyOp {
    /// A COPY without options.
    pub fn new(sources: Vec<CopySource>, dest: impl Into<String>) -> Self {
        Self {
            sources,
            dest: dest.into(),
            chown: None,
            chmod: None,
            parents: false,
            excludes: Vec::new(),
            link: false,
            owner_from_source: false,
        }
    }

    /// Whether the layer is made without looking at the destination.
    pub fn is_linked(&self) -> bool {
        self.link && self.chmod.is_none()
    }
}

/// One source of a COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern in the source tree, as written (after expansion).
    Path(String),
    /// A heredoc: a file of mode 0644 with this name.
    Inline {
        /// Its name.
        name: String,
        /// Its bytes.
        content: Vec<u8>,
    },
}

/// Numeric owner and group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Where the bytes of a planned file come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceContent {
    /// A file of the source tree.
    Tree {
        /// Its path, in the form of [`Entry::path`]; never a link.
        path: Vec<u8>,
        /// Index of its layer in the source view.
        layer: usize,
    },
    /// The bytes of [`CopySource::Inline`] number `source` of the operation's sources.
    Inline {
        /// Index into [`CopyOp::sources`].
        source: usize,
    },
}

/// An entry of the new layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedEntry {
    /// The entry, in its final form.
    pub entry: Entry,
    /// Where its bytes come from; `None` for everything but regular files.
    pub content: Option<SourceContent>,
}

/// The absolute destination of a COPY: relative ones are below the working folder, the path is cleaned lexically, and
/// ends with `/` where the text says that it is a folder (empty, `.`, `..`, or with `/`, `/.`, `/..` at its end).
pub fn join_destination(workdir: &str, dest: &str) -> String {
    let folder = matches!(dest.rsplit('/').next(), None | Some("" | "." | ".."));
    let joined = if dest.starts_with('/') { dest.to_owned() } else { format!("{workdir}/{dest}") };
    // Cleaning splits at `/` only, so that text stays text.
    let cleaned = String::from_utf8_lossy(&clean(joined.as_bytes())).into_owned();
    if folder && !cleaned.is_empty() { format!("/{cleaned}/") } else { format!("/{cleaned}") }
}
