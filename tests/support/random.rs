//! Chance that can be had again.

/// Numbers that look random and come again with the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// From `RELEVO_SEED`, or from the clock. Printed, so that a failure can be had again.
    pub fn new() -> Self {
        let seed = match std::env::var("RELEVO_SEED") {
            Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("RELEVO_SEED is a number")),
            Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_secs()),
        };
        println!("RELEVO_SEED={seed}");
        Random(seed.max(1))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}
