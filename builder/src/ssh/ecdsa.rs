//! ECDSA keys in OpenSSH's form of which the secret number begins with zeros.
//!
//! OpenSSH leaves leading zeros out; one key of 256 is shorter for it than the library for its files takes keys to be.

use base64::Engine as _;

use super::message::take;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The parts of an ECDSA key, as they are in a file without passphrase.
pub(super) struct Parts {
    /// `ecdsa-sha2-nistp256`.
    pub(super) kind: String,
    /// The secret number, without leading zeros.
    pub(super) secret: Vec<u8>,
    /// The public point.
    pub(super) public: Vec<u8>,
}

impl Parts {
    /// Reads a file; `None` where it is no such key.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (_, rest) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----")?;
        let (body, _) = rest.split_once("-----END")?;
        let body: String = body.split_ascii_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
        let mut reader = Reader(bytes.strip_prefix(MAGIC)?);
        let [cipher, _kdf, _options] = [reader.string()?, reader.string()?, reader.string()?];
        if cipher != b"none" || reader.number()? != 1 {
            return None;
        }
        let _public = reader.string()?;
        let mut private = Reader(reader.string()?);
        if private.number()? != private.number()? {
            return None;
        }
        let kind = String::from_utf8(private.string()?.to_vec()).ok()?;
        if !kind.starts_with("ecdsa-sha2-nistp") {
            return None;
        }
        let _curve = private.string()?;
        let (public, secret) = (private.string()?, private.string()?);
        let zeros = secret.iter().take_while(|byte| **byte == 0).count();
        Some(Self { kind, secret: secret[zeros..].to_vec(), public: public.to_vec() })
    }

    /// The secret number with zeros before it, of this many bytes.
    pub(super) fn padded(&self, length: usize) -> Option<Vec<u8>> {
        let zeros = length.checked_sub(self.secret.len())?;
        Some([vec![0; zeros], self.secret.clone()].concat())
    }
}

/// Reads numbers of four bytes, and bytes with such a number before them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let (string, rest) = take(self.0)?;
        self.0 = rest;
        Some(string)
    }
}
