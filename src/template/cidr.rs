//! Ranges of IPv4 addresses: `10.192.0.0/16`.

use std::net::Ipv4Addr;

/// A range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    /// Its first address.
    first: u32,
    /// How many leading bits all of its addresses share.
    pub(super) bits: u8,
    /// It was written by its first address. AWS takes any other one of it for the same range.
    pub(super) plain: bool,
}

impl Cidr {
    /// Reads one; a sentence where it is none.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let no = || format!("`{}` is no range of addresses such as 10.192.0.0/16", super::names::short(text));
        let (address, bits) = text.trim().split_once('/').ok_or_else(no)?;
        let address: Ipv4Addr = address.parse().map_err(|_| no())?;
        let bits: u8 = bits.parse().map_err(|_| no())?;
        if bits > 32 {
            return Err(no());
        }
        let mut cidr = Self { first: u32::from(address), bits, plain: true };
        let first = cidr.first & cidr.mask();
        (cidr.plain, cidr.first) = (cidr.first == first, first);
        Ok(cidr)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0)
    }

    /// Whether all of the other's addresses are in it.
    pub(super) fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && other.first & self.mask() == self.first
    }

    /// Whether they share an address.
    pub(super) fn meets(self, other: Self) -> bool {
        self.holds(other) || other.holds(self)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::read(text).expect(text)
    }

    #[test]
    fn ranges_hold_and_meet() {
        let vpc = cidr("10.192.0.0/16");
        assert!(vpc.holds(cidr("10.192.10.0/24")) && !vpc.holds(cidr("10.193.0.0/24")));
        assert!(cidr("10.192.10.0/24").meets(vpc) && !cidr("10.193.0.0/16").meets(vpc));
        assert!(cidr("0.0.0.0/0").holds(vpc) && cidr("1.1.1.1/32").meets(cidr("1.1.1.1/32")));
    }

    #[test]
    fn what_is_no_range_is_said() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/0", "a/8", "10.0.0.0/-1"] {
            assert!(Cidr::read(text).is_err(), "{text}");
        }
        let inside = cidr("10.192.0.1/16");
        assert!(
            !inside.plain && inside.holds(cidr("10.192.0.0/16")) && inside.to_string() == "10.192.0.0/16"
        );
    }
}
