//! The program: see `cli`.

fn main() -> std::process::ExitCode {
    zeek_ueba::cli::main()
}
