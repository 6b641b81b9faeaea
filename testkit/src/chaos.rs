//! Requests that fail at random, but the same way for the same seed.
use crate::fault::Fault;

/// Decides which requests fail.
#[derive(Clone, Debug)]
pub struct Chaos {
    state: u64,
    /// Of so many requests of 2^32 fail.
    threshold: u64,
    /// How many requests failed so far.
    pub faults: usize,
}

impl Chaos {
    /// Every request fails with this probability.
    pub fn new(seed: u64, probability: f64) -> Self {
        Self { state: seed, threshold: (probability * f64::from(u32::MAX)) as u64, faults: 0 }
    }

    /// What goes wrong with the next request, if anything does. `has_tokens`: it may also be that they end.
    pub(crate) fn next(&mut self, method: &str, has_tokens: bool) -> Option<Fault> {
        if self.random() >> 32 >= self.threshold {
            return None;
        }
        self.faults += 1;
        let pick = self.random() % 9;
        Some(match pick {
            0 => Fault::Status(429, Vec::new(), "slow down"),
            1 => Fault::Status(429, vec![("Retry-After", "0".into())], ""),
            2 => Fault::Status(500, Vec::new(), "oops"),
            3 => Fault::Status(503, Vec::new(), ""),
            4 => Fault::Cut,
            5 => Fault::Reset,
            6 | 7 if method == "GET" => Fault::Short((self.random() % 5000) as usize),
            8 if has_tokens => Fault::Expire,
            _ => Fault::Status(502, vec![("Content-Type", "text/html".into())], "<html>bad gateway</html>"),
        })
    }

    /// The generator called `SplitMix64`.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
