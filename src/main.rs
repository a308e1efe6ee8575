//! Arguments, then configuration, then the log, then the run, then the exit code. Nothing is decided here.

use std::process::ExitCode;

use clap::Parser as _;
use shepard::cli::Cli;
use shepard::commands::{self, Exit, output};
use shepard::config::{self, Config};

fn main() -> ExitCode {
    if let Some(code) = shepard::local::as_child() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here as well; the parser knows which stream each belongs to.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return if error.print().is_ok() { code.into() } else { Exit::Environment.into() };
        }
    };
    let config = match Config::load(&cli.global) {
        Ok(config) => config,
        Err(error) => return output::failed(cli.global.output, &error),
    };
    if let Err(error) = config::start_log(&config) {
        return output::failed(cli.global.output, &error);
    }
    commands::run(cli, &config)
}
