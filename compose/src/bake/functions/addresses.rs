//! Functions of networks: `10.0.0.0/8` and the like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Call, Function, Kind, Outcome, Trouble, fail, function, param, refuse};
use crate::bake::value::Value;

pub(super) static ALL: &[Function] = &[
    function("cidrhost", &[param("prefix", Kind::Text), param("hostnum", Kind::Number)], None, |call| {
        let network = network(call)?;
        let host = call.integer(1)?;
        let free = network.width - network.prefix;
        let count = 1_i128.checked_shl(free).unwrap_or(i128::MAX);
        let offset = if host < 0 { count + i128::from(host) } else { host.into() };
        if offset < 0 || free < 127 && offset >= count {
            return fail(format!("prefix of {} does not accommodate a host numbered {host}", network.prefix));
        }
        Ok(Value::text(network.at(network.bits | offset as u128).to_string()))
    }),
    function("cidrnetmask", &[param("prefix", Kind::Text)], None, |call| {
        let network = network(call)?;
        if network.width != 32 {
            return fail("IPv6 addresses cannot have a netmask");
        }
        Ok(Value::text(network.at(network.mask()).to_string()))
    }),
    function(
        "cidrsubnet",
        &[param("prefix", Kind::Text), param("newbits", Kind::Number), param("netnum", Kind::Number)],
        None,
        |call| {
            let network = network(call)?;
            let (bits, number) = (call.integer(1)?, call.integer(2)?);
            let prefix = network.longer(bits)?;
            let number = u128::try_from(number).ok().filter(|number| bits >= 128 || number >> bits == 0);
            let Some(number) = number else {
                return refuse(
                    2,
                    format!("prefix extension of {bits} does not accommodate a subnet of that number"),
                );
            };
            let bits = network.bits | number.checked_shl(network.width - prefix).unwrap_or(0);
            Ok(Value::String(format!("{}/{prefix}", network.at(bits))))
        },
    ),
    function("cidrsubnets", &[param("prefix", Kind::Text)], Some(param("newbits", Kind::Number)), subnets),
];

/// A network.
struct Network {
    bits: u128,
    prefix: u32,
    /// 32 or 128.
    width: u32,
}

impl Network {
    fn mask(&self) -> u128 {
        let all = if self.width == 32 { u128::from(u32::MAX) } else { u128::MAX };
        all & !(all.checked_shr(self.prefix).unwrap_or(0))
    }

    fn at(&self, bits: u128) -> IpAddr {
        if self.width == 32 { Ipv4Addr::from(bits as u32).into() } else { Ipv6Addr::from(bits).into() }
    }

    /// The prefix with more bits.
    fn longer(&self, bits: i64) -> Result<u32, Trouble> {
        let prefix = u32::try_from(bits).ok().map(|bits| self.prefix.saturating_add(bits));
        match prefix.filter(|prefix| *prefix <= self.width) {
            Some(prefix) => Ok(prefix),
            None => {
                refuse(1, format!("insufficient address space to extend prefix of {} by {bits}", self.prefix))
            }
        }
    }
}

/// The network of the first argument.
fn network(call: &Call) -> Result<Network, Trouble> {
    let text = call.text(0);
    let read = || {
        let (address, prefix) = text.split_once('/')?;
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= width)?;
        let mut network = Network { bits, prefix, width };
        network.bits &= network.mask();
        Some(network)
    };
    read().map_or_else(|| fail(format!("invalid CIDR expression: invalid CIDR address: {text}")), Ok)
}

fn subnets(call: &Call) -> Outcome {
    let network = network(call)?;
    let mut texts = Vec::new();
    let mut next = network.bits;
    let all = if network.width == 32 { u128::from(u32::MAX) } else { u128::MAX };
    let end = network.bits | (all & !network.mask());
    let mut full = false;
    for index in 1..call.args.len() {
        let bits = call.integer(index)?;
        if bits < 1 {
            return refuse(index, "must extend prefix by at least one bit");
        }
        let prefix = network.longer(bits)?;
        let size = 1_u128 << (network.width - prefix);
        let start = next.checked_next_multiple_of(size).filter(|start| !full && *start <= end);
        let Some(start) = start.filter(|start| start.checked_add(size - 1).is_some_and(|last| last <= end))
        else {
            return refuse(
                index,
                format!("not enough remaining address space for a subnet with a prefix of {prefix} bits"),
            );
        };
        texts.push(format!("{}/{prefix}", network.at(start)));
        full = start.checked_add(size).is_none();
        next = start.wrapping_add(size);
    }
    Ok(Value::texts(texts))
}
