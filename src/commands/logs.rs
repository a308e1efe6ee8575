//! `shepard logs`: a job's log, to its end or as it is written.

use serde::Serialize;
use shepard_cloud::ports::{LogFrom, LogSource};
use shepard_model::LogLine;

use super::{Context, Exit};
use crate::cli;
use crate::operations::logs::{Reader, Step};
use crate::operations::{OperationError, Result, jobs};

/// One line, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    at: i64,
    source: LogSource,
    text: &'a str,
}

pub(super) async fn run(context: &Context<'_>, arguments: &cli::Logs) -> Result<Exit> {
    let flock = context.open(arguments.flock.as_ref()).await?;
    let words = std::slice::from_ref(&arguments.job);
    let job = jobs::resolve(&flock.ports, words)
        .await?
        .pop()
        .ok_or_else(|| OperationError::NotFound(format!("there is no job {}", arguments.job)))?;
    let from = match (arguments.since, arguments.tail) {
        (Some(since), _) => LogFrom::Since(flock.ports.clock.now_ms() - since),
        (None, Some(lines)) => LogFrom::Tail(lines),
        (None, None) => LogFrom::Start,
    };
    let mut reader = Reader::new(job.id, from);
    // Each look at a flock on AWS is two calls.
    let pause_ms = if flock.flock.aws().is_some() { 2_000 } else { 100 };
    for turn in 0_u64.. {
        // Following a job whose supervisor was killed would never end; a session that may only look leaves it be.
        if arguments.follow && !context.config.read_only && turn % 50 == 49 {
            flock.wake().await?;
        }
        match reader.step(&flock.ports).await? {
            Step::Lines(lines) => print(context, &lines, arguments.timestamps)?,
            Step::Attempt(number) => context.out.note(&format!("-- attempt {number} --")),
            Step::Idle if arguments.follow => flock.ports.clock.sleep_ms(pause_ms).await,
            Step::Idle => break,
            Step::Ended(reason) => {
                if let Some(reason) = reason {
                    context.out.note(&format!("-- {reason} --"));
                }
                break;
            }
        }
    }
    Ok(Exit::Ok)
}

fn print(context: &Context<'_>, lines: &[LogLine], timestamps: bool) -> Result<()> {
    if context.out.is_json() {
        return context.out.write(|out| {
            for line in lines {
                let line = Line { at: line.at_ms, source: line.source, text: &line.text };
                serde_json::to_writer(&mut *out, &line)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        });
    }
    for line in lines {
        if timestamps {
            let at = jiff::Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
            context.out.line(&format!("{at:.3} {}", line.text))?;
        } else {
            context.out.line(&line.text)?;
        }
    }
    Ok(())
}
