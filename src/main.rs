//! The program: parse, do one verb, print, exit.

fn main() -> std::process::ExitCode {
    relevo::cli::main()
}
