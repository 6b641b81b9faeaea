//! Digests of bytes while they pass.
use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::error::Error;

/// Sums bytes with the algorithm of the digest they should have.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher of the algorithm `digest` is of.
    pub(crate) fn like(digest: &Digest) -> Result<Self, Error> {
        Ok(match digest.algorithm() {
            DigestAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            DigestAlgorithm::Sha384 => Self::Sha384(Sha384::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
            _ => return Err(Error::UnsupportedDigest(digest.to_string())),
        })
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => digest("sha256", &hash.finalize()),
            Self::Sha384(hash) => digest("sha384", &hash.finalize()),
            Self::Sha512(hash) => digest("sha512", &hash.finalize()),
        }
    }
}

/// The SHA-256 digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    digest("sha256", &Sha256::digest(bytes))
}

/// Fails unless `bytes` have the digest `expected`; `action` names them in the error.
pub(crate) fn check(action: &str, bytes: &[u8], expected: &Digest) -> Result<(), Error> {
    let mut hasher = Hasher::like(expected)?;
    hasher.update(bytes);
    let actual = hasher.finish();
    if actual == *expected {
        return Ok(());
    }
    Err(Error::DigestMismatch { action: action.into(), expected: expected.clone(), actual })
}

fn digest(algorithm: &str, sum: &[u8]) -> Digest {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(algorithm.len() + 1 + 2 * sum.len());
    text.push_str(algorithm);
    text.push(':');
    for byte in sum {
        let _ = write!(text, "{byte:02x}"); // writing to a String can't fail
    }
    Digest::try_from(text).expect("an algorithm's name and its hexadecimal sum are a digest")
}
