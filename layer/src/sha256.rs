//! SHA-256 as OCI digests.

use std::io::{self, Write};
use std::str::FromStr;

use oci_spec::image::{Digest, Sha256Digest};
use sha2::{Digest as _, Sha256};

use crate::BlobInfo;

/// The OCI digest of what was hashed.
pub(crate) fn oci_digest(hasher: Sha256) -> Digest {
    let digits = hasher.finalize().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')).collect();
    Sha256Digest::from_str(&hex).expect("64 lower-case hexadecimal digits").into()
}

/// Passes bytes on and hashes them.
pub(crate) struct HashingSink<'a> {
    sink: &'a mut dyn Write,
    hasher: Sha256,
    size: u64,
}

impl<'a> HashingSink<'a> {
    pub(crate) fn new(sink: &'a mut dyn Write) -> Self {
        Self { sink, hasher: Sha256::new(), size: 0 }
    }

    pub(crate) fn finish(self) -> io::Result<BlobInfo> {
        self.sink.flush()?;
        Ok(BlobInfo { digest: oci_digest(self.hasher), size: self.size })
    }
}

impl Write for HashingSink<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.sink.write(data)?;
        self.hasher.update(&data[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
