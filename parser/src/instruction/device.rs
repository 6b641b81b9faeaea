//! RUN --device.

use super::flags::go_bool;
use crate::csv;
use crate::error::{Fault, ParseErrorKind};
use crate::span::Spanned;

/// A device that a RUN asks for, by the Container Device Interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// `vendor.com/class=name`, `vendor.com/class=*` or `vendor.com/class`.
    pub name: String,
    /// The RUN fails if there is no such device.
    pub required: bool,
}

impl Device {
    pub(super) fn read(flag: &Spanned<String>) -> Result<Self, Fault> {
        let fault =
            |reason| Fault::at(ParseErrorKind::Device { value: flag.value.clone(), reason }, flag.span);
        let fields = csv::record(&flag.value).ok_or_else(|| fault("not comma-separated values"))?;
        let mut device = Self::default();
        for field in &fields {
            match field.split_once('=').map(|(key, value)| (key.to_ascii_lowercase(), value)) {
                None if fields.len() > 1 && field.eq_ignore_ascii_case("required") => device.required = true,
                Some((key, value)) if key == "required" => {
                    device.required =
                        go_bool(value).ok_or_else(|| fault("`required` is neither true nor false"))?;
                }
                named => {
                    let name =
                        named.filter(|(key, _)| key == "name").map_or(field.as_str(), |(_, value)| value);
                    if !device.name.is_empty() {
                        return Err(fault("it has two names"));
                    }
                    name.clone_into(&mut device.name);
                }
            }
        }
        if device.name.is_empty() { Err(fault("it has no name")) } else { Ok(device) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Span;

    #[test]
    fn devices() {
        for (text, expected) in [
            ("vendor1.com/device=foo", Some(("vendor1.com/device=foo", false))),
            ("vendor1.com/device", Some(("vendor1.com/device", false))),
            ("vendor1.com/device=*", Some(("vendor1.com/device=*", false))),
            ("vendor1.com/device=foo,required", Some(("vendor1.com/device=foo", true))),
            ("vendor1.com/device=foo,required=false", Some(("vendor1.com/device=foo", false))),
            ("name=vendor1.com/device=foo,required=true", Some(("vendor1.com/device=foo", true))),
            ("required,vendor1.com/device", Some(("vendor1.com/device", true))),
            ("vendor1.com/device=foo,name=other", None),
            ("vendor1.com/device=foo,required=maybe", None),
            ("required=true", None),
        ] {
            let found = Device::read(&Spanned::new(text.to_owned(), Span::default())).ok();
            assert_eq!(
                found.as_ref().map(|device| (device.name.as_str(), device.required)),
                expected,
                "{text}"
            );
        }
    }
}
