//! Private keys from files, and their signatures.

use std::io::Read;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use ssh_key::private::{EcdsaKeypair, KeypairData, RsaKeypair};

use super::ecdsa::Parts;
use super::message::{put, put_number};

/// Larger files are no keys.
const MAX_FILE: u64 = 100 << 10;

/// Flags of a request to sign: which digest an RSA signature has. Without either it is SHA-1, which nobody should accept.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// Why a file isn't a key that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// It can't be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It can't be used without asking for its passphrase.
    #[error("it is protected by a passphrase")]
    Passphrase,
    /// A kind of key that can't sign here.
    #[error("keys of the type {0} are not supported")]
    Kind(String),
    /// Something else.
    #[error("there is no private key in it")]
    NoKey,
    /// A key whose parts don't fit together.
    #[error("it is damaged, too short or too long")]
    Damaged,
}

/// A private key.
pub(super) struct Key {
    public: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa { curve: &'static Curve, pair: EcdsaKeyPair },
    Rsa(RsaKeyPair),
}

/// A curve of ECDSA keys.
struct Curve {
    name: &'static str,
    kind: &'static str,
    algorithm: &'static EcdsaSigningAlgorithm,
    /// Bytes of a secret number.
    length: usize,
}

static P256: Curve = Curve {
    name: "nistp256",
    kind: "ecdsa-sha2-nistp256",
    algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING,
    length: 32,
};
static P384: Curve = Curve {
    name: "nistp384",
    kind: "ecdsa-sha2-nistp384",
    algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING,
    length: 48,
};

impl Key {
    /// Reads a key without passphrase, in the form of OpenSSH, PKCS#1 (RSA) or PKCS#8.
    pub(super) fn read(path: &Path) -> Result<Self, KeyError> {
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            return Err(KeyError::NoKey);
        }
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let has = |words: &str| text.windows(words.len()).any(|part| part == words.as_bytes());
        if has("BEGIN OPENSSH PRIVATE KEY") {
            return Self::of_openssh(text);
        }
        if has("ENCRYPTED") && has("PRIVATE KEY") {
            return Err(KeyError::Passphrase);
        }
        let pair = match PrivateKeyDer::from_pem_slice(text).map_err(|_| KeyError::NoKey)? {
            PrivateKeyDer::Pkcs1(der) => {
                Pair::Rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| KeyError::Damaged)?)
            }
            PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der()).ok_or(KeyError::Damaged)?,
            _ => return Err(KeyError::Kind("EC in an old form (`ssh-keygen -p` rewrites it)".into())),
        };
        Ok(Self { public: pair.public(), pair })
    }

    fn of_openssh(text: &[u8]) -> Result<Self, KeyError> {
        let Ok(key) = ssh_key::PrivateKey::from_openssh(text) else { return Self::of_short_ecdsa(text) };
        let damaged = |_| KeyError::Damaged;
        let pair = match key.key_data() {
            KeypairData::Encrypted(_) => return Err(KeyError::Passphrase),
            KeypairData::Ed25519(pair) => Pair::Ed25519(
                Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &pair.public.0)
                    .map_err(damaged)?,
            ),
            KeypairData::Ecdsa(pair) => {
                let curve = match pair {
                    EcdsaKeypair::NistP256 { .. } => &P256,
                    EcdsaKeypair::NistP384 { .. } => &P384,
                    EcdsaKeypair::NistP521 { .. } => {
                        return Err(KeyError::Kind(pair.algorithm().to_string()));
                    }
                };
                ecdsa(curve, pair.private_key_bytes(), pair.public_key_bytes())?
            }
            KeypairData::Rsa(pair) => Pair::Rsa(rsa(pair).ok_or(KeyError::Damaged)?),
            _ => return Err(KeyError::Kind(key.algorithm().to_string())),
        };
        Ok(Self { public: pair.public(), pair })
    }

    fn of_short_ecdsa(text: &[u8]) -> Result<Self, KeyError> {
        let parts = Parts::read(text).ok_or(KeyError::Damaged)?;
        let curve = [&P256, &P384].into_iter().find(|curve| curve.kind == parts.kind);
        let curve = curve.ok_or_else(|| KeyError::Kind(parts.kind.clone()))?;
        let secret = parts.padded(curve.length).ok_or(KeyError::Damaged)?;
        let pair = ecdsa(curve, &secret, &parts.public)?;
        Ok(Self { public: pair.public(), pair })
    }

    /// The public key as agents name it.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs; `None` where the key can't give this kind of signature.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match &self.pair {
            Pair::Ed25519(pair) => {
                put(&mut out, b"ssh-ed25519");
                put(&mut out, pair.sign(data).as_ref());
            }
            Pair::Ecdsa { curve, pair } => {
                let signature = pair.sign(&SystemRandom::new(), data).ok()?;
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                let mut numbers = Vec::new();
                put_number(&mut numbers, r);
                put_number(&mut numbers, s);
                put(&mut out, curve.kind.as_bytes());
                put(&mut out, &numbers);
            }
            Pair::Rsa(pair) => {
                let (name, padding) = match flags {
                    _ if flags & RSA_SHA2_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    _ if flags & RSA_SHA2_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &SystemRandom::new(), data, &mut signature).ok()?;
                put(&mut out, name.as_bytes());
                put(&mut out, &signature);
            }
        }
        Some(out)
    }
}

impl Pair {
    fn public(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Ed25519(pair) => {
                put(&mut out, b"ssh-ed25519");
                put(&mut out, pair.public_key().as_ref());
            }
            Self::Ecdsa { curve, pair } => {
                put(&mut out, curve.kind.as_bytes());
                put(&mut out, curve.name.as_bytes());
                put(&mut out, pair.public_key().as_ref());
            }
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                put(&mut out, b"ssh-rsa");
                put_number(&mut out, &e);
                put_number(&mut out, &n);
            }
        }
        out
    }
}

fn ecdsa(curve: &'static Curve, secret: &[u8], public: &[u8]) -> Result<Pair, KeyError> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm, secret, public, &random);
    Ok(Pair::Ecdsa { curve, pair: pair.map_err(|_| KeyError::Damaged)? })
}

fn pkcs8(der: &[u8]) -> Option<Pair> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(Pair::Ed25519(pair));
    }
    for curve in [&P256, &P384] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve.algorithm, der, &SystemRandom::new()) {
            return Some(Pair::Ecdsa { curve, pair });
        }
    }
    RsaKeyPair::from_pkcs8(der).ok().map(Pair::Rsa)
}

/// OpenSSH leaves out two numbers that follow from the others.
fn rsa(pair: &RsaKeypair) -> Option<RsaKeyPair> {
    let private = &pair.private;
    let (d, p, q) =
        (private.d.as_positive_bytes()?, private.p.as_positive_bytes()?, private.q.as_positive_bytes()?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents {
            n: pair.public.n.as_positive_bytes()?,
            e: pair.public.e.as_positive_bytes()?,
        },
        d,
        p,
        q,
        dP: &remainder(d, &less_one(p)?),
        dQ: &remainder(d, &less_one(q)?),
        qInv: private.iqmp.as_positive_bytes()?,
    };
    RsaKeyPair::from_components(&components).ok()
}

/// An odd number less one; both factors of an RSA key are odd.
fn less_one(number: &[u8]) -> Option<Vec<u8>> {
    let mut number = number.to_vec();
    let last = number.last_mut().filter(|last| **last & 1 == 1)?;
    *last -= 1;
    Some(number)
}

/// The remainder of a division of big-endian numbers, without leading zeros; `divisor` begins with another digit than 0.
fn remainder(number: &[u8], divisor: &[u8]) -> Vec<u8> {
    let divisor = [&[0], divisor].concat();
    let mut rest = vec![0u8; divisor.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for digit in rest.iter_mut().rev() {
            let next = *digit >> 7;
            *digit = *digit << 1 | carry;
            carry = next;
        }
        if rest >= divisor {
            let mut borrow = false;
            for (digit, less) in rest.iter_mut().zip(&divisor).rev() {
                let (first, one) = digit.overflowing_sub(*less);
                let (second, two) = first.overflowing_sub(u8::from(borrow));
                (*digit, borrow) = (second, one || two);
            }
        }
    }
    let start = rest.iter().position(|digit| *digit != 0).unwrap_or(rest.len());
    rest.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    /// Runs a program; `false`, said aloud, where it isn't there.
    fn run(folder: &Path, command: &str) -> bool {
        let words: Vec<&str> = command.split(' ').collect();
        let Ok(output) = Command::new(words[0]).args(&words[1..]).current_dir(folder).output() else {
            println!("skipped: {} is not installed", words[0]);
            return false;
        };
        assert!(output.status.success(), "{command}: {output:?}");
        true
    }

    #[test]
    fn every_kind_of_key_signs_as_its_public_half_says() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for kind in [
            "ed25519",
            "ecdsa -b 256",
            "ecdsa -b 384",
            "rsa -b 2048",
            "rsa -b 3072 -m PEM",
            "rsa -b 2048 -m PKCS8",
        ] {
            let _ = std::fs::remove_file(folder.join("key"));
            if !run(folder, &format!("ssh-keygen -q -f key -N  -C me -t {kind}")) {
                return;
            }
            let key = Key::read(&folder.join("key")).unwrap();
            let text = std::fs::read_to_string(folder.join("key.pub")).unwrap();
            let public = ssh_key::PublicKey::from_openssh(&text).unwrap();
            assert_eq!(key.public(), public.to_bytes().unwrap(), "{kind}");
            for flags in [RSA_SHA2_256, RSA_SHA2_512] {
                let signature = key.sign(b"data", flags).unwrap();
                verify(&key, b"data", &signature);
            }
            assert_eq!(key.sign(b"data", 0).is_none(), kind.starts_with("rsa"), "no SHA-1");
        }
    }

    #[test]
    fn secrets_may_begin_with_zeros() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ssh");
        for name in ["short-p256", "short-p384"] {
            let text = std::fs::read(folder.join(name)).unwrap();
            assert!(ssh_key::PrivateKey::from_openssh(&text).is_err(), "the library reads {name} itself now");
            let key = Key::read(&folder.join(name)).unwrap();
            let public = std::fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap();
            let public = ssh_key::PublicKey::from_openssh(&public).unwrap();
            assert_eq!(key.public(), public.to_bytes().unwrap(), "{name}");
            verify(&key, b"data", &key.sign(b"data", 0).unwrap());
        }
    }

    /// Checks a signature with ring's other half.
    fn verify(key: &Key, data: &[u8], signature: &[u8]) {
        use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
        let strings = |mut bytes: &[u8]| {
            let mut out = Vec::new();
            while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
                let (one, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
                out.push(one.to_vec());
                bytes = rest;
            }
            out
        };
        let parts = strings(signature);
        let fixed = |width: usize| {
            let pad = |n: &Vec<u8>| {
                let start = n.len().saturating_sub(width);
                [vec![0; width.saturating_sub(n.len())], n[start..].to_vec()].concat()
            };
            strings(&parts[1]).iter().flat_map(pad).collect::<Vec<u8>>()
        };
        let (algorithm, public, signature): (&dyn VerificationAlgorithm, &[u8], Vec<u8>) = match &key.pair {
            Pair::Ed25519(pair) => (&signature::ED25519, pair.public_key().as_ref(), parts[1].clone()),
            Pair::Ecdsa { curve, pair } if curve.name == "nistp256" => {
                (&signature::ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref(), fixed(32))
            }
            Pair::Ecdsa { pair, .. } => {
                (&signature::ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref(), fixed(48))
            }
            Pair::Rsa(pair) if parts[0] == b"rsa-sha2-256" => {
                (&signature::RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref(), parts[1].clone())
            }
            Pair::Rsa(pair) => {
                (&signature::RSA_PKCS1_2048_8192_SHA512, pair.public_key().as_ref(), parts[1].clone())
            }
        };
        UnparsedPublicKey::new(algorithm, public).verify(data, &signature).unwrap();
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let problem =
            |name: &str| Key::read(&folder.join(name)).err().map(|e| e.to_string()).unwrap_or_default();
        std::fs::write(folder.join("text"), "no key").unwrap();
        assert!(problem("text").contains("no private key"));
        std::fs::write(folder.join("cut"), "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n").unwrap();
        assert!(problem("cut").contains("damaged"));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        std::fs::write(folder.join("old"), old).unwrap();
        assert!(problem("old").contains("passphrase"));
        if run(folder, "ssh-keygen -q -f locked -N secret -t ed25519") {
            assert!(problem("locked").contains("passphrase"));
            run(folder, "ssh-keygen -q -f long -N  -t ecdsa -b 521");
            assert!(problem("long").contains("nistp521"), "{}", problem("long"));
        }
    }

    proptest! {
        #[test]
        fn remainders(number in any::<u128>(), divisor in 1..u64::MAX) {
            let digits = divisor.to_be_bytes();
            let start = digits.iter().position(|d| *d != 0).unwrap();
            let found = remainder(&number.to_be_bytes(), &digits[start..]);
            let found = found.iter().fold(0u128, |all, digit| all << 8 | u128::from(*digit));
            prop_assert_eq!(found, number % u128::from(divisor));
        }

        #[test]
        fn noise_is_no_key(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = [b"-----BEGIN OPENSSH PRIVATE KEY-----\n", &noise[..]].concat();
            prop_assert!(Key::parse(&text).is_err());
        }
    }
}
