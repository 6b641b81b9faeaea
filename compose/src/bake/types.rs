//! Types of values, and the one type that several have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The type of a value, or a constraint on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Not known, or anything.
    Any,
    /// `true` and `false`.
    Bool,
    /// Numbers.
    Number,
    /// Texts.
    String,
    /// Any number of elements of one type.
    List(Box<Type>),
    /// As a list, each element once, without an order.
    Set(Box<Type>),
    /// Elements of one type by name.
    Map(Box<Type>),
    /// Elements of a type each.
    Tuple(Vec<Type>),
    /// Attributes of a type each, and which of them may be missing.
    Object(BTreeMap<String, Type>, BTreeSet<String>),
}

impl Type {
    /// A list of these.
    pub(crate) fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    /// A set of these.
    pub(crate) fn set(self) -> Self {
        Self::Set(Box::new(self))
    }

    /// A map of these.
    pub(crate) fn map(self) -> Self {
        Self::Map(Box::new(self))
    }

    /// An object that has all of these.
    pub(crate) fn object(attributes: BTreeMap<String, Type>) -> Self {
        Self::Object(attributes, BTreeSet::new())
    }

    /// Whether it is a text, a number or a truth value.
    pub(crate) fn is_primitive(&self) -> bool {
        matches!(self, Self::Bool | Self::Number | Self::String)
    }

    /// The type that values of both can be had in; `None` where there is none.
    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, known) | (known, Self::Any) => Some(known.clone()),
            _ if self == other => Some(self.clone()),
            (Self::String, primitive) | (primitive, Self::String) if primitive.is_primitive() => {
                Some(Self::String)
            }
            (Self::List(left), Self::List(right)) => left.common(right).map(Self::list),
            (Self::Set(left), Self::Set(right)) => left.common(right).map(Self::set),
            (Self::Map(left), Self::Map(right)) => left.common(right).map(Self::map),
            (Self::List(left), Self::Set(right)) | (Self::Set(right), Self::List(left)) => {
                left.common(right).map(Self::list)
            }
            (Self::Tuple(left), Self::Tuple(right)) if left.len() == right.len() => left
                .iter()
                .zip(right)
                .map(|(left, right)| left.common(right))
                .collect::<Option<_>>()
                .map(Self::Tuple),
            (Self::Tuple(left), Self::Tuple(right)) => Self::all(left.iter().chain(right)).map(Self::list),
            (Self::Tuple(items), Self::List(item)) | (Self::List(item), Self::Tuple(items)) => {
                Self::all(items.iter().chain([&**item])).map(Self::list)
            }
            (Self::Tuple(items), Self::Set(item)) | (Self::Set(item), Self::Tuple(items)) => {
                Self::all(items.iter().chain([&**item])).map(Self::set)
            }
            (Self::Object(left, _), Self::Object(right, _)) => {
                if left.keys().eq(right.keys()) {
                    let pairs = left.iter().zip(right.values());
                    let common = pairs.map(|((name, left), right)| Some((name.clone(), left.common(right)?)));
                    return common.collect::<Option<_>>().map(Self::object);
                }
                Self::all(left.values().chain(right.values())).map(Self::map)
            }
            (Self::Object(attributes, _), Self::Map(item))
            | (Self::Map(item), Self::Object(attributes, _)) => {
                Self::all(attributes.values().chain([&**item])).map(Self::map)
            }
            _ => None,
        }
    }

    /// The type that all of them can be had in.
    pub(crate) fn all<'a>(types: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        types.into_iter().try_fold(Self::Any, |common, next| common.common(next))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => out.write_str("dynamic"),
            Self::Bool => out.write_str("bool"),
            Self::Number => out.write_str("number"),
            Self::String => out.write_str("string"),
            Self::List(item) => write!(out, "list of {item}"),
            Self::Set(item) => write!(out, "set of {item}"),
            Self::Map(item) => write!(out, "map of {item}"),
            Self::Tuple(_) => out.write_str("tuple"),
            Self::Object(..) => out.write_str("object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_types() {
        use Type::{Any, Bool, Number, String, Tuple};
        for (left, right, common) in [
            (String, Number, Some(String)),
            (Number, Bool, None),
            (Any, Bool, Some(Bool)),
            (Tuple(vec![String]), Tuple(vec![String, Number]), Some(String.list())),
            (Tuple(vec![Bool]), Number.list(), None),
            (Number.list(), Number.set(), Some(Number.list())),
        ] {
            assert_eq!(left.common(&right), common, "{left} and {right}");
        }
    }
}
