//! Exit codes, as the contract names them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Wrong usage.
    Usage = 2,
    /// Bad input data (`replay --strict`).
    Data = 65,
    /// A needed service is missing.
    Unavailable = 69,
    /// A bug.
    Bug = 70,
    /// Input or output.
    Io = 74,
    /// Bad configuration.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
