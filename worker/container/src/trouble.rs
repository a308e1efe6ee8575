//! What an engine refuses, as the end of a job or a reason to try again, in one sentence that says what to do.

use shepard_engine::{EngineError, Kind};
use shepard_worker::PayloadError;

/// What was going on when the engine refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum During {
    /// Reaching the engine, or anything else of it.
    Engine,
    /// Loading the image of the flock's own image.
    Load,
    /// Pulling the image.
    Pull,
    /// Making or starting the container, of quick-deploy code or not.
    Start {
        /// Whether it was to run quick-deploy code.
        quick_deploy: bool,
    },
    /// Watching the container.
    Watch,
}

/// The end of a job, or a reason to try again: what another attempt could not change is refused.
pub fn of(error: &EngineError, during: During) -> PayloadError {
    let hint = hint(error, during);
    let sentence = match hint {
        Some(hint) if error.help().is_none() => format!("{error}; {hint}"),
        _ => error.to_string(),
    };
    let again = match error.kind {
        // A name or a thing that is in use is free again some time.
        Kind::Unreachable | Kind::Full | Kind::Busy | Kind::Conflict => true,
        Kind::Denied | Kind::Platform | Kind::NoProgram | Kind::Invalid => false,
        // A container or an image that somebody removed a moment ago is there again at the next attempt.
        Kind::NotFound => during != During::Pull,
        // Runtimes say everything under one status: most of what keeps a container from starting is the same next time.
        Kind::Other => !matches!(during, During::Start { .. }),
    };
    if again { PayloadError::Passing(sentence) } else { PayloadError::Refused(sentence) }
}

fn hint(error: &EngineError, during: During) -> Option<&'static str> {
    Some(match (error.kind, during) {
        (Kind::Denied, During::Pull) => {
            "the registry lets this worker read no such repository: check that it exists and that the role of the jobs \
             may pull from it"
        }
        (Kind::Denied, _) => {
            "this user may not use the Docker engine: add it to the group of the socket, or name another with DOCKER_HOST"
        }
        (Kind::NotFound, During::Pull) => {
            "the registry has no such image: deploy the flock again, or roll back to a release that is there"
        }
        (Kind::Busy, During::Pull) => "the registry is busy or out of reach: another attempt may get it",
        (Kind::NoProgram, During::Start { quick_deploy: true }) => {
            "quick-deploy code is run with `sh`, and the image has none: add a shell to it, or deploy the code as an image"
        }
        (Kind::NoProgram, During::Start { quick_deploy: false }) => {
            "what the container is to run is not in its image, or is no program: check ENTRYPOINT and CMD, or the flock's \
             command"
        }
        (Kind::Invalid, During::Load) => "deploy the flock again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: Kind, during: During) -> (bool, String) {
        match of(&EngineError::new("pull the image", "r/x@sha256:1", kind, "words"), during) {
            PayloadError::Passing(said) => (true, said),
            PayloadError::Refused(said) => (false, said),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_refused() {
        let start = During::Start { quick_deploy: true };
        for (kind, during, passing) in [
            (Kind::Unreachable, During::Engine, true),
            (Kind::Full, During::Load, true),
            (Kind::Busy, During::Pull, true),
            (Kind::Denied, During::Pull, false),
            (Kind::NotFound, During::Pull, false),
            (Kind::Other, During::Pull, true),
            (Kind::Other, start, false),
            (Kind::NoProgram, start, false),
            (Kind::Unreachable, During::Watch, true),
        ] {
            assert_eq!(said(kind, during).0, passing, "{kind:?} {during:?}");
        }
    }

    #[test]
    fn each_sentence_is_one_line_that_says_what_to_do() {
        let start = During::Start { quick_deploy: true };
        for (kind, during, hint) in [
            (Kind::Unreachable, During::Engine, "DOCKER_HOST"),
            (Kind::Full, During::Load, "free space"),
            (Kind::Denied, During::Pull, "may pull"),
            (Kind::Denied, During::Engine, "group of the socket"),
            (Kind::NoProgram, start, "has none"),
            (Kind::NotFound, During::Pull, "deploy the flock again"),
        ] {
            let (_, said) = said(kind, during);
            assert!(
                said.contains(hint) && said.starts_with("cannot pull the image r/x") && !said.contains('\n'),
                "{said}"
            );
        }
    }
}
