//! The form in which this crate's processes send data to each other.
//!
//! Paths, arguments and environment entries are bytes on Linux; serde's own form for paths refuses bytes that
//! are not UTF-8, so they go through [`one`] and [`many`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is bytes.
pub(crate) trait Bytes {
    fn bytes(&self) -> &[u8];
    fn from_bytes(bytes: Vec<u8>) -> Self;
}

impl Bytes for OsString {
    fn bytes(&self) -> &[u8] {
        OsStr::as_bytes(self)
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::from_vec(bytes)
    }
}

impl Bytes for PathBuf {
    fn bytes(&self) -> &[u8] {
        self.as_os_str().as_bytes()
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        OsString::from_vec(bytes).into()
    }
}

/// One path or text.
pub(crate) mod one {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Bytes, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.bytes().serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Vec::<u8>::deserialize(from).map(T::from_bytes)
    }
}

/// A list of paths or texts.
pub(crate) mod many {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Bytes, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        values.iter().map(Bytes::bytes).collect::<Vec<_>>().serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Bytes, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
        Ok(Vec::<Vec<u8>>::deserialize(from)?.into_iter().map(T::from_bytes).collect())
    }
}

/// The bytes of a message.
pub(crate) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("the messages are plain data, which always has an encoding")
}

/// The message in `bytes`; `None` when they are none, which only a foreign sender could cause.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// The first message in `bytes` and what comes after it.
pub(crate) fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mount, MountKind, Process, Root};

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        let odd = OsString::from_vec(vec![b'/', 0xff, 0xfe]);
        let mut process = Process::new(Root::Folder(PathBuf::from(&odd)), "/s");
        process.args = vec![odd.clone()];
        process.mounts = vec![Mount { target: PathBuf::from(&odd), kind: MountKind::Tmpfs { size: None } }];
        assert_eq!(decode::<Process>(&encode(&process)), Some(process));
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(decode::<Process>(&[0xff; 40]), None);
    }
}
