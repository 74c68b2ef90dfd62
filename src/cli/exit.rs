//! How the process ends. The numbers are promised (`dlang help exit-codes`) and never change.

/// Outcome of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Fine,
    /// The program or a check failed, before or while running.
    Failed,
    /// Wrong arguments, missing file.
    Usage,
    /// Ctrl-C.
    Interrupted,
    /// `exit(n)`.
    Program(i32),
}

impl Exit {
    /// As the system takes it.
    pub fn code(self) -> u8 {
        match self {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Interrupted => 130,
            // The system keeps the lowest eight bits.
            Exit::Program(n) => (n & 0xff) as u8,
        }
    }
}

/// `dlang help exit-codes`
pub const HELP: &str = "\
Exit codes

  0    success
  1    the program or a check failed: an error found before or while running,
       a failed test
  2    wrong usage: unknown option or param, missing file
  n    exit(n) in the program passes through
  130  interrupted by Ctrl-C

A closed pipe, as in `dlang train.dl | head -1`, is not an error and exits with 0.
";
