//! What several tests need to stand real servers up, and to be gone without a trace.

pub mod postgres;
pub mod processes;
pub mod random;
pub mod relevo;

/// Whether tests that need installed servers are asked for, by `RELEVO_TESTS=all`. Says so if they are left out.
pub fn wanted(needs: &str) -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    if !all {
        eprintln!("left out: needs {needs} (tests/run installs it)");
    }
    all
}
