//! Commands in a container that runs.

use bollard::exec::{CreateExecOptions, StartExecResults};

use crate::connect::Engine;
use crate::error::{EngineError, Kind, Result};
use crate::output::Output;

impl Engine {
    /// Starts a command (program and arguments, no shell) in a container, as the container's user and with its
    /// environment. Gives the command's id and its output, which ends when the command does.
    ///
    /// # Errors
    /// The container does not run. A program that is not there is told by its exit code of 126 or 127.
    pub async fn exec(
        &self,
        container: &str,
        words: &[String],
        working_dir: Option<&str>,
    ) -> Result<(String, Output)> {
        let failed = |error| EngineError::of("run a command in the container", container, &error);
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(words.to_vec()),
            working_dir: working_dir.map(str::to_owned),
            ..CreateExecOptions::default()
        };
        let made = self.docker.create_exec(container, options).await.map_err(failed)?;
        match self.docker.start_exec(&made.id, None).await.map_err(failed)? {
            StartExecResults::Attached { output, .. } => Ok((made.id, Output::new(output, container))),
            StartExecResults::Detached => Err(EngineError::new(
                "run a command in the container",
                container,
                Kind::Other,
                "the engine did not give its output",
            )),
        }
    }

    /// The exit code of a command; None while it runs.
    ///
    /// # Errors
    /// The engine went away, or with the container the command.
    pub async fn exec_code(&self, exec: &str) -> Result<Option<i64>> {
        let seen = self.docker.inspect_exec(exec).await;
        let seen = seen.map_err(|error| EngineError::of("ask after the command", exec, &error))?;
        Ok(seen.exit_code.filter(|_| seen.running != Some(true)))
    }
}
