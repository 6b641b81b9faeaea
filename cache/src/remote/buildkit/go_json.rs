//! JSON as Go's encoder writes it: digests are of its bytes.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// The bytes of a value. Fields stand in the order of the type.
pub(super) fn bytes(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoFormatter(CompactFormatter));
    value.serialize(&mut serializer).expect("plain data is written to memory");
    out
}

/// Escapes what could be taken for HTML or for the end of a line of JavaScript.
struct GoFormatter(CompactFormatter);

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            let character = special.chars().next().expect("something was found");
            self.0.write_string_fragment(writer, plain)?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            rest = &special[character.len_utf8()..];
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped_as_in_go() {
        let rows = [
            ("cat /a > /b && c", r#""cat /a \u003e /b \u0026\u0026 c""#),
            ("<\u{2028}\u{2029}", r#""\u003c\u2028\u2029""#),
            ("\"\\/\n\r\t\u{8}\u{c}\u{1}\u{7f}é", "\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\u{7f}é\""),
        ];
        for (text, expected) in rows {
            assert_eq!(String::from_utf8(super::bytes(&text)).unwrap(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_means_the_same(text: String) {
            let bytes = super::bytes(&text);
            proptest::prop_assert!(!bytes.iter().any(|byte| b"<>&".contains(byte)));
            proptest::prop_assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
        }
    }
}
