//! Where blobs of layers may be fetched from.

use oci_spec::image::Digest;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::LayerId;
use crate::layer::digest;

/// Who has blobs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A repository of a registry.
    Registry {
        /// Registry host with port, such as `registry-1.docker.io`.
        host: String,
        /// Repository, such as `library/alpine`.
        repository: String,
    },
    /// A remote cache that is not in a registry, by its address: see [`crate::remote::Backend::place`]. It never holds a
    /// secret.
    Cache(String),
}

impl Place {
    /// A repository.
    pub fn registry(host: impl Into<String>, repository: impl Into<String>) -> Self {
        Self::Registry { host: host.into(), repository: repository.into() }
    }

    /// As the table has it: no registry has an empty name.
    fn columns(&self) -> (&str, &str) {
        match self {
            Self::Registry { host, repository } => (host, repository),
            Self::Cache(address) => ("", address),
        }
    }

    fn of_columns(host: String, name: String) -> Self {
        if host.is_empty() { Self::Cache(name) } else { Self::Registry { host, repository: name } }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry { host, repository } => write!(f, "{host}/{repository}"),
            Self::Cache(address) => f.write_str(address),
        }
    }
}

/// Where a layer's blob may be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who has it.
    pub place: Place,
    /// Digest of the blob there.
    pub digest: Digest,
}

/// All of a layer.
pub(crate) fn load_origins(db: &Connection, id: &LayerId) -> rusqlite::Result<Vec<Origin>> {
    let sql =
        "SELECT host, repository, digest FROM origins WHERE layer = ?1 ORDER BY host, repository, digest";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([id.as_str()], |row| {
        Ok(Origin { place: Place::of_columns(row.get(0)?, row.get(1)?), digest: digest(row, 2)? })
    })?;
    rows.collect()
}

/// One more of a layer.
pub(crate) fn insert_origin(tx: &Connection, id: &LayerId, origin: &Origin) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO origins(layer, host, repository, digest) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let (host, name) = origin.place.columns();
    tx.prepare_cached(sql)?.execute((id.as_str(), host, name, origin.digest.as_ref())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_the_table() {
        for place in [Place::registry("h:5", "a/b"), Place::Cache("local:/cache".into())] {
            let (host, name) = place.columns();
            assert_eq!(Place::of_columns(host.to_owned(), name.to_owned()), place);
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&json).unwrap(), place);
        }
    }
}
