//! Messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent), as far as steps may use it.

/// Larger messages end a connection; the limit of OpenSSH.
pub(super) const MAX_MESSAGE: usize = 256 << 10;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The answer to whatever isn't allowed or can't be done.
pub(super) const FAILURE: &[u8] = &[5];

/// What is asked of an agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// Which keys there are.
    List,
    /// A signature.
    Sign {
        /// The public key.
        key: &'a [u8],
        /// What to sign.
        data: &'a [u8],
        /// Which kind of signature, for RSA.
        flags: u32,
    },
    /// Anything else, and what isn't a message.
    Other,
}

impl<'a> Request<'a> {
    /// Reads a message without its length.
    pub(super) fn read(body: &'a [u8]) -> Self {
        match body.split_first() {
            Some((&REQUEST_IDENTITIES, [])) => Self::List,
            Some((&SIGN_REQUEST, rest)) => Self::sign(rest).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    fn sign(rest: &'a [u8]) -> Option<Self> {
        let (key, rest) = take(rest)?;
        let (data, rest) = take(rest)?;
        let flags = u32::from_be_bytes(rest.try_into().ok()?);
        Some(Self::Sign { key, data, flags })
    }
}

/// Splits a string off, which is its length and its bytes.
pub(super) fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Appends a string.
pub(super) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a positive number, given in big-endian bytes.
pub(super) fn put_number(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    if digits.first().is_some_and(|byte| byte & 0x80 != 0) {
        // A set first bit would make it negative.
        put(out, &[&[0], digits].concat());
    } else {
        put(out, digits);
    }
}

/// The answer to [`Request::List`]: public keys. Their comments, which name people and machines, are left empty.
pub(super) fn identities<'a>(keys: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![IDENTITIES_ANSWER];
    out.extend_from_slice(&(keys.len() as u32).to_be_bytes());
    for key in keys {
        put(&mut out, key);
        put(&mut out, b"");
    }
    out
}

/// The answer to [`Request::Sign`].
pub(super) fn signature(signature: &[u8]) -> Vec<u8> {
    let mut out = vec![SIGN_RESPONSE];
    put(&mut out, signature);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests() {
        assert_eq!(Request::read(&[11]), Request::List);
        let mut sign = vec![13];
        put(&mut sign, b"key");
        put(&mut sign, b"data");
        sign.extend_from_slice(&4u32.to_be_bytes());
        assert_eq!(Request::read(&sign), Request::Sign { key: b"key", data: b"data", flags: 4 });
        // Adding, removing, locking, extensions, and what is cut off or too long.
        for other in
            [&[17][..], &[18], &[19], &[22], &[23], &[25], &[27], &[], &[11, 0], &sign[..sign.len() - 1]]
        {
            assert_eq!(Request::read(other), Request::Other, "{other:?}");
        }
    }

    #[test]
    fn numbers_stay_positive_and_short() {
        let number = |bytes: &[u8]| {
            let mut out = Vec::new();
            put_number(&mut out, bytes);
            out
        };
        assert_eq!(number(&[0, 0, 1]), [0, 0, 0, 1, 1]);
        assert_eq!(number(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(number(&[0]), [0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn noise_is_no_request_to_sign_beyond_its_end(noise in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Request::Sign { key, data, .. } = Request::read(&noise) {
                prop_assert_eq!(noise.len(), 1 + 4 + key.len() + 4 + data.len() + 4);
            }
        }
    }
}
