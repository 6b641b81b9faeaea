//! Digests, and identifiers made of digests.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, param};
use crate::bake::value::Value;

const ONE: &[Param] = &[param("str", Kind::Text)];

/// Namespaces that have names: RFC 9562, section 6.6.
const NAMESPACES: [(&str, u8); 4] = [("dns", 0x10), ("url", 0x11), ("oid", 0x12), ("x500", 0x14)];

pub(super) static ALL: &[Function] = &[
    function("md5", ONE, None, |call| Ok(Value::String(hex(&Md5::digest(call.text(0)))))),
    function("sha1", ONE, None, |call| Ok(Value::String(hex(&Sha1::digest(call.text(0)))))),
    function("sha256", ONE, None, |call| Ok(Value::String(hex(&Sha256::digest(call.text(0)))))),
    function("sha512", ONE, None, |call| Ok(Value::String(hex(&Sha512::digest(call.text(0)))))),
    function("uuidv4", &[], None, |call| Ok(random(call))),
    function("uuidv5", &[param("namespace", Kind::Text), param("name", Kind::Text)], None, named),
    function("bcrypt", ONE, Some(param("cost", Kind::Number)), unsupported),
    function(
        "rsadecrypt",
        &[param("ciphertext", Kind::Text), param("privatekey", Kind::Text)],
        None,
        unsupported,
    ),
];

/// What secrets are made or opened with has no place in a file that says what to build.
fn unsupported(_: &Call) -> Outcome {
    fail("this function is not supported")
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Sixteen bytes as a UUID of a version.
fn uuid(bytes: &[u8], version: u8) -> Value {
    let mut uuid: Vec<u8> = bytes.iter().copied().take(16).collect();
    uuid[6] = uuid[6] & 0x0f | version << 4;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    let text = hex(&uuid);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    Value::String(parts.join("-"))
}

fn random(call: &Call) -> Value {
    let drawn = &call.given.drawn;
    drawn.set(drawn.get() + 1);
    let digest =
        Sha256::new().chain_update(call.given.seed).chain_update(drawn.get().to_le_bytes()).finalize();
    uuid(&digest, 4)
}

fn named(call: &Call) -> Outcome {
    let namespace = call.text(0);
    let known = NAMESPACES.iter().find(|(name, _)| *name == namespace);
    let digits = match known {
        Some((_, last)) => format!("6ba7b8{last:02x}9dad11d180b400c04fd430c8"),
        None => namespace.replace('-', ""),
    };
    let byte = |at: usize| digits.get(at * 2..at * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..16).map(byte).collect();
    match bytes {
        Some(bytes) if digits.len() == 32 => {
            Ok(uuid(&Sha1::new().chain_update(bytes).chain_update(call.text(1)).finalize(), 5))
        }
        _ => Err(Trouble::Function(format!("uuidv5() doesn't support namespace {namespace}"))),
    }
}
