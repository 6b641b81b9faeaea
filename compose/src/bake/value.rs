//! Values: what expressions come to.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::number::Number;
use super::types::Type;

/// A value. Names of maps and objects are sorted, as are sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, of a type.
    Null(Type),
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// Elements of this type.
    List(Type, Vec<Value>),
    /// Elements of this type, sorted, each once.
    Set(Type, Vec<Value>),
    /// Elements of this type by name.
    Map(Type, BTreeMap<String, Value>),
    /// Elements of any types.
    Tuple(Vec<Value>),
    /// Attributes of any types.
    Object(BTreeMap<String, Value>),
}

/// How much a value holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    /// Bytes of texts, and some for every value.
    pub(crate) weight: u64,
    /// How many values are inside one another.
    pub(crate) depth: u32,
}

impl Value {
    /// Nothing of no known type.
    pub(crate) const NULL: Self = Self::Null(Type::Any);

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// A whole number.
    pub(crate) fn integer(value: i64) -> Self {
        Self::Number(Number::of(value))
    }

    /// A list of texts.
    pub(crate) fn texts(texts: impl IntoIterator<Item = String>) -> Self {
        Self::List(Type::String, texts.into_iter().map(Self::String).collect())
    }

    /// A set of these, which have one type.
    pub(crate) fn set(item: Type, mut values: Vec<Value>) -> Self {
        values.sort_by(Self::order);
        values.dedup();
        Self::Set(item, values)
    }

    /// Its type.
    pub(crate) fn kind(&self) -> Type {
        match self {
            Self::Null(kind) => kind.clone(),
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::String(_) => Type::String,
            Self::List(item, _) => item.clone().list(),
            Self::Set(item, _) => item.clone().set(),
            Self::Map(item, _) => item.clone().map(),
            Self::Tuple(values) => Type::Tuple(values.iter().map(Self::kind).collect()),
            Self::Object(values) => {
                Type::object(values.iter().map(|(name, value)| (name.clone(), value.kind())).collect())
            }
        }
    }

    /// Whether it is nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null(_))
    }

    /// The elements of what has elements in an order, or of a set.
    pub(crate) fn elements(&self) -> Option<&[Value]> {
        match self {
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => Some(values),
            _ => None,
        }
    }

    /// The elements of what has them by name.
    pub(crate) fn attributes(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Self::Map(_, values) | Self::Object(values) => Some(values),
            _ => None,
        }
    }

    /// How much it holds.
    pub(crate) fn extent(&self) -> Extent {
        let inside = |values: &mut dyn Iterator<Item = &Value>, names: u64| {
            let start = Extent { weight: 32 + names, depth: 0 };
            let sum = values.map(Value::extent).fold(start, |sum, next| Extent {
                weight: sum.weight.saturating_add(next.weight),
                depth: sum.depth.max(next.depth),
            });
            Extent { depth: sum.depth + 1, ..sum }
        };
        match self {
            Self::Null(_) | Self::Bool(_) => Extent { weight: 32, depth: 1 },
            Self::Number(_) => Extent { weight: 96, depth: 1 },
            Self::String(text) => Extent { weight: 32 + text.len() as u64, depth: 1 },
            Self::List(_, values) | Self::Set(_, values) | Self::Tuple(values) => {
                inside(&mut values.iter(), 0)
            }
            Self::Map(_, values) | Self::Object(values) => {
                let names = values.keys().map(|name| 64 + name.len() as u64).sum();
                inside(&mut values.values(), names)
            }
        }
    }

    /// An order of values of one type, which sets are kept in.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Map(_, left), Self::Map(_, right)) | (Self::Object(left), Self::Object(right)) => {
                left.keys().cmp(right.keys()).then_with(|| by_order(left.values(), right.values()))
            }
            _ => match (self.elements(), other.elements()) {
                (Some(left), Some(right)) => by_order(left.iter(), right.iter()),
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    /// An order of kinds of values.
    fn rank(&self) -> u8 {
        match self {
            // cty sorts nothing last
            Self::Null(_) => 9,
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::String(_) => 2,
            Self::List(..) => 3,
            Self::Set(..) => 4,
            Self::Map(..) => 5,
            Self::Tuple(_) => 6,
            Self::Object(_) => 7,
        }
    }
}

/// The order of the first elements that differ.
fn by_order<'a>(
    left: impl Iterator<Item = &'a Value>,
    mut right: impl Iterator<Item = &'a Value>,
) -> Ordering {
    for left in left {
        let Some(right) = right.next() else { return Ordering::Greater };
        let order = left.order(right);
        if order != Ordering::Equal {
            return order;
        }
    }
    if right.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_each_value_once() {
        let set = Value::set(Type::String, ["b", "a", "b"].map(Value::text).to_vec());
        assert_eq!(set, Value::Set(Type::String, ["a", "b"].map(Value::text).to_vec()));
        assert_eq!(set.kind().to_string(), "set of string");
    }

    #[test]
    fn extents_grow_with_what_is_inside() {
        let inner = Value::Tuple(vec![Value::text("abc")]);
        let outer = Value::Tuple(vec![inner.clone(), inner.clone()]);
        assert!(outer.extent().weight > 2 * inner.extent().weight);
        assert_eq!((inner.extent().depth, outer.extent().depth), (2, 3));
    }
}
