//! Image references.

use garboard_registry::Reference;

/// Properties: both the full and the short form of a reference mean the reference; its parts can't be mistaken for
/// others in an address.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let reference: Reference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => return assert!(!error.to_string().is_empty(), "an error says something"),
    };
    for form in [reference.to_string(), reference.familiar()] {
        assert_eq!(form.parse().as_ref(), Ok(&reference), "{form}");
    }
    assert_eq!(reference.name(), format!("{}/{}", reference.domain(), reference.repository()));
    assert!(reference.tag().is_some() || reference.digest().is_some(), "{reference}");
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    assert!(reference.repository().chars().all(safe), "{reference}");
    assert!(reference.repository().split('/').all(|part| !matches!(part, "" | "." | "..")), "{reference}");
    assert!(reference.domain().chars().all(|c| safe(c) && c != '/' || ":[]".contains(c)), "{reference}");
    if let Some(tag) = reference.tag() {
        let again = reference.with_tag(tag).expect("its own tag is a tag");
        assert_eq!((again.tag(), again.digest()), (Some(tag), None));
    }
}
