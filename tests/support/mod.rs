//! What several tests need to stand real servers up, and to be gone without a trace.

pub mod postgres;
pub mod processes;
pub mod relevo;

/// Whether tests that need installed servers are asked for, by `RELEVO_TESTS=all`. Says so if they are left out.
pub fn wanted(needs: &str) -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    if !all {
        eprintln!("left out: needs {needs} (tests/run installs it)");
    }
    all
}

/// Numbers that look random and come again with the same seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// From `RELEVO_SEED`, or from the clock. Printed, so that a failure can be had again.
    pub fn new() -> Self {
        let seed = match std::env::var("RELEVO_SEED") {
            Ok(seed) => seed.parse().expect("RELEVO_SEED is a number"),
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
