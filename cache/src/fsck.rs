//! Checking the store.

use std::fs;
use std::path::Path;

use garboard_layer::Toc;
use oci_spec::image::Digest;

use crate::blob::hash_file;
use crate::files::names_in;
use crate::layer::layer_id;
use crate::layout::ROOT_NAMES;
use crate::process::GcLock;
use crate::{LayerId, Result, Store};

/// Something wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path below the root, or `db.sqlite`.
    pub place: String,
    /// What is wrong, a lower-case fragment.
    pub what: String,
}

/// Collects problems.
struct Check<'a> {
    store: &'a Store,
    problems: Vec<Problem>,
}

impl Store {
    /// Reads everything and compares: digests of all blobs, tables of contents, folders, database, image index.
    /// Takes as long as reading the whole store. What was not synced before the machine's last start is no problem,
    /// and neither is what killed processes left: it counts as absent and goes with the next pruning.
    pub fn fsck(&self) -> Result<Vec<Problem>> {
        let mut check = Check { store: self, problems: Vec::new() };
        {
            let _gc = GcLock::exclusive(&self.inner.layout)?;
            check.root()?;
            check.database()?;
            check.layers()?;
            check.images();
        }
        check.blobs()?;
        Ok(check.problems)
    }
}

impl Check<'_> {
    fn note(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem { place: place.into(), what: what.into() });
    }

    fn place(&self, path: &Path) -> String {
        path.strip_prefix(self.store.root()).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn root(&mut self) -> Result<()> {
        let layout = &self.store.inner.layout;
        for name in names_in(self.store.root())? {
            if !ROOT_NAMES.contains(&name.as_str()) {
                self.note(name, "is not part of a store");
            }
        }
        for path in [layout.version(), layout.oci_layout(), layout.index(), layout.database()] {
            if !path.is_file() {
                self.note(self.place(&path), "is missing");
            }
        }
        for dir in [layout.blobs(), layout.layers(), layout.cache_mounts(), layout.tmp(), layout.locks()] {
            if !dir.is_dir() {
                self.note(self.place(&dir), "is missing");
            }
        }
        Ok(())
    }

    fn database(&mut self) -> Result<()> {
        let found = self.store.inner.db.read("check integrity", |db| {
            let mut statement = db.prepare("PRAGMA integrity_check(20)")?;
            let rows = statement.query_map([], |r| r.get::<_, String>(0))?;
            let mut lines = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            lines.retain(|line| line != "ok");
            let dangling: i64 =
                db.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get(0))?;
            if dangling > 0 {
                lines.push(format!("{dangling} rows refer to missing rows"));
            }
            Ok(lines)
        })?;
        for line in found {
            self.note("db.sqlite", line);
        }
        Ok(())
    }

    fn layers(&mut self) -> Result<()> {
        let store = self.store;
        let rows = store.inner.db.read("list layers", |db| {
            let mut statement = db.prepare(
                "SELECT id, has_toc, folder_boot, rests_on IS NULL OR EXISTS(SELECT 1 FROM layers u WHERE u.id = l.rests_on
                AND u.folder_boot IS NOT NULL AND u.rests_on IS NULL) FROM layers l ORDER BY id",
            )?;
            let rows = statement.query_map([], |r| {
                Ok((layer_id(r, 0)?, r.get::<_, bool>(1)?, r.get::<_, Option<String>>(2)?, r.get::<_, bool>(3)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<(LayerId, bool, Option<String>, bool)>>>()
        })?;
        for (id, has_toc, boot, has_under) in rows {
            let folder = store.inner.layout.layer_fs(&id);
            if boot.is_some_and(|boot| store.is_trusted(&boot)) {
                if !folder.is_dir() {
                    self.note(self.place(&folder), "is missing");
                }
                if !has_under {
                    self.note(self.place(&folder), "rests on a layer that is missing");
                }
            }
            if has_toc {
                self.toc(&id)?;
            }
        }
        Ok(())
    }

    fn toc(&mut self, id: &LayerId) -> Result<()> {
        let place = self.place(&self.store.inner.layout.layer_toc(id));
        match self.store.toc_bytes(id)? {
            None => self.note(place, "is missing"),
            Some(bytes) if Toc::from_bytes(&bytes).is_err() => self.note(place, "is damaged"),
            Some(_) => {}
        }
        Ok(())
    }

    fn images(&mut self) {
        let entries = match self.store.read_index() {
            Ok(entries) => entries,
            Err(e) => return self.note("index.json", e.to_string()),
        };
        for entry in entries {
            match self.store.parts_of(&entry) {
                Err(e) => self.note("index.json", e.to_string()),
                Ok(parts) => {
                    for digest in parts.missing {
                        self.note("index.json", format!("needs blob {digest}, which is missing"));
                    }
                }
            }
        }
    }

    fn blobs(&mut self) -> Result<()> {
        let layout = &self.store.inner.layout;
        for dir in [Some(layout.blobs()), layout.fresh()].into_iter().flatten() {
            for name in names_in(&dir)? {
                let path = dir.join(&name);
                let Ok(expected) = format!("sha256:{name}").parse::<Digest>() else {
                    self.note(self.place(&path), "is no blob");
                    continue;
                };
                match hash_file(&path) {
                    Ok(found) if found == expected => {}
                    Ok(found) => self.note(self.place(&path), format!("has digest {found}")),
                    // Pruned meanwhile.
                    Err(_) if fs::symlink_metadata(&path).is_err() => {}
                    Err(e) => self.note(self.place(&path), e.to_string()),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{folder_layer, put_image, test_store};

    #[test]
    fn finds_what_is_wrong() {
        let (_dir, store) = test_store();
        store.tag("x", &put_image(&store, b"layer")).unwrap();
        let layer = folder_layer(&store, 10);
        assert_eq!(store.fsck().unwrap(), []);
        let blobs = store.inner.layout.blobs();
        let names = crate::files::names_in(&blobs).unwrap();
        std::fs::write(blobs.join(&names[0]), "other").unwrap();
        std::fs::write(blobs.join("junk"), "x").unwrap();
        std::fs::write(store.root().join("junk"), "x").unwrap();
        std::fs::remove_dir_all(store.inner.layout.layer_fs(&layer)).unwrap();
        let problems = store.fsck().unwrap();
        let places: Vec<_> = problems.iter().map(|p| p.place.clone()).collect();
        for place in [
            "junk".to_owned(),
            "blobs/sha256/junk".into(),
            format!("blobs/sha256/{}", names[0]),
            format!("layers/{layer}/fs"),
        ] {
            assert!(places.contains(&place), "{place} in {problems:?}");
        }
    }

    #[test]
    fn finds_missing_parts_of_images() {
        let (_dir, store) = test_store();
        let image = put_image(&store, b"layer");
        store.tag("x", &image).unwrap();
        let layer = store.put_bytes(b"layer").unwrap().0;
        store.remove_blob(&layer).unwrap();
        let problems = store.fsck().unwrap();
        assert!(problems.len() == 1 && problems[0].what.contains(layer.digest()), "{problems:?}");
    }
}
