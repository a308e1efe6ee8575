//! Arguments in, exit code out. Nothing is decided here.

use std::process::ExitCode;

use shepard::cli::Cli;
use shepard::commands::{self, Exit};

fn main() -> ExitCode {
    if let Some(code) = shepard::local::as_child() {
        return code;
    }
    match Cli::read(std::env::args_os()) {
        Ok(cli) => commands::run(cli),
        Err(error) => {
            // Help and version arrive here as well; the parser knows which stream each belongs to.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            if error.print().is_ok() { code.into() } else { Exit::Environment.into() }
        }
    }
}
