//! Numbers as cty has them: binary floating point with up to 512 bits of mantissa, printed in the shortest form that
//! reads as the same number.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, BigUint, Sign};

/// Bits of the mantissa of a number that was written down.
pub(crate) const WRITTEN_BITS: u64 = 512;
/// Powers of two beyond this, either way, are refused: nobody means them, and they are long to print.
const MAX_EXPONENT: i64 = 16_384;
/// Decimal exponents beyond this aren't even looked at.
const MAX_DECIMAL_EXPONENT: i64 = 5_000;

/// A number.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    /// `mantissa` times two to the power of `exponent`; the mantissa is odd, or zero.
    Finite { mantissa: BigInt, exponent: i64, bits: u64 },
    /// What dividing by zero gives.
    Infinite { negative: bool },
}

use Number::{Finite, Infinite};

impl Number {
    /// An exact whole number.
    pub(crate) fn of(value: impl Into<BigInt>) -> Self {
        let mantissa = value.into();
        let bits = mantissa.bits().max(64);
        Self::rounded(mantissa, 0, bits).unwrap_or(Infinite { negative: false })
    }

    /// A machine number; `None` for what is no number.
    pub(crate) fn of_float(value: f64) -> Option<Self> {
        if value.is_infinite() {
            return Some(Infinite { negative: value < 0.0 });
        }
        if value.is_nan() {
            return None;
        }
        let raw = value.to_bits();
        let (exponent, fraction) = ((raw >> 52 & 0x7ff) as i64, raw & ((1 << 52) - 1));
        let (mantissa, exponent) =
            if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
        let mantissa = BigInt::from(mantissa);
        Self::rounded(if value < 0.0 { -mantissa } else { mantissa }, exponent, 53)
    }

    /// Reads digits with an optional sign, fraction and decimal exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        let too_long = digits.len() as i64 > MAX_DECIMAL_EXPONENT;
        if digits.is_empty() || too_long || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if exponent.abs() > MAX_DECIMAL_EXPONENT {
            return None;
        }
        let power = exponent - fraction.len() as i64;
        let digits = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        let digits = if negative { -digits } else { digits };
        let ten = BigInt::from(10).pow(power.unsigned_abs() as u32);
        if power >= 0 {
            Self::rounded(digits * ten, 0, WRITTEN_BITS)
        } else {
            quotient(&digits, &ten, 0, WRITTEN_BITS)
        }
    }

    /// Rounds to `bits`, half to even; `None` where it is too large or too small.
    fn rounded(mantissa: BigInt, exponent: i64, bits: u64) -> Option<Self> {
        let (sign, mut magnitude) = mantissa.into_parts();
        let mut exponent = exponent;
        let excess = magnitude.bits().saturating_sub(bits);
        if excess > 0 {
            let half = BigUint::from(1u8) << (excess - 1);
            let rest = &magnitude & ((BigUint::from(1u8) << excess) - 1u8);
            magnitude >>= excess;
            if rest > half || rest == half && magnitude.bit(0) {
                magnitude += 1u8;
            }
            exponent += excess as i64;
        }
        match magnitude.trailing_zeros() {
            None => exponent = 0,
            Some(zeros) => {
                magnitude >>= zeros;
                exponent += zeros as i64;
            }
        }
        let top = exponent.saturating_add(magnitude.bits() as i64);
        let fits = top.abs() <= MAX_EXPONENT && exponent.abs() <= MAX_EXPONENT;
        fits.then(|| Finite { mantissa: BigInt::from_biguint(sign, magnitude), exponent, bits })
    }

    /// The whole number this is, if it is one.
    pub(crate) fn whole(&self) -> Option<BigInt> {
        match self {
            Finite { mantissa, exponent, .. } if *exponent >= 0 => Some(mantissa << *exponent),
            _ => None,
        }
    }

    /// As [`Number::whole`], where it fits a machine integer.
    pub(crate) fn integer(&self) -> Option<i64> {
        self.whole()?.try_into().ok()
    }

    /// The nearest machine number.
    pub(crate) fn float(&self) -> f64 {
        match self {
            Infinite { negative: true } => f64::NEG_INFINITY,
            Infinite { negative: false } => f64::INFINITY,
            Finite { .. } => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether it is less than zero.
    pub(crate) fn is_negative(&self) -> bool {
        match self {
            Finite { mantissa, .. } => mantissa.sign() == Sign::Minus,
            Infinite { negative } => *negative,
        }
    }

    /// Whether it is zero.
    pub(crate) fn is_zero(&self) -> bool {
        matches!(self, Finite { mantissa, .. } if mantissa.sign() == Sign::NoSign)
    }

    /// The next whole number towards zero.
    pub(crate) fn truncated(&self) -> Option<BigInt> {
        match self {
            Finite { mantissa, exponent, .. } if *exponent < 0 => {
                let (sign, magnitude) = mantissa.clone().into_parts();
                Some(BigInt::from_biguint(sign, magnitude >> exponent.unsigned_abs()))
            }
            Finite { .. } => self.whole(),
            Infinite { .. } => None,
        }
    }

    /// The greatest whole number that isn't greater.
    pub(crate) fn floor(&self) -> Option<BigInt> {
        let whole = self.truncated()?;
        let lower = self.is_negative() && self.whole().is_none();
        Some(if lower { whole - 1 } else { whole })
    }

    /// The number with the other sign.
    pub(crate) fn negated(&self) -> Self {
        match self {
            Finite { mantissa, exponent, bits } => {
                Finite { mantissa: -mantissa, exponent: *exponent, bits: *bits }
            }
            Infinite { negative } => Infinite { negative: !negative },
        }
    }

    /// The sum; `None` where there is none, or none in bounds.
    pub(crate) fn plus(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (
                Finite { mantissa, exponent, bits },
                Finite { mantissa: other_mantissa, exponent: other_exponent, bits: other_bits },
            ) => {
                let least = *exponent.min(other_exponent);
                let sum = (mantissa << (exponent - least)) + (other_mantissa << (other_exponent - least));
                Self::rounded(sum, least, *bits.max(other_bits))
            }
            (Infinite { negative }, Infinite { negative: other }) if negative != other => None,
            (infinite @ Infinite { .. }, _) | (_, infinite @ Infinite { .. }) => Some(infinite.clone()),
        }
    }

    /// The product; `None` where there is none, or none in bounds.
    pub(crate) fn times(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (
                Finite { mantissa, exponent, bits },
                Finite { mantissa: other_mantissa, exponent: other_exponent, bits: other_bits },
            ) => {
                let product = mantissa * other_mantissa;
                let needed = product.bits().min(WRITTEN_BITS);
                Self::rounded(product, exponent + other_exponent, needed.max(*bits.max(other_bits)))
            }
            _ if self.is_zero() || other.is_zero() => None,
            _ => Some(Infinite { negative: self.is_negative() != other.is_negative() }),
        }
    }

    /// The quotient; `None` where there is none, or none in bounds.
    pub(crate) fn over(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Infinite { .. }, Infinite { .. }) => None,
            (Infinite { .. }, _) => Some(Infinite { negative: self.is_negative() != other.is_negative() }),
            (_, Infinite { .. }) => Some(Self::of(0)),
            _ if other.is_zero() && self.is_zero() => None,
            _ if other.is_zero() => Some(Infinite { negative: self.is_negative() }),
            (
                Finite { mantissa, exponent, bits },
                Finite { mantissa: other_mantissa, exponent: other_exponent, bits: other_bits },
            ) => quotient(mantissa, other_mantissa, exponent - other_exponent, *bits.max(other_bits)),
        }
    }

    /// What is left after dividing, with the sign of the dividend.
    pub(crate) fn modulo(&self, other: &Self) -> Option<Self> {
        if let (Finite { .. }, Infinite { .. }) = (self, other) {
            return Some(self.clone());
        }
        let whole = Self::of(self.over(other)?.truncated()?);
        self.plus(&other.times(&whole)?.negated())
    }
}

/// `dividend / divisor` times a power of two, rounded to `bits`.
fn quotient(dividend: &BigInt, divisor: &BigInt, exponent: i64, bits: u64) -> Option<Number> {
    let shift = (bits + 2 + divisor.bits()).saturating_sub(dividend.bits());
    let shifted = dividend << shift;
    let (whole, rest) = (&shifted / divisor, &shifted % divisor);
    // one more bit says whether there was a rest: it decides what lies half-way
    let sticky = BigInt::from(i32::from(rest.sign() != Sign::NoSign));
    let negative = dividend.sign() != divisor.sign();
    let mantissa = (whole << 1u8) + if negative { -sticky } else { sticky };
    Number::rounded(mantissa, exponent - shift as i64 - 1, bits)
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (
                Finite { mantissa, exponent, .. },
                Finite { mantissa: other_mantissa, exponent: other_exponent, .. },
            ) => {
                let least = *exponent.min(other_exponent);
                (mantissa << (exponent - least)).cmp(&(other_mantissa << (other_exponent - least)))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Number {
    /// Where it stands among infinities.
    fn rank(&self) -> i8 {
        match self {
            Finite { .. } => 0,
            Infinite { negative: true } => -1,
            Infinite { negative: false } => 1,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Infinite { negative } => out.write_str(if *negative { "-Inf" } else { "+Inf" }),
            Finite { mantissa, exponent, bits } => {
                let (sign, magnitude) = mantissa.clone().into_parts();
                if sign == Sign::Minus {
                    out.write_str("-")?;
                }
                out.write_str(&Decimal::shortest(&magnitude, *exponent, *bits).text())
            }
        }
    }
}

/// Decimal digits with a point: `0.digits` times ten to the power of `point`.
struct Decimal {
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Exactly `mantissa * 2^exponent`.
    fn exact(mantissa: &BigUint, exponent: i64) -> Self {
        let (digits, scale) = if exponent >= 0 {
            (mantissa << exponent, 0)
        } else {
            (mantissa * BigUint::from(5u8).pow(exponent.unsigned_abs() as u32), exponent)
        };
        let mut digits = digits.to_string().into_bytes();
        let point = digits.len() as i64 + scale;
        let used = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        digits.truncate(used);
        Self { digits, point }
    }

    /// The fewest digits that no other number of so many bits is nearer to.
    fn shortest(mantissa: &BigUint, exponent: i64, bits: u64) -> Self {
        let mut exact = Self::exact(mantissa, exponent);
        if exact.digits.is_empty() {
            return Self { digits: Vec::new(), point: 0 };
        }
        // one bit more than the number has: its neighbours are half a unit away
        let shift = (bits + 1).saturating_sub(mantissa.bits());
        let (wide, exponent) = (mantissa << shift, exponent - shift as i64);
        let lower = Self::exact(&(&wide - 1u8), exponent);
        let upper = Self::exact(&(&wide + 1u8), exponent);
        let inclusive = !wide.bit(1);
        let at = |decimal: &Self, index: usize| decimal.digits.get(index).copied().unwrap_or(b'0');
        for index in 0..exact.digits.len() {
            let (low, digit, high) = (at(&lower, index), at(&exact, index), at(&upper, index));
            let down = low != digit || inclusive && index + 1 == lower.digits.len();
            let up = digit != high && (inclusive || digit + 1 < high || index + 1 < upper.digits.len());
            let away = match (down, up) {
                (false, false) => continue,
                (true, true) => exact.rounds_up(index + 1),
                (_, up) => up,
            };
            exact.cut(index + 1, away);
            break;
        }
        exact
    }

    /// Whether cutting after `count` digits rounds away from zero; half goes to even.
    fn rounds_up(&self, count: usize) -> bool {
        match self.digits.get(count..) {
            Some([b'5']) => self.digits[count - 1] % 2 == 1,
            Some([first, ..]) => *first >= b'5',
            _ => false,
        }
    }

    /// Keeps `count` digits.
    fn cut(&mut self, count: usize, up: bool) {
        if count >= self.digits.len() {
            return;
        }
        self.digits.truncate(count);
        if up {
            while self.digits.last() == Some(&b'9') {
                self.digits.pop();
            }
            if let Some(last) = self.digits.last_mut() {
                *last += 1;
            } else {
                self.digits.push(b'1');
                self.point += 1;
            }
        }
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
    }

    /// The digits with their point, and without any exponent.
    fn text(&self) -> String {
        let digits = String::from_utf8_lossy(&self.digits);
        let count = self.digits.len() as i64;
        if count == 0 {
            return "0".to_owned();
        }
        if self.point <= 0 {
            return format!("0.{}{digits}", "0".repeat(self.point.unsigned_abs() as usize));
        }
        if self.point >= count {
            return format!("{digits}{}", "0".repeat((self.point - count) as usize));
        }
        let (whole, fraction) = digits.split_at(self.point as usize);
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["0", "1", "-1", "1.5", "0.1", "100000000000000000000", "0.00001", "123456789.987654321"]
        {
            assert_eq!(number(text).to_string(), text);
        }
        assert_eq!(number("1e10").to_string(), "10000000000");
        assert_eq!(number("1.50").to_string(), "1.5");
        assert_eq!(number("25e-1").to_string(), "2.5");
        for text in ["", "-", "1e", ".", "0x1", "1e99999", "nan", "1 "] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn reckons_as_long_floats_do() {
        assert_eq!(number("0.1").plus(&number("0.2")).unwrap().to_string(), "0.3");
        let third = number("1").over(&number("3")).unwrap().to_string();
        assert_eq!((third.len(), &third[..4], &third[third.len() - 3..]), (157, "0.33", "335"));
        assert_eq!(number("-7").modulo(&number("3")).unwrap().to_string(), "-1");
        assert_eq!(number("7.5").modulo(&number("2")).unwrap().to_string(), "1.5");
        assert_eq!(number("3").times(&number("0.5")).unwrap().to_string(), "1.5");
        assert!(number("0").over(&number("0")).is_none());
        assert_eq!(number("-1").over(&number("0")).unwrap().to_string(), "-Inf");
    }

    #[test]
    fn floats_print_shortest() {
        for value in [0.1, 1e21, 2.5e-9, 123.456, -2.0, 9_007_199_254_740_993.0] {
            assert_eq!(Number::of_float(value).unwrap().to_string(), format!("{value}"));
        }
    }

    #[test]
    fn rounds_down_and_up() {
        for (text, floor, truncated) in [("1.2", 1, 1), ("-1.2", -2, -1), ("3", 3, 3), ("-0.5", -1, 0)] {
            assert_eq!(number(text).floor(), Some(floor.into()));
            assert_eq!(number(text).truncated(), Some(truncated.into()));
        }
    }

    #[test]
    fn what_grows_ends() {
        let mut grown = number("7");
        while let Some(next) = grown.times(&grown) {
            grown = next;
        }
        assert!(grown.to_string().len() < 10_000);
    }
}
